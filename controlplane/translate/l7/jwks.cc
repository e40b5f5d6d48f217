#include "controlplane/translate/l7/policies.h"

namespace weft::controlplane::translate::l7 {

std::string jwks_address(const model::JwtRule& rule) {
  if (!rule.jwks.empty()) return "";
  if (!rule.jwks_uri.empty()) return rule.jwks_uri;
  std::string issuer = rule.issuer;
  while (issuer.ends_with('/')) issuer.pop_back();
  return issuer + "/.well-known/openid-configuration";
}

}  // namespace weft::controlplane::translate::l7
