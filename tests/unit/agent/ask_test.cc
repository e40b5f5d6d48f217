#include "agent/ask.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/fd.h"

namespace weft::agent {
namespace {

using namespace std::chrono_literals;

// Answers one question with `answer`, in two pieces; keeps the connection until it is destroyed.
class Answerer {
 public:
  explicit Answerer(std::string answer) : path_(testing::TempDir() + "/ask.sock") {
    ::unlink(path_.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto* raw = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), raw, sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
    thread_ = std::thread([this, answer = std::move(answer)] { serve(answer); });
  }
  ~Answerer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }
  // What it was asked.
  const std::string& heard() {
    if (thread_.joinable()) thread_.join();
    return heard_;
  }

 private:
  void serve(const std::string& answer) {
    peer_ = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char buffer[512];
    const auto got = peer_ ? ::recv(peer_.get(), buffer, sizeof buffer, 0) : -1;
    if (got <= 0) return;
    heard_.assign(buffer, static_cast<std::size_t>(got));
    const std::size_t half = answer.size() / 2;
    EXPECT_EQ(::send(peer_.get(), answer.data(), half, MSG_NOSIGNAL), static_cast<ssize_t>(half));
    std::this_thread::sleep_for(5ms);
    [[maybe_unused]] const auto rest =
        ::send(peer_.get(), answer.data() + half, answer.size() - half, MSG_NOSIGNAL);
    if (answer.empty()) peer_.reset();
  }

  std::string path_, heard_;
  Fd listener_, peer_;
  std::thread thread_;
};

TEST(Ask, GivesTheFirstLineWhateverComesAfterIt) {
  Answerer answerer("{\"a\":1}\nmore");
  const auto line = ask_line(answerer.path(), "what?\n", 5s);
  ASSERT_TRUE(line.has_value()) << describe(line.error());
  EXPECT_EQ(*line, "{\"a\":1}");
  EXPECT_EQ(answerer.heard(), "what?\n");
}

TEST(Ask, SaysWhyThereIsNoAnswer) {
  const auto nobody = ask_line(testing::TempDir() + "/nobody.sock", "?\n", 100ms);
  EXPECT_EQ(nobody.error().code, Code::kUnreachable);
  EXPECT_EQ(ask_line(std::string(200, 'x'), "?\n", 100ms).error().code, Code::kMalformed);
  {
    Answerer silent("no end of line");
    EXPECT_EQ(ask_line(silent.path(), "?\n", 50ms).error().code, Code::kTimedOut);
  }
  {
    Answerer closes("");
    EXPECT_EQ(ask_line(closes.path(), "?\n", 5s).error().code, Code::kClosed);
  }
  Answerer endless(std::string(10'000, 'x'));
  EXPECT_EQ(ask_line(endless.path(), "?\n", 5s).error().code, Code::kMalformed);
}

TEST(Ask, ReadinessIsA200AndNothingElse) {
  {
    Answerer ready("HTTP/1.1 200 OK\r\n\r\nready\n");
    EXPECT_TRUE(ask_readiness(ready.path(), 5s).has_value());
    EXPECT_EQ(ready.heard().substr(0, 27), "GET /healthz/ready HTTP/1.1");
  }
  Answerer not_yet("HTTP/1.1 503 Service Unavailable\r\n\r\nno ztunnel is connected\n");
  const auto asked = ask_readiness(not_yet.path(), 5s);
  ASSERT_FALSE(asked.has_value());
  EXPECT_EQ(asked.error().text, "not ready: HTTP/1.1 503 Service Unavailable");
  const auto nobody = ask_readiness(testing::TempDir() + "/nobody.sock", 100ms);
  EXPECT_NE(nobody.error().text.find("nobody.sock: unreachable"), std::string::npos)
      << nobody.error().text;
}

}  // namespace
}  // namespace weft::agent
