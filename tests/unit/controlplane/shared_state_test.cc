#include "controlplane/ca/shared_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace weft::controlplane::ca {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using source::kube::Call;
using source::kube::Reply;
using testing::ElementsAre;
using testing::HasSubstr;

// Secrets and ConfigMaps by path, as an API server keeps them, with the faults that a test asks
// for.
class Shelf {
 public:
  std::map<std::string, json> objects;  // by path
  std::vector<std::string> calls;       // "GET secrets", …
  std::string refuse;                   // calls that are refused with 503
  std::string lose;                     // calls that are done, and whose answer is lost

  Reply call(const Call& call) {
    const std::string path = call.path.substr(0, call.path.find('?'));
    const std::string kind = path.find("/secrets") == std::string::npos ? "configmaps" : "secrets";
    const std::string name = std::string(call.method) + " " + kind;
    calls.push_back(name);
    if (name == refuse) return {.status = 503, .body = R"({"message":"try later"})"};
    const Reply reply = act(call, path);
    if (name == lose) return {.error = "the connection broke"};
    return reply;
  }

 private:
  Reply act(const Call& call, const std::string& path) {
    const std::string method = call.method;
    if (method == "GET") {
      if (!objects.contains(path)) return {.status = 404, .body = R"({"message":"not found"})"};
      return {.status = 200, .body = objects[path].dump()};
    }
    const json object = json::parse(call.body);
    const std::string own =
        method == "POST" ? path + "/" + object["metadata"]["name"].get<std::string>() : path;
    if (method == "POST" && objects.contains(own))
      return {.status = 409, .body = R"({"message":"already exists"})"};
    if (method == "PUT" && !objects.contains(own)) return {.status = 404, .body = "{}"};
    objects[own] = object;
    return {.status = method == "POST" ? 201 : 200, .body = call.body};
  }
};

constexpr const char* kSecret = "/api/v1/namespaces/weft-system/secrets/weft-ca";
constexpr const char* kMap = "/api/v1/namespaces/weft-system/configmaps/weft-ca-root-cert";

class SharedStateTest : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(dir_); }
  void TearDown() override { fs::remove_all(dir_); }

  SharedState state() {
    return SharedState({.ns = "weft-system",
                        .secret = "weft-ca",
                        .state_dir = dir_,
                        .call = [this](const Call& call) { return shelf_.call(call); }});
  }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories(dir_);
    std::ofstream(dir_ + "/" + name) << text;
  }
  // What a new authority leaves in its directory.
  void make_authority(const std::string& root = "ROOT") {
    write("ca.json", "{\"phase\":\"A\"}");
    write("root-1-key.pem", "KEY");
    write("root-1-cert.pem", root);
    write("root-cert.pem", root);
    write("envoy-token.key", "TOKENS");
    write("serving-key.pem", "of this start alone");
  }
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> out;
    if (!fs::exists(dir_)) return out;
    for (const auto& entry : fs::directory_iterator(dir_)) {
      std::ifstream file(entry.path());
      out[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(file), {});
    }
    return out;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (const auto& [key, value] : shelf_.objects.at(kSecret)["data"].items()) out.push_back(key);
    return out;
  }

  const std::string dir_ = testing::TempDir() + "/shared-state";
  Shelf shelf_;
};

TEST_F(SharedStateTest, WithoutASecretNothingIsFetchedAndTheFirstToPublishMakesIt) {
  auto first = state();
  EXPECT_FALSE(first.fetch().has_value());
  EXPECT_TRUE(files().empty());
  make_authority();
  EXPECT_FALSE(first.publish().has_value());
  EXPECT_THAT(keys(), ElementsAre("ca.json", "envoy-token.key", "root-1-cert.pem", "root-1-key.pem",
                                  "root-cert.pem"))
      << "the serving key stays here";
  EXPECT_EQ(shelf_.objects.at(kSecret)["data"]["root-1-key.pem"], "S0VZ");
  EXPECT_EQ(shelf_.objects.at(kMap)["data"], (json{{"root-cert.pem", "ROOT"}}));
}

