#include "agent/exchange.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <future>
#include <thread>
#include <vector>

namespace weft::agent {
namespace {

using namespace std::chrono_literals;

class ExchangeTest : public testing::Test {
 protected:
  // Serves on a port of the kernel's choice on its own thread until the test ends.
  void start(std::string end, bool once, Exchange::Handler handler) {
    Fd listener = *listen_tcp(*SocketAddress::parse("127.0.0.1:0"));
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&storage), &length), 0);
    address_ = *SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
    reactor_ = std::move(*Reactor::make());
    exchange_ = std::make_unique<Exchange>(*reactor_, std::move(listener), std::move(end), once, std::move(handler));
    thread_ = std::thread([this] { reactor_->run(); });
  }
  void TearDown() override {
    reactor_->stop();
    thread_.join();
    exchange_.reset();
  }
  // Sends and reads to the end, five seconds at most.
  std::string ask(std::string_view text, bool finish = false) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{5, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_storage storage{};
    const auto length = address_.to_sockaddr(storage);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    if (finish) ::shutdown(fd.get(), SHUT_WR);
    std::string got;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) got.append(buffer, static_cast<std::size_t>(n));
    return got;
  }

  SocketAddress address_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Exchange> exchange_;
  std::thread thread_;
};

TEST_F(ExchangeTest, AnswersHttp) {
  start("\r\n\r\n", true, http_handler([](std::string_view path) {
          return path == "/metrics" ? HttpAnswer{.body = "x 1\n"} : HttpAnswer{.status = 404, .body = "no\n"};
        }));
  EXPECT_EQ(ask("GET /metrics?x=1 HTTP/1.1\r\nhost: a\r\n\r\n").substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_TRUE(ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nx 1\n"));
  EXPECT_TRUE(ask("HEAD /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
  EXPECT_TRUE(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
}

TEST_F(ExchangeTest, SendsALongAnswerWhole) {
  start("\r\n\r\n", true, http_handler([](std::string_view) { return HttpAnswer{.body = std::string(3'000'000, 'x')}; }));
  EXPECT_GT(ask("GET / HTTP/1.1\r\n\r\n").size(), 3'000'000u);
}

// As many connections as there may be say nothing: who asks is answered all the same.
TEST_F(ExchangeTest, SilenceKeepsNobodyOut) {
  start("\r\n\r\n", true, http_handler([](std::string_view) { return HttpAnswer{.body = "here"}; }));
  std::vector<Fd> silent;
  sockaddr_storage storage{};
  const auto length = address_.to_sockaddr(storage);
  for (std::size_t i = 0; i < Exchange::kConnectionsMax; ++i) {
    silent.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(silent.back().get(), reinterpret_cast<sockaddr*>(&storage), length), 0);
  }
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\n\r\n").ends_with("here"));
}

TEST_F(ExchangeTest, HangsUpOnARequestWithoutEnd) {
  start("\n", false, [](std::string_view) { return "never\n"; });
  EXPECT_EQ(ask(std::string(Exchange::kRequestMax + 1, 'x')), "");
}

TEST_F(ExchangeTest, AnswersEachLine) {
  start("\n", false, [](std::string_view line) { return std::string(line) + "!\n"; });
  EXPECT_EQ(ask("a\nb\n", true), "a!\nb!\n");
}

}  // namespace
}  // namespace weft::agent
