// tests/data/route_pairs: a VirtualService and an HTTPRoute that say the same become the same bytes
// for Envoy. golden/NAME.txtpb shows the routes; WEFT_UPDATE_GOLDEN=1 writes the files: read the
// difference before committing it.
#include "route_pairs.h"

#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "controlplane/backends/envoy/resources.h"
#include "routed.h"

namespace weft::controlplane {
namespace {

constexpr const char* kScopedRoutes =
    "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration";

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

class LivePairs : public Routed {};

TEST_F(LivePairs, AreTakenByTheRealEnvoy) {
  for (const Pair& pair : pairs()) {
    say(pair.istio);
    ASSERT_FALSE(HasFailure()) << pair.path;
  }
}

}  // namespace
}  // namespace weft::controlplane
