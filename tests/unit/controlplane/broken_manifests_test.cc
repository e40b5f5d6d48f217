// Thirty-odd broken manifests, one after the other, over a good one: each gives one error that
// names file, line, field and value; what was known stays known, to the last byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fixture.h"
#include "source/files.h"

namespace weft::controlplane {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kGood =
    "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: guard, "
    "namespace: shop}\n"
    "spec: {action: DENY, rules: [{from: [{source: {notPrincipals: [\"*\"]}}]}]}\n" +
    pod_yaml("shop", "web", "10.0.0.1");

struct Row {
  std::string text;
  const char* error;
};

std::vector<Row> rows() {
  auto policy = [](const std::string& spec) {
    return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: guard, "
           "namespace: shop}\nspec:\n  " +
           spec + "\n";
  };
  auto authn = [](const std::string& spec) {
    return "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: pa, "
           "namespace: shop}\nspec:\n  " +
           spec + "\n";
  };
  return {
      {"", ""},  // an empty file is good and holds nothing; replaced below
      {"spec: [\n", ":2: document: YAML"},
      {"just words\n", ":1: document: must be a map"},
      {"a: 1\na: 2\n", ":2: a: duplicate key"},
      {"kind: Pod\nmetadata: {name: p}\n", ":1: apiVersion: is required"},
      {"apiVersion: v1\nmetadata: {name: p}\n", ":1: kind: is required"},
      {"apiVersion: v1\nkind: Pod\n", ":1: metadata.name: must be the object's name"},
      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: true}}\n",
       ":3: metadata.labels.x: must be a string, got true"},
      {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: 1.2.3}\n",
       ":4: status.podIP: must be an IP address, got \"1.2.3\""},
      {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - {port: 0}\n",
       ":6: spec.ports[0].port: must be a port (1-65535), got 0"},
      {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIPs: [None, 10.0.0.1]}\n",
       ":4: spec.clusterIP: must not mix None and addresses"},
      {policy("action: REFUSE"),
       ":5: spec.action: must be ALLOW, DENY, AUDIT or CUSTOM, got \"REFUSE\""},
      {policy("aktion: DENY"), ":5: spec.aktion: unknown field"},
      {policy("rules: [{from: [{source: {ipBlocks: [10.0.0.0/40]}}]}]"),
       "ipBlocks[0]: must be an IP address or a CIDR block, got \"10.0.0.0/40\""},
      {policy("rules: [{from: [{source: {ipBlocks: [host.example]}}]}]"), "got \"host.example\""},
      {policy("rules: [{to: [{operation: {ports: [80]}}]}]"), "ports[0]: must be a string, got 80"},
      {policy("rules: [{to: [{operation: {ports: [\"eighty\"]}}]}]"),
       "ports[0]: must be a port (1-65535), got \"eighty\""},
      {policy("rules: [{to: [{operation: {methods: [\"\"]}}]}]"),
       "methods[0]: must not be empty, got \"\""},
      {policy("rules: [{to: [{operation: {verbs: [GET]}}]}]"), "operation.verbs: unknown field"},
      {policy("rules: [{to: [{operation: {}}]}]"),
       "operation: must have at least one field, got {}"},
      {policy("rules: [{when: [{key: weather, values: [sun]}]}]"),
       "key: unknown attribute, got \"weather\""},
      {policy("rules: [{when: [{key: source.ip, values: [sun]}]}]"),
       "values[0]: must be an IP address"},
      {policy("rules: [{when: [{key: source.ip}]}]"), "when[0]: needs values or notValues"},
      {policy("selector: {matchLabels: {app: [web]}}"),
       "spec.selector.matchLabels.app: must be a string, got [\"web\"]"},
      {policy("selector: {matchExpressions: []}"), "spec.selector.matchExpressions: unknown field"},
      {policy("rules: all"), "spec.rules: must be a list, got \"all\""},
      {authn("mtls: {mode: MAYBE}"),
       ":5: spec.mtls.mode: must be UNSET, DISABLE, PERMISSIVE or STRICT, got \"MAYBE\""},
      {authn("mtls: {mode: 1}"), "spec.mtls.mode: must be a string, got 1"},
      {authn("mTLS: {mode: STRICT}"), "spec.mTLS: unknown field"},
      {authn("portLevelMtls: {80: {mode: STRICT}}"), "spec.portLevelMtls: needs a selector"},
      {authn("{selector: {matchLabels: {a: b}}, portLevelMtls: {all: {mode: STRICT}}}"),
       "portLevelMtls.all: the key must be a port"},
      {kGood + "---\nkind: broken at the end\n", "apiVersion: is required"},
  };
}

TEST(BrokenManifests, EachIsOneErrorAndTheOldStateStays) {
  char name[] = "/tmp/weft-broken-XXXXXX";
  const fs::path root = ::mkdtemp(name);
  const fs::path file = root / "guard.yaml";
  auto write = [&](const std::string& text) {
    std::ofstream(root / "guard.yaml.tmp") << text;
    fs::rename(root / "guard.yaml.tmp", file);
  };
  write(kGood);
  auto files = source::FilesSource::open({.directory = root.string(), .admit = translate::admit});
  ASSERT_TRUE(files) << files.error().text;
  translate::World world({});
  xds::Cache cache;
  auto turn = [&](bool wait_for_problem) {
    const auto until = Clock::now() + std::chrono::seconds(5);
    const auto generation = (*files)->problems_generation();
    do {
      cache.apply(ztunnel::make_update(world.apply((*files)->poll())));
      pollfd one{.fd = (*files)->fd(), .events = POLLIN};
      ::poll(&one, 1, 5);
    } while (wait_for_problem && (*files)->problems_generation() == generation &&
             Clock::now() < until);
  };
  turn(false);
  ASSERT_EQ(cache.size(ztunnel::kAuthorizationType), 1u);
  ASSERT_EQ(cache.size(ztunnel::kAddressType), 1u);
  const auto before = cache.generation();
  const auto all = rows();
  ASSERT_GE(all.size(), 31u);
  for (std::size_t i = 1; i < all.size(); ++i) {
    write(all[i].text);
    turn(true);
    ASSERT_EQ((*files)->problems().size(), 1u) << all[i].text;
    EXPECT_THAT((*files)->problems()[0].text, HasSubstr(file.string() + ":"))
        << "names file and line";
    EXPECT_THAT((*files)->problems()[0].text, HasSubstr(all[i].error));
    EXPECT_EQ(cache.generation(), before) << "nothing changed for any node: " << all[i].text;
  }
  write(kGood);
  turn(true);
  EXPECT_TRUE((*files)->problems().empty());
  EXPECT_EQ(cache.generation(), before);
  fs::remove_all(root);
}

}  // namespace
}  // namespace weft::controlplane
