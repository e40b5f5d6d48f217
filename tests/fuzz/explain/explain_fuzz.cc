// Requests from anyone, "METHOD\nTARGET\nTOKEN": a target is read as a path without dots and
// doubled slashes or refused, and no token is good that its issuer did not sign.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "controlplane/explain/evaluate.h"

namespace {

using namespace weft;
using namespace weft::controlplane;

// A key that nobody has: see backends/envoy/authn.cc.
constexpr const char* kKeys =
    R"({"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","x":"IYcDiD-YajPnEcte70EabiaEBMWRxcAgtsQ5HMf0gY4","y":"j8Q3yElTpoH5ay8msCoUdS0UNXgYS2zAG70MwtxBi1Q"}]})";

model::PlanService service() {
  model::PlanService out{.key = {"shop", "reviews", 80}, .target_port = 8080};
  model::AuthzRule rule{
      .to = {{.hosts = {{{.kind = model::TextMatch::Kind::kSuffix, .value = "x"}}, {}},
              .paths = {{{.kind = model::TextMatch::Kind::kTemplate, .value = "/{*}/{**}"}}, {}}}},
      .when = {{.key = "request.auth.claims[a][b]", .values = {{{.value = "c"}}, {}}}}};
  out.authz.sets = {{{{.name = "shop/deny", .action = model::Action::kDeny, .rules = {rule}}}}};
  out.jwt = {{.issuer = "i", .jwks = kKeys}};
  out.routes.resize(1);
  out.routes[0].rule.matches = {
      {.path = model::TextMatch{.kind = model::TextMatch::Kind::kSegmentPrefix, .value = "/a/"},
       .query = {{.name = "q", .text = {.value = "1"}}}}};
  out.routes[0].rule.direct = model::DirectResponse{};
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const model::PlanService kService = service();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto first = std::min(text.find('\n'), size),
             second = std::min(text.find('\n', first + 1), size);
  explain::Request request{.method = text.substr(0, first)};
  if (first < size) request.target = text.substr(first + 1, second - first - 1);
  if (second < size) request.headers = {{"authorization", "Bearer " + text.substr(second + 1)}};
  const explain::Target target = explain::read_target(request.target);
  if (target.is == explain::Target::Is::kGood) {
    WEFT_ASSERT(target.path.starts_with('/'));
    const std::string path = target.path + "/";
    WEFT_ASSERT(target.path.find("//") == std::string::npos);
    WEFT_ASSERT(path.find("/../") == std::string::npos);
    WEFT_ASSERT(path.find("/./") == std::string::npos);
  }
  const explain::Outcome outcome = explain::evaluate(
      kService, request, WallClock::time_point(std::chrono::seconds(1'800'000'000)));
  WEFT_ASSERT(outcome.token.claims.is_null());
  return 0;
}
