#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <map>
#include <thread>

#include "base/fd.h"
#include "controlplane/jwks/fetcher.h"

namespace weft::controlplane::jwks {
namespace {

using testing::HasSubstr;

// A web server on loopback: path → the whole answer, each on a connection of its own.
class Web {
 public:
  Web() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage storage;
    auto length = SocketAddress::parse("127.0.0.1:0")->to_sockaddr(storage);
    auto* raw = reinterpret_cast<sockaddr*>(&storage);
    EXPECT_EQ(::bind(fd_.get(), raw, length), 0);
    EXPECT_EQ(::listen(fd_.get(), 16), 0);
    length = sizeof storage;
    EXPECT_EQ(::getsockname(fd_.get(), raw, &length), 0);
    base_ = "http://" + SocketAddress::from_sockaddr(raw, length)->str();
  }
  ~Web() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  void serve(std::map<std::string, std::string> pages) {
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
      head.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      const std::string path = head.substr(4, head.find(' ', 4) - 4);
      const auto page = pages_.find(path);
      const std::string answer =
          page == pages_.end() ? "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n" : page->second;
      (void)!::send(one.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      ::shutdown(one.get(), SHUT_WR);
    }
  }

  Fd fd_;
  std::string base_;
  std::map<std::string, std::string> pages_;
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

constexpr const char* kWellKnown = "/.well-known/openid-configuration";

TEST(Jwks, AnAddressAndADiscoveryDocumentGiveTheSameKeys) {
  Web web;
  web.serve({{"/keys", ok("{\"keys\":[]}")},
             {"/moved", redirect("/keys")},
             {kWellKnown, ok("{\"jwks_uri\":\"" + web.url("/keys") + "\"}")}});
  EXPECT_EQ(fetch(web.url("/keys"), Reach::kAnywhere), "{\"keys\":[]}");
  EXPECT_EQ(fetch(web.url("/moved"), Reach::kAnywhere), "{\"keys\":[]}");
  EXPECT_EQ(fetch(web.url(kWellKnown), Reach::kAnywhere), "{\"keys\":[]}");
}

TEST(Jwks, WhatIsNoAnswerIsAnError) {
  Web web;
  web.serve({{"/loop", redirect("/loop")},
             {"/huge", ok(std::string(kBytesMax + 1, 'x'))},
             {"/file", redirect("file:///etc/passwd")},
             {kWellKnown, ok("{\"jwks_uri\":\"file:///etc/passwd\"}")}});
  for (const char* path : {"/loop", "/huge", "/file", "/none", kWellKnown})
    EXPECT_THAT(fetch(web.url(path), Reach::kAnywhere), HasSubstr("error: ")) << path;
  EXPECT_THAT(fetch("testing@issuer.example/.well-known/openid-configuration", Reach::kNetwork),
              HasSubstr("is no http or https URL"));
}

TEST(Jwks, ThisHostIsNotAsked) {
  Web web;
  web.serve({{"/keys", ok("{\"keys\":[]}")}});
  EXPECT_THAT(fetch(web.url("/keys"), Reach::kNetwork), HasSubstr("leads to a loopback"));
  EXPECT_THAT(fetch("http://169.254.169.254/latest", Reach::kNetwork),
              HasSubstr("leads to a loopback, link-local"));
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
