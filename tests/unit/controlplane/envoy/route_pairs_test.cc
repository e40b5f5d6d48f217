// tests/data/route_pairs: a VirtualService and an HTTPRoute that say the same become the same bytes
// for Envoy. golden/NAME.txtpb shows the routes; WEFT_UPDATE_GOLDEN=1 writes the files: read the
// difference before committing it.
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "controlplane/backends/envoy/resources.h"
#include "l7_world.h"
#include "live.h"

namespace weft::controlplane {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScopedRoutes =
    "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration";

std::string slurp(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string app(const std::string& ns, const std::string& name, int number) {
  const auto octet = std::to_string(number);
  return http_service(ns, name, "10.96.0." + octet) +
         "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "-1, namespace: " + ns +
         ", labels: {app: " + name +
         "}}\nspec: {nodeName: node1, serviceAccountName: default, containers: [{name: c, ports: "
         "[{containerPort: 8080}]}]}\nstatus: {phase: Running, podIP: 10.244.1." +
         octet + ", conditions: [{type: Ready, status: \"True\"}]}\n";
}

// What the waypoint of `default` is to do when `routes` is all that is said about routes.
std::optional<model::Plan> planned(const std::string& routes) {
  L7World world;
  std::string yaml =
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {weft.dev/mesh: "
      "enabled}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: "
      "{weft.dev/mesh: enabled}}\n---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: "
      "ReferenceGrant\nmetadata: {name: all, namespace: other}\nspec:\n  from: [{group: "
      "gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]\n  to: [{group: \"\", "
      "kind: Service}]\n";
  int number = 1;
  for (const char* name : {"reviews", "reviews-v1", "reviews-v2", "reviews-v3"})
    yaml += app("default", name, number++);
  world.put(yaml + app("other", "reviews", number));
  world.put(routes);
  world.serve("default");
  const auto plan = world.plans.find("waypoint~default/weft-waypoint");
  if (plan == world.plans.end()) return std::nullopt;
  return plan->second;
}

xds::SnapshotPtr told(const std::string& routes) {
  const auto plan = planned(routes);
  return plan ? envoy::resources(*plan, {}, "") : nullptr;
}

std::string text_of_routes(const xds::Snapshot& snapshot) {
  const std::string type(
      std::string_view(kScopedRoutes).substr(std::string_view(kScopedRoutes).rfind('/') + 1));
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  google::protobuf::TextFormat::Printer printer;
  printer.SetExpandAny(true);
  std::string out;
  for (const auto& [name, resource] : snapshot.types.at(kScopedRoutes)) {
    const std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
    if (!message->ParseFromString(resource->body)) return "not a ScopedRouteConfiguration: " + name;
    std::string text;
    printer.PrintToString(*message, &text);
    out += "# " + name + "\n" + text;
  }
  return out;
}

// The two halves of each file of the folder.
struct Pair {
  fs::path path;
  std::string istio, gateway;
};

std::vector<Pair> pairs() {
  std::vector<Pair> out;
  for (const auto& entry : fs::directory_iterator(WEFT_ROUTE_PAIRS_DIR)) {
    const auto yaml = slurp(entry.path());
    const auto middle = yaml.find("\n---\n");
    EXPECT_NE(middle, std::string::npos) << entry.path();
    if (middle != std::string::npos)
      out.push_back({entry.path(), yaml.substr(0, middle + 1), yaml.substr(middle + 5)});
  }
  EXPECT_GE(out.size(), 30u);
  return out;
}

TEST(RoutePairs, BecomeTheSameBytes) {
  for (const Pair& pair : pairs()) {
    const auto istio = told(pair.istio), gateway = told(pair.gateway);
    ASSERT_TRUE(istio) << pair.path << ": no waypoint for the VirtualService";
    ASSERT_TRUE(gateway) << pair.path << ": no waypoint for the HTTPRoute";
    const auto text = text_of_routes(*istio);
    EXPECT_EQ(text, text_of_routes(*gateway)) << pair.path;
    ASSERT_EQ(istio->types.size(), gateway->types.size()) << pair.path;
    for (const auto& [type, resources] : istio->types) {
      const auto& others = gateway->types.at(type);
      ASSERT_EQ(resources.size(), others.size()) << pair.path << " " << type;
      for (const auto& [name, resource] : resources) {
        ASSERT_TRUE(others.contains(name)) << pair.path << " " << name;
        EXPECT_TRUE(resource->body == others.at(name)->body) << pair.path << " " << name;
      }
    }
    fs::path golden = fs::path(WEFT_GOLDEN_DIR) / pair.path.filename();
    golden.replace_extension(".txtpb");
    if (std::getenv("WEFT_UPDATE_GOLDEN") != nullptr) std::ofstream(golden) << text;
    EXPECT_EQ(text, slurp(golden)) << golden;
  }
}

class LivePairs : public envoy::LiveEnvoy {};

TEST_F(LivePairs, AreTakenByTheRealEnvoy) {
  for (const Pair& pair : pairs()) {
    auto plan = planned(pair.istio);
    ASSERT_TRUE(plan) << pair.path;
    plan->id = kId;
    apply(*plan);
    ASSERT_FALSE(HasFailure()) << pair.path;
  }
}

}  // namespace
}  // namespace weft::controlplane