TEST_F(SharedStateTest, TheNextStartIsTheSameAuthorityAndItsKeysAreItsOwnersAlone) {
  {
    auto first = state();
    ASSERT_FALSE(first.fetch());
    make_authority();
    ASSERT_FALSE(first.publish());
  }
  auto before = files();
  before.erase("serving-key.pem");
  fs::remove_all(dir_);
  auto next = state();
  EXPECT_FALSE(next.fetch());
  EXPECT_EQ(files(), before);
  for (const auto& [name, mode] : {std::pair("root-1-key.pem", 0600u), {"root-cert.pem", 0644u}}) {
    struct stat found{};
    ASSERT_EQ(::stat((dir_ + "/" + name).c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, mode) << name;
  }
  shelf_.calls.clear();
  EXPECT_FALSE(next.publish());
  EXPECT_THAT(shelf_.calls, ElementsAre("PATCH configmaps")) << "the Secret is as it was";
  shelf_.calls.clear();
  EXPECT_FALSE(next.publish());
  EXPECT_THAT(shelf_.calls, ElementsAre()) << "nor is anything told twice";
}

TEST_F(SharedStateTest, ARootThatIsGoneGoesFromTheSecretToo) {
  auto shared = state();
  ASSERT_FALSE(shared.fetch());
  make_authority();
  ASSERT_FALSE(shared.publish());
  fs::remove(dir_ + "/root-1-key.pem");
  fs::remove(dir_ + "/root-1-cert.pem");
  write("root-2-key.pem", "KEY2");
  write("root-2-cert.pem", "ROOT2");
  write("root-cert.pem", "ROOT2");
  EXPECT_FALSE(shared.publish());
  EXPECT_THAT(keys(), ElementsAre("ca.json", "envoy-token.key", "root-2-cert.pem", "root-2-key.pem",
                                  "root-cert.pem"));
  EXPECT_EQ(shelf_.objects.at(kMap)["data"]["root-cert.pem"], "ROOT2");
}

TEST_F(SharedStateTest, WhoLosesTheRaceForTheSecretForgetsItsRootsAndTakesTheWinners) {
  auto late = state();
  ASSERT_FALSE(late.fetch());
  make_authority("OURS");
  shelf_.objects[kSecret] = {{"data", {{"root-cert.pem", "VEhFSVJT"}, {"ca.json", "e30="}}}};
  const auto lost = late.publish();
  ASSERT_TRUE(lost.has_value());
  EXPECT_THAT(lost->text, HasSubstr("weft-system/weft-ca"));
  EXPECT_THAT(lost->text, HasSubstr("start again"));
  EXPECT_FALSE(files().contains("root-1-key.pem") || files().contains("ca.json"));
  EXPECT_FALSE(shelf_.objects.contains(kMap)) << "nobody is told to trust a root that lost";
  auto again = state();
  EXPECT_FALSE(again.fetch());
  EXPECT_EQ(files().at("root-cert.pem"), "THEIRS");
}

TEST_F(SharedStateTest, AnAnswerThatIsLostDoesNotMakeASecondAuthority) {
  auto shared = state();
  ASSERT_FALSE(shared.fetch());
  make_authority();
  shelf_.lose = "POST secrets";
  const auto lost = shared.publish();
  ASSERT_TRUE(lost.has_value());
  EXPECT_THAT(lost->text, HasSubstr("the connection broke"));
  EXPECT_EQ(files().at("root-1-key.pem"), "KEY") << "it may be the one in the Secret";
  shelf_.lose.clear();
  EXPECT_TRUE(shared.publish().has_value()) << "somebody made it: start again";
  auto again = state();
  EXPECT_FALSE(again.fetch());
  EXPECT_EQ(files().at("root-1-key.pem"), "KEY") << "and it was us";
}

TEST_F(SharedStateTest, AWriteThatWasRefusedIsTriedAgain) {
  auto shared = state();
  ASSERT_FALSE(shared.fetch());
  make_authority();
  ASSERT_FALSE(shared.publish());
  for (const char* refused : {"PUT secrets", "PATCH configmaps"}) {
    write("root-cert.pem", std::string("NEW ") + refused);
    shelf_.refuse = refused;
    const auto problem = shared.publish();
    ASSERT_TRUE(problem.has_value()) << refused;
    EXPECT_THAT(problem->text, HasSubstr("try later"));
    EXPECT_THAT(problem->text, testing::Not(HasSubstr("NEW"))) << "no content in a message";
    shelf_.refuse.clear();
    EXPECT_FALSE(shared.publish()) << refused;
    EXPECT_EQ(shelf_.objects.at(kMap)["data"]["root-cert.pem"], std::string("NEW ") + refused);
  }
}

TEST_F(SharedStateTest, ASecretThatCannotBeReadIsAProblemAndNotAnEmptyOne) {
  auto shared = state();
  shelf_.refuse = "GET secrets";
  const auto refused = shared.fetch();
  ASSERT_TRUE(refused.has_value());
  EXPECT_THAT(refused->text, HasSubstr("Secret weft-system/weft-ca: "));
  shelf_.refuse.clear();
  shelf_.objects[kSecret] = {{"kind", "Secret"}};
  shelf_.lose = "GET secrets";
  EXPECT_TRUE(state().fetch().has_value()) << "no answer is not \"there is none\"";
}

TEST_F(SharedStateTest, BadDataIsNamedAndNothingOfItIsTaken) {
  const std::pair<json, const char*> rows[] = {
      {json{{"kind", "Secret"}}, "data: must be a map"},
      {json{{"data", {"list"}}}, "data: must be a map"},
      {json{{"data", {{"ca.json", "e30="}, {"root-1-key.pem", "not base64!"}}}},
       "data.root-1-key.pem: "},
  };
  for (const auto& [object, wanted] : rows) {
    shelf_.objects[kSecret] = object;
    const auto problem = state().fetch();
    ASSERT_TRUE(problem.has_value()) << object;
    EXPECT_THAT(problem->text, HasSubstr(wanted));
    EXPECT_THAT(problem->text, testing::Not(HasSubstr("not base64!"))) << "it may be a key";
    EXPECT_TRUE(files().empty()) << object;
  }
}

TEST_F(SharedStateTest, KeysOfOthersNeverBecomeFiles) {
  shelf_.objects[kSecret] = {{"data",
                              {{"root-/../../x.pem", "eA=="},
                               {"tls.key", "eA=="},
                               {"root-cert.pem", "eA=="},
                               {"ca.json", 7}}}};
  EXPECT_FALSE(state().fetch().has_value());
  EXPECT_EQ(files(), (std::map<std::string, std::string>{{"root-cert.pem", "x"}}));
}

}  // namespace
}  // namespace weft::controlplane::ca
