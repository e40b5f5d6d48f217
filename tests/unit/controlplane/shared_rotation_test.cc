// Two replicas and one Secret: what one rotates, the other takes up.
#include "controlplane/ca/shared_state.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "controlplane/ca/authority.h"
#include "controlplane/ca/files.h"

namespace weft::controlplane::ca {
namespace {

using nlohmann::json;
using source::kube::Call;
using source::kube::Reply;

// As much of an API server as a Secret and a ConfigMap need.
class Server {
 public:
  bool away = false;

  Reply operator()(const Call& call) {
    if (away) return {.error = "no route"};
    if (call.path.find("/configmaps/") != std::string::npos) return {.status = 200, .body = "{}"};
    if (std::string(call.method) == "GET")
      return secret_.is_null() ? Reply{.status = 404}
                               : Reply{.status = 200, .body = secret_.dump()};
    json given = json::parse(call.body);
    if (std::string(call.method) == "POST" && !secret_.is_null()) return {.status = 409};
    const auto version = given["metadata"].value("resourceVersion", "");
    if (!version.empty() && json(version) != secret_["metadata"]["resourceVersion"])
      return {.status = 409};
    given["metadata"]["resourceVersion"] = std::to_string(++version_);
    secret_ = given;
    return {.status = 200, .body = secret_.dump()};
  }

 private:
  json secret_;
  int version_ = 0;
};

struct Replica {
  std::string dir;
  SharedState state;
  std::unique_ptr<Authority> authority;

  Replica(Server& server, const std::string& name)
      : dir(testing::TempDir() + "shared-" + std::to_string(::getpid()) + "-" + name),
        state({.ns = "weft-system",
               .secret = "weft-ca",
               .state_dir = dir,
               .call = [&server](const Call& call) { return server(call); }}) {
    std::filesystem::remove_all(dir);
    EXPECT_FALSE(state.fetch());
    auto opened = Authority::open({.state_dir = dir}, WallClock::now());
    EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error().text);
    authority = std::move(*opened);
  }
  ~Replica() { std::filesystem::remove_all(dir); }

  bool refresh() {
    const auto news = state.refresh();
    EXPECT_TRUE(news.has_value()) << (news ? "" : news.error().text);
    if (news && *news) EXPECT_FALSE(authority->reload());
    return news && *news;
  }
  void rotate() { EXPECT_TRUE(authority->rotate(WallClock::now()).has_value()); }
};

TEST(SharedState, ARotationReachesTheOtherReplica) {
  Server server;
  Replica one(server, "one");
  ASSERT_FALSE(one.state.publish());
  Replica two(server, "two");
  ASSERT_FALSE(two.state.publish());
  EXPECT_EQ(one.authority->bundle(), two.authority->bundle()) << "the second took the first's root";
  EXPECT_FALSE(two.refresh()) << "nothing is new";
  for (const auto phase : {Phase::kTrustNew, Phase::kSignNew, Phase::kSteady}) {
    one.rotate();
    ASSERT_FALSE(one.state.publish());
    EXPECT_TRUE(two.refresh());
    EXPECT_EQ(two.authority->info().phase, phase);
    EXPECT_EQ(one.authority->bundle(), two.authority->bundle());
    EXPECT_EQ(read_file(two.authority->bundle_path()).value(), one.authority->bundle());
    EXPECT_FALSE(two.refresh());
    EXPECT_FALSE(two.state.publish()) << "and it does not write it back";
    EXPECT_FALSE(one.refresh());
  }
  EXPECT_EQ(two.authority->info().roots.size(), 1u);
}

TEST(SharedState, WhoWritesSecondTakesWhatTheFirstWrote) {
  Server server;
  Replica one(server, "one");
  ASSERT_FALSE(one.state.publish());
  Replica two(server, "two");
  ASSERT_FALSE(two.state.publish());
  one.rotate();
  two.rotate();
  ASSERT_FALSE(one.state.publish());
  const auto refused = two.state.publish();
  ASSERT_TRUE(refused.has_value());
  EXPECT_NE(refused->text.find("another replica wrote it first"), std::string::npos);
  EXPECT_TRUE(two.refresh());
  EXPECT_EQ(one.authority->bundle(), two.authority->bundle());
  EXPECT_FALSE(two.state.publish());
}

TEST(SharedState, AnApiServerThatIsAwayChangesNothing) {
  Server server;
  Replica one(server, "one");
  ASSERT_FALSE(one.state.publish());
  const auto before = one.authority->bundle();
  server.away = true;
  EXPECT_FALSE(one.state.refresh().has_value());
  one.rotate();
  EXPECT_TRUE(one.state.publish().has_value());
  server.away = false;
  EXPECT_FALSE(one.refresh()) << "the Secret is as old as it was: ours is newer";
  EXPECT_FALSE(one.state.publish());
  EXPECT_NE(one.authority->bundle(), before);
}

TEST(SharedState, AStateThatCannotBeReadIsNotTaken) {
  Server server;
  Replica one(server, "one");
  const auto before = one.authority->bundle();
  ASSERT_FALSE(write_file(one.dir + "/ca.json", "{}"));
  EXPECT_TRUE(one.authority->reload().has_value());
  EXPECT_EQ(one.authority->bundle(), before);
}

}  // namespace
}  // namespace weft::controlplane::ca
