#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "controlplane/jwks/fetcher.h"

namespace weft::controlplane::jwks {
namespace {

using testing::HasSubstr;

// A web server on loopback: path → whole answers in turn, the last for ever; each on a connection
// of its own. Until it serves, it takes connections and says nothing.
class Web {
 public:
  explicit Web(const std::string& name = "127.0.0.1")
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage storage;
    auto length = SocketAddress::parse("127.0.0.1:0")->to_sockaddr(storage);
    auto* raw = reinterpret_cast<sockaddr*>(&storage);
    EXPECT_EQ(::bind(fd_.get(), raw, length), 0);
    EXPECT_EQ(::listen(fd_.get(), 16), 0);
    length = sizeof storage;
    EXPECT_EQ(::getsockname(fd_.get(), raw, &length), 0);
    base_ =
        "http://" + name + ":" + std::to_string(SocketAddress::from_sockaddr(raw, length)->port);
  }
  ~Web() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  void serve(std::map<std::string, std::vector<std::string>> pages) {
    pages_ = std::move(pages);
    thread_ = std::thread([this] { run(); });
  }
  std::string url(const std::string& path) const { return base_ + path; }

 private:
  void run() {
    for (;;) {
      const Fd one(::accept(fd_.get(), nullptr, nullptr));
      if (!one) return;
      std::string head(4096, 0);
      const auto got = ::recv(one.get(), head.data(), head.size(), 0);
      if (got < 5) continue;  // who asked is gone already
      head.resize(static_cast<std::size_t>(got));
      const std::string path = head.substr(4, head.find(' ', 4) - 4);
      auto& page = pages_[path];
      const std::string answer =
          page.empty() ? "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n" : page.front();
      if (page.size() > 1) page.erase(page.begin());
      (void)!::send(one.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      ::shutdown(one.get(), SHUT_WR);
    }
  }

  Fd fd_;
  std::string base_;
  std::map<std::string, std::vector<std::string>> pages_;
  std::thread thread_;
};

std::string ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string redirect(const std::string& to) {
  return "HTTP/1.1 302 There\r\nlocation: " + to + "\r\ncontent-length: 0\r\n\r\n";
}

// The body, or "error: why".
std::string fetch(const std::string& uri, Reach reach) {
  std::promise<std::string> answer;
  Fetcher fetcher(
      {.refresh = std::chrono::hours(1), .retry = std::chrono::hours(1)},
      [&](const std::string&, const Parsed<std::string>& keys) {
        answer.set_value(keys ? *keys : "error: " + keys.error().text);
      },
      reach);
  fetcher.want({uri});
  auto got = answer.get_future();
  if (got.wait_for(std::chrono::seconds(20)) != std::future_status::ready) return "no answer";
  return got.get();
}

// Key sets that can be used, in the form that comes out.
const std::string kOne = R"({"keys":[{"k":"c2VjcmV0","kty":"oct"}]})";
const std::string kTwo = R"({"keys":[{"k":"b3RoZXI","kty":"oct"}]})";

constexpr const char* kWellKnown = "/.well-known/openid-configuration";

TEST(Jwks, AnAddressAndADiscoveryDocumentGiveTheSameKeys) {
  Web web;
  web.serve({{"/keys", {ok(kOne)}},
             {"/moved", {redirect("/keys")}},
             {kWellKnown, {ok("{\"jwks_uri\":\"" + web.url("/keys") + "\"}")}}});
  EXPECT_EQ(fetch(web.url("/keys"), Reach::kAnywhere), kOne);
  EXPECT_EQ(fetch(web.url("/moved"), Reach::kAnywhere), kOne);
  EXPECT_EQ(fetch(web.url(kWellKnown), Reach::kAnywhere), kOne);
}

TEST(Jwks, WhatIsNoAnswerIsAnErrorThatSaysWhy) {
  Web web;
  web.serve({{"/loop", {redirect("/loop")}},
             {"/huge", {ok(std::string(kBytesMax + 1, 'x'))}},
             {"/file", {redirect("file:///etc/passwd")}},
             {"/garbage", {ok("<html>")}},
             {"/empty", {ok("{\"keys\":[]}")}},
             {kWellKnown, {ok("{\"jwks_uri\":\"file:///etc/passwd\"}")}}});
  for (const auto& [path, why] :
       std::map<std::string, std::string>{{"/loop", "redirects"},
                                          {"/huge", "more than 1 MiB"},
                                          {"/file", "Unsupported protocol"},
                                          {"/garbage", "no JSON object"},
                                          {"/empty", "no key that can be used"},
                                          {"/none", "answers with status 404"},
                                          {kWellKnown, "jwks_uri is no http or https URL"}}) {
    const std::string said = fetch(web.url(path), Reach::kAnywhere);
    EXPECT_THAT(said, HasSubstr("error: " + web.url(path))) << path;
    EXPECT_THAT(said, HasSubstr(why)) << path;
  }
  EXPECT_THAT(fetch("testing@issuer.example/.well-known/openid-configuration", Reach::kNetwork),
              HasSubstr("is no http or https URL"));
}

// What the fetcher said, in order.
class Told {
 public:
  void operator()(const std::string& uri, const Parsed<std::string>& keys) {
    const std::scoped_lock lock(mutex_);
    all_.push_back(uri + " " + (keys ? *keys : "error"));
    changed_.notify_all();
  }
  std::vector<std::string> first(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return all_.size() >= count; });
    return all_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> all_;
};

TEST(Jwks, ServersThatSayNothingDelayNobody) {
  Web silent, web("localhost");  // the silent one comes first by name
  web.serve({{"/keys", {ok(kOne)}}});
  std::vector<std::string> uris{web.url("/keys")};
  for (int i = 0; i < 20; ++i) uris.push_back(silent.url("/" + std::to_string(i)));
  ASSERT_LT(silent.url("/"), web.url("/"));
  Told told;
  {
    Fetcher fetcher({}, std::ref(told), Reach::kAnywhere);
    fetcher.want(uris);
    EXPECT_EQ(told.first(1).front(), web.url("/keys") + " " + kOne);
    // All of them end together, 5 s after they began.
    const auto began = Clock::now();
    EXPECT_EQ(told.first(uris.size()).size(), uris.size());
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(15));
  }
}

