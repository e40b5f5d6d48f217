#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "controlplane/deploy/envoy.h"
#include "controlplane/deploy/outcome.h"

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

Envoy waypoint() {
  return {.ns = "shop", .name = "w", .id = "waypoint~shop/w", .token = "secret-token"};
}
EnvoySettings settings() {
  return {.server = "172.31.0.254:15012",
          .server_name = "weft-controlplane.weft-system.svc",
          .roots_pem = "PEM"};
}

TEST(Deploy, TheTokenIsInTheSecretAlone) {
  for (const json& object : manifests(waypoint(), settings())) {
    EXPECT_EQ(object.dump().find("secret-token"), std::string::npos) << object["kind"];
  }
  EXPECT_NE(bootstrap(waypoint(), settings()).find("Bearer secret-token"), std::string::npos);
}

TEST(Deploy, EveryObjectSaysWhoseItIs) {
  const auto all = manifests(waypoint(), settings());
  ASSERT_EQ(all.size(), 4u);
  for (const json& object : all) {
    EXPECT_EQ(object["metadata"]["labels"][kManagedBy], kManager);
    EXPECT_EQ(object["metadata"]["namespace"], "shop");
  }
}

TEST(Deploy, EnvoysDrainWithinTheirGraceBeforeTheyEnd) {
  for (const bool gateway : {false, true}) {
    Envoy envoy = waypoint();
    envoy.gateway = gateway;
    const json pod = manifests(envoy, settings())[2]["spec"]["template"]["spec"];
    const json command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"];
    ASSERT_EQ(command.size(), 3u);
    const std::string script = command[2];
    EXPECT_NE(script.find("POST /healthcheck/fail"), std::string::npos);
    EXPECT_NE(script.find("left = " + std::to_string(settings().drain_seconds) + ";"),
              std::string::npos);
    EXPECT_GT(pod["terminationGracePeriodSeconds"], settings().drain_seconds + 2);
    EXPECT_EQ(std::system(("bash -n <<'END'\n" + script + "END\n").c_str()), 0);
  }
}

TEST(Deploy, APersonsLabelsDoNotHideOurs) {
  Envoy gateway = waypoint();
  gateway.gateway = true;
  gateway.pod_labels = {{"istio", "ingressgateway"}, {"weft.dev/mesh", "disabled"}};
  const json pod = manifests(gateway, settings())[2]["spec"]["template"];
  EXPECT_EQ(pod["metadata"]["labels"]["istio"], "ingressgateway");
  EXPECT_EQ(pod["metadata"]["labels"]["weft.dev/mesh"], "enabled");
  EXPECT_EQ(pod["metadata"]["labels"][kGatewayLabel], "w");
}

struct Directory {
  Directory() : path(fs::temp_directory_path() / ("weft-out-" + std::to_string(getpid()))) {
    fs::create_directories(path / "objects");
    fs::create_directories(path / "status");
  }
  ~Directory() { fs::remove_all(path); }
  std::size_t count(const char* part) const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path / part), fs::directory_iterator{}));
  }
  fs::path path;
};

TEST(Deploy, WhatIsNoLongerWantedGoesAlsoAfterARestart) {
  Directory dir;
  auto first = files_outcome(dir.path);
  ASSERT_TRUE(first);
  EXPECT_FALSE((*first)->objects(manifests(waypoint(), settings())));
  EXPECT_EQ(dir.count("objects"), 4u);
  auto second = files_outcome(dir.path);
  ASSERT_TRUE(second);
  EXPECT_FALSE((*second)->objects({}));
  EXPECT_EQ(dir.count("objects"), 0u);
}

TEST(Deploy, AStatusFileIsAManifestWithNothingButItsStatus) {
  Directory dir;
  auto out = files_outcome(dir.path);
  ASSERT_TRUE(out);
  const source::ObjectKey key{"VirtualService.networking.istio.io", "shop", "v"};
  const auto status = std::make_shared<json>(json{{"conditions", json::array()}});
  EXPECT_FALSE((*out)->statuses({{key, "networking.istio.io/v1", "VirtualService", status}}, {}));
  std::ifstream file(dir.path / "status" / "VirtualService.networking.istio.io_shop_v.json");
  std::stringstream text;
  text << file.rdbuf();
  auto parsed = source::parse_manifest(text.str(), "f");
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->front()->key(), key);
  EXPECT_FALSE((*out)->statuses({}, {key}));
  EXPECT_EQ(dir.count("status"), 0u);
}

#ifdef WEFT_ENVOY
TEST(Deploy, TheRealEnvoyAcceptsTheBootstrap) {
  Directory dir;
  std::string text = bootstrap(waypoint(), settings());
  const std::string in_pod = "/etc/weft-envoy/roots.json";
  const auto at = text.find(in_pod);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, in_pod.size(), (dir.path / "roots.json").string());
  std::ofstream(dir.path / "roots.json") << "{}";
  std::ofstream(dir.path / "bootstrap.json") << text;
  const std::string command = std::string(WEFT_ENVOY) + " --mode validate -l error -c " +
                              (dir.path / "bootstrap.json").string() + " >" +
                              (dir.path / "log").string() + " 2>&1";
  const int status = std::system(command.c_str());
  std::stringstream log;
  log << std::ifstream(dir.path / "log").rdbuf();
  EXPECT_EQ(status, 0) << log.str();
}
#endif

}  // namespace
}  // namespace weft::controlplane::deploy
