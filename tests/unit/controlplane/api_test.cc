#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "controlplane/api/socket.h"

namespace weft::controlplane::api {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

class Api : public testing::Test {
 protected:
  Api() {
    char name[] = "/tmp/weft-api-XXXXXX";
    root_ = ::mkdtemp(name);
    path_ = (root_ / "api.sock").string();
    auto opened = JsonSocket::open(path_, [](const std::string& request, bool trusted) {
      return (trusted ? "{\"got\":" : "{\"read\":") + request + "}";
    });
    EXPECT_TRUE(opened) << opened.error().text;
    socket_ = std::move(*opened);
  }
  ~Api() override { fs::remove_all(root_); }

  Fd connect() const {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strcpy(address.sun_path, path_.c_str());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  std::string ask(int fd, const std::string& text) {
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    for (int i = 0; i < 5; ++i) socket_->turn();
    char buffer[4096];
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
  }

  fs::path root_;
  std::string path_;
  std::unique_ptr<JsonSocket> socket_;
};

TEST_F(Api, ALineInIsALineOut) {
  const Fd fd = connect();
  EXPECT_EQ(ask(fd.get(), "{\"cmd\":\"a\"}\n"), "{\"got\":{\"cmd\":\"a\"}}\n");
  EXPECT_EQ(ask(fd.get(), "{\"cmd\""), "");
  EXPECT_EQ(ask(fd.get(), ":\"b\"}\n"), "{\"got\":{\"cmd\":\"b\"}}\n");
}

TEST_F(Api, HttpMayOnlyRead) {
  const Fd fd = connect();
  const std::string reply = ask(fd.get(), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(reply, HasSubstr("{\"read\":{\"cmd\":\"healthz\"}}\n"));
}

TEST_F(Api, ABrowserCannotPostACommand) {
  const Fd fd = connect();
  const std::string reply =
      ask(fd.get(), "POST / HTTP/1.1\r\nHost: x\r\n\r\n{\"cmd\":\"rotate-root\"}\n");
  EXPECT_THAT(reply, testing::Not(HasSubstr("got")));
}

TEST_F(Api, EndlessLinesAreCutOff) {
  const Fd fd = connect();
  EXPECT_EQ(ask(fd.get(), "{" + std::string(JsonSocket::kRequestBytesMax + 1000, 'x')), "");
  char byte = 0;
  EXPECT_LE(::recv(fd.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_F(Api, OnlyTheOwnerMayConnect) {
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  socket_.reset();
  EXPECT_FALSE(fs::exists(path_));
}

}  // namespace
}  // namespace weft::controlplane::api
