#include "controlplane/frontends/istio/authorization.h"
#include "controlplane/frontends/istio/destination_rule.h"
#include "controlplane/frontends/istio/virtual_service.h"
#include "ir_text.h"

namespace weft::controlplane {
namespace {

void put_conditions(const std::vector<model::Condition>& conditions, std::string& out) {
  for (const model::Condition& one : conditions)
    out += "# " + one.type + "=" + (one.status ? "True" : "False") + " " + one.reason + ": " +
           one.message + "\n";
}

template <class X>
std::string text(const Parsed<model::Decoded<X>>& decoded) {
  if (!decoded) return "refused: " + decoded.error().text + "\n";
  std::string out;
  for (const X& value : decoded->values) out += text_of(value);
  for (const std::string& warning : decoded->warnings) out += "# warning: " + warning + "\n";
  put_conditions(decoded->conditions, out);
  return out;
}

}  // namespace

std::string decoded_text(const source::Object& object) {
  const std::string kind = object.key().kind;
  if (kind == "VirtualService.networking.istio.io")
    return text(istio::decode_virtual_service(object));
  if (kind == "DestinationRule.networking.istio.io")
    return text(istio::decode_destination_rule(object));
  if (kind == "AuthorizationPolicy.security.istio.io") {
    const auto policy = istio::decode_authorization_policy(object, false);
    if (!policy) return "refused: " + policy.error().text + "\n";
    std::string out = text_of(*policy);
    put_conditions(policy->conditions, out);
    return out;
  }
  return "no front end knows " + kind + "\n";
}

}  // namespace weft::controlplane