TEST(Jwks, KeysThatWereHadAreKeptUntilThereAreOthers) {
  Web web;
  web.serve({{"/keys",
              {ok(kOne), ok("<html>"), "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
               ok("{\"keys\":[{\"kty\":\"oct\"}]}"), ok(kOne), ok(kTwo)}}});
  Told told;
  Fetcher fetcher({.refresh = std::chrono::milliseconds(5), .retry = std::chrono::milliseconds(5)},
                  std::ref(told), Reach::kAnywhere);
  fetcher.want({web.url("/keys")});
  EXPECT_EQ(told.first(2),
            (std::vector{web.url("/keys") + " " + kOne, web.url("/keys") + " " + kTwo}));
}

TEST(Jwks, ThisHostIsNotAsked) {
  Web web;
  web.serve({{"/keys", {ok(kOne)}}});
  EXPECT_THAT(fetch(web.url("/keys"), Reach::kNetwork), HasSubstr("leads to a loopback"));
  EXPECT_THAT(fetch("http://169.254.169.254/latest", Reach::kNetwork),
              HasSubstr("leads to a loopback, link-local"));
}

std::string set_of(const std::string& key) { return "{\"keys\":[" + key + "]}"; }

TEST(UsableKeys, OnlyWhatAVerifierTakesIsKept) {
  const std::string modulus(341, 'w'), x = "JY7-cS2oqtkBq8ld6bQDrcLXnUt3JJKEZZ_88gfQBwg",
                                       y = "UIwfyFHpA3k0oqlKF13PVQWbbM5d7uHBMW739WWXxhc";
  const std::string rsa = R"({"kty":"RSA","n":")" + modulus + R"(w","e":")",
                    ec = R"({"kty":"EC","crv":"P-256","x":")" + x + R"(","y":")";
  for (const std::string& good :
       {rsa + "AQAB\"}", rsa + "Aw\"}", rsa + R"(AQAB","alg":"RS256","kid":"a"})", ec + y + "\"}",
        ec + y + R"(","alg":"ES256"})", R"({"kty":"OKP","crv":"Ed25519","x":")" + x + "\"}",
        std::string(R"({"kty":"oct","k":"c2VjcmV0","alg":"HS256"})")}) {
    const auto kept = usable_keys(R"({"keys":[{"kty":"bad"},)" + good + "]}");
    ASSERT_TRUE(kept) << good << kept.error().text;
    EXPECT_EQ(kept->find("bad"), std::string::npos);
    EXPECT_EQ(usable_keys(*kept), *kept) << good;
  }
  for (const std::string& bad :
       {set_of(std::string(400'000, '[') + std::string(400'000, ']')),
        std::string(),
        std::string("[]"),
        std::string("{}"),
        std::string(R"({"keys":{}})"),
        set_of(""),
        set_of("7"),
        set_of(R"({"kty":7})"),
        set_of(rsa + "BQ\"}"),
        set_of(rsa + "AQAC\"}"),
        set_of(rsa + R"(AQAB","alg":"HS256"})"),
        set_of(rsa + R"(AQAB","kid":7})"),
        set_of(R"({"kty":"RSA","n":"AQ","e":"AQAB"})"),
        set_of(R"({"kty":"RSA","n":"!!","e":"AQAB"})"),
        set_of(ec + x + "\"}"),
        set_of(ec + y + R"(","alg":"ES384"})"),
        set_of(R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})"),
        set_of(R"({"kty":"OKP","crv":"X25519","x":")" + x + "\"}"),
        set_of(R"({"kty":"oct","k":""})"),
        set_of(R"({"kty":"oct"})"),
        set_of(R"({"kty":"oct","k":")" + std::string(kBytesMax, 'A') + "\"}")})
    EXPECT_FALSE(usable_keys(bad)) << bad.substr(0, 100);
  EXPECT_EQ(*usable_keys(nobodys_keys()), nobodys_keys());
}

TEST(Jwks, WhereItMayConnect) {
  for (const char* never : {"127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1",
                            "255.255.255.255", "::1", "::", "fe80::1", "ff02::1",
                            "::ffff:127.0.0.1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"})
    EXPECT_FALSE(may_connect(*IpAddress::parse(never))) << never;
  for (const char* fine : {"10.96.0.1", "172.31.0.1", "8.8.8.8", "fd00:96::1", "2001:db8::1"})
    EXPECT_TRUE(may_connect(*IpAddress::parse(fine))) << fine;
  EXPECT_FALSE(may_connect(IpAddress()));
}

}  // namespace
}  // namespace weft::controlplane::jwks
