#include "sandbox/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "sandbox/api.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

using testing::HasSubstr;

struct Server {
  Loop loop;
  std::string path = testing::TempDir() + "weft-client-test-" + std::to_string(getpid()) + ".sock";
  std::thread thread;

  explicit Server(std::function<std::string(const std::string&)> answer) {
    unlink(path.c_str());
    EXPECT_TRUE(serve(loop, path, std::move(answer)).has_value());
    loop.after(std::chrono::seconds(20), [this] { loop.stop(); });
    tick();
    thread = std::thread([this] { loop.run(); });
  }
  void tick() {
    loop.after(std::chrono::milliseconds(5), [this] { stop ? loop.stop() : tick(); });
  }
  ~Server() {
    stop = true;
    thread.join();
    unlink(path.c_str());
  }
  std::atomic<bool> stop = false;
};

TEST(Client, AnAnswerComesBackWhole) {
  const std::string big(3 << 20, 'x');
  Server server([&](const std::string& line) {
    return Json{{"echo", Json::parse(line)["say"]}, {"big", big}}.dump();
  });
  const auto answer = call(server.path, {{"say", "hi"}});
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ((*answer)["echo"], "hi");
  EXPECT_EQ((*answer)["big"].get<std::string>().size(), big.size());
}

TEST(Client, AnErrorOfTheServerIsOurs) {
  Server server([](const std::string&) { return std::string(R"({"error":"no such pod"})"); });
  const auto answer = call(server.path, {{"cmd", "x"}});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().text, "no such pod");
}

TEST(Client, NobodyThereIsSaid) {
  const auto answer = call("/nonexistent/api.sock", {{"cmd", "x"}});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().text, HasSubstr("/nonexistent/api.sock"));
}

}  // namespace
}  // namespace weft::sandbox
