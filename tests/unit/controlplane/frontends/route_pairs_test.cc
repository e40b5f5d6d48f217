// tests/data/route_pairs: a VirtualService and an HTTPRoute that say the same give the same rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "controlplane/frontends/gateway/http_route.h"
#include "controlplane/frontends/istio/virtual_service.h"
#include "ir_text.h"

namespace weft::controlplane {
namespace {

namespace fs = std::filesystem;

std::string text_of_rules(const model::RouteTable& table) {
  std::string out;
  for (const model::HttpRule& rule : table.http) out += text_of(rule);
  return out;
}

TEST(RoutePairs, SayTheSame) {
  std::size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(WEFT_ROUTE_PAIRS_DIR)) {
    ++seen;
    std::ifstream file(entry.path());
    const std::string yaml{std::istreambuf_iterator<char>(file), {}};
    const auto objects = source::parse_manifest(yaml, entry.path().filename().string());
    ASSERT_TRUE(objects) << objects.error().text;
    ASSERT_EQ(objects->size(), 2u) << entry.path();
    const auto istio = istio::decode_virtual_service(*(*objects)[0]);
    ASSERT_TRUE(istio) << istio.error().text;
    const auto gateway = gateway_api::decode_http_route(*(*objects)[1]);
    ASSERT_TRUE(gateway) << gateway.error().text;
    ASSERT_EQ(istio->values.size(), 1u) << entry.path();
    ASSERT_EQ(gateway->values.size(), 1u) << entry.path();
    const model::RouteTable &left = istio->values[0], &right = gateway->values[0];
    EXPECT_TRUE(istio->unsupported.empty()) << entry.path();
    EXPECT_TRUE(gateway->unsupported.empty()) << entry.path();
    EXPECT_EQ(text_of_rules(left), text_of_rules(right)) << entry.path();
    EXPECT_TRUE(left.http == right.http)
        << entry.path() << ": they differ in what text_of does not show";
    EXPECT_EQ(left.service, right.service) << entry.path();
    EXPECT_EQ(left.default_route, right.default_route) << entry.path();
    for (const model::HttpRule& rule : left.http)
      EXPECT_TRUE(rule.retry || rule.backends.empty())
          << entry.path() << ": its retries depend on the API's default";
  }
  EXPECT_GE(seen, 30u);
}

}  // namespace
}  // namespace weft::controlplane
