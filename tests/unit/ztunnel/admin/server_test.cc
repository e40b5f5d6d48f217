#include "ztunnel/admin/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ztunnel/io/make_loop.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"

namespace weft::admin {
namespace {

using namespace std::chrono_literals;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : loop_(*io::make_epoll_loop()), server_(*Server::listen(*loop_, *SocketAddress::parse("127.0.0.1:0"))) {
    server_->route("GET", "/hello", [](const HttpRequest&) { return HttpResponse{.body = "world"}; });
    server_->route("POST", "/echo", [](const HttpRequest& request) { return HttpResponse{.body = request.body}; });
  }

  // What the server says to `pieces`, each sent after the other.
  std::string say(std::vector<std::string> pieces) { return io::run_until_done(*loop_, story(std::move(pieces))); }

  io::Task<std::string> story(std::vector<std::string> pieces) {
    io::Scope scope;
    scope.spawn(server_->run());
    std::string heard;
    co_await talk(pieces, heard);
    server_->stop();
    co_await scope.join();
    co_return heard;
  }
  io::Task<void> talk(const std::vector<std::string>& pieces, std::string& heard) {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = socket.get();
    const auto connected = co_await io::connect(*loop_, fd, server_->address(), loop_->in(1s));
    EXPECT_TRUE(connected);
    for (const auto& piece : pieces) {
      const auto bytes = std::as_bytes(std::span(piece));
      const auto sent = co_await io::send_all(*loop_, fd, bytes, loop_->in(1s));
      EXPECT_TRUE(sent);
      co_await io::sleep_for(*loop_, 2ms);
    }
    std::array<std::byte, 4096> block;
    for (;;) {
      const auto got = co_await io::recv_some(*loop_, fd, block, loop_->in(7s));
      if (!got || *got == 0) break;
      heard.append(reinterpret_cast<const char*>(block.data()), *got);
    }
    loop_->close(std::move(socket));
  }

  std::unique_ptr<io::Loop> loop_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, WaitsForAnAddressThatAnotherHas) {
  const auto address = server_->address();
  EXPECT_EQ(Server::listen(*loop_, address).error().os, EADDRINUSE);
  auto next = *Server::listen_when_free(*loop_, address);
  EXPECT_FALSE(next->listening());
  next->route("GET", "/hello", [](const HttpRequest&) { return HttpResponse{.body = "next"}; });
  io::Scope scope;
  scope.spawn(next->run());
  EXPECT_TRUE(say({"GET /hello HTTP/1.1\r\n\r\n"}).ends_with("world"));  // and ends
  server_ = std::move(next);
  io::run_until_done(*loop_, [](io::Loop& loop, Server& server) -> io::Task<void> {
    for (int i = 0; i < 50 && !server.listening(); ++i) co_await io::sleep_for(loop, 20ms);
  }(*loop_, *server_));
  EXPECT_TRUE(server_->listening());
  server_->stop();
  io::run_until_done(*loop_, [](io::Scope& all) -> io::Task<void> { co_await all.join(); }(scope));
}

TEST_F(ServerTest, AnswersAtAUnixSocketThatIsOnlyItsOwners) {
  const std::string path = testing::TempDir() + "/server.sock";
  for (int again = 0; again < 2; ++again) {  // what stood there is removed
    auto server = Server::listen_at(*loop_, path);
    ASSERT_TRUE(server) << describe(server.error());
    struct stat found{};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0022, 0u) << "whoever may write may connect";
  }
  EXPECT_EQ(Server::listen_at(*loop_, std::string(200, 'x')).error().os, ENAMETOOLONG);
}

TEST_F(ServerTest, AnswersARouteAndCloses) {
  const auto heard = say({"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"});
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 200 OK\r\n")) << heard;
  EXPECT_TRUE(heard.ends_with("\r\n\r\nworld"));
}
TEST_F(ServerTest, TakesARequestInPieces) {
  EXPECT_TRUE(say({"POST /ec", "ho HTTP/1.1\r\nContent-Le", "ngth: 4\r\n\r", "\nab", "cd"}).ends_with("\r\n\r\nabcd"));
}
TEST_F(ServerTest, SaysWhatItDoesNotHave) { EXPECT_TRUE(say({"GET /no HTTP/1.1\r\n\r\n"}).starts_with("HTTP/1.1 404")); }
TEST_F(ServerTest, SaysWhichMethodItWants) {
  const auto heard = say({"GET /echo HTTP/1.1\r\n\r\n"});
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 405"));
  EXPECT_TRUE(heard.ends_with("use POST\n"));
}
// As many connections as there may be say nothing: who asks is answered all the same.
TEST_F(ServerTest, SilenceKeepsNobodyOut) {
  std::vector<Fd> silent;
  sockaddr_storage raw{};
  const socklen_t length = server_->address().to_sockaddr(raw);
  for (std::size_t i = 0; i < Server::kConnectionsMax; ++i) {
    silent.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(silent.back().get(), reinterpret_cast<sockaddr*>(&raw), length), 0);
  }
  EXPECT_TRUE(say({"GET /hello HTTP/1.1\r\n\r\n"}).ends_with("world"));
}
TEST_F(ServerTest, RefusesNonsense) { EXPECT_TRUE(say({"\x16\x03\x01 nonsense\r\n\r\n"}).starts_with("HTTP/1.1 400")); }
TEST_F(ServerTest, RefusesAHeadWithoutEnd) { EXPECT_TRUE(say({"GET / HTTP/1.1\r\nX: " + std::string(20000, 'x')}).starts_with("HTTP/1.1 400")); }
TEST_F(ServerTest, ASilentClientIsLetGo) { EXPECT_EQ(say({"GET / HT"}), ""); }

}  // namespace
}  // namespace weft::admin
