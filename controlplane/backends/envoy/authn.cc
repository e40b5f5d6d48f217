#include "controlplane/backends/envoy/authn.h"

#include "controlplane/backends/envoy/match.h"
#include "controlplane/backends/envoy/wire.h"
#include "controlplane/jwks/keys.h"

namespace weft::controlplane::envoy {
namespace {

namespace jwt = ::envoy::extensions::filters::http::jwt_authn::v3;

jwt::JwtProvider provider_of(const model::JwtRule& rule) {
  jwt::JwtProvider out;
  out.set_issuer(rule.issuer);
  for (const std::string& one : rule.audiences) out.add_audiences(one);
  out.mutable_local_jwks()->set_inline_string(
      jwks::usable_keys(rule.jwks).value_or(jwks::nobodys_keys()));
  for (const model::JwtRule::Header& one : rule.from_headers) {
    out.add_from_headers()->set_name(one.name);
    out.mutable_from_headers()->rbegin()->set_value_prefix(one.prefix);
  }
  for (const std::string& one : rule.from_params) out.add_from_params(one);
  for (const std::string& one : rule.from_cookies) out.add_from_cookies(one);
  out.set_forward_payload_header(rule.output_payload_header);
  for (const auto& [claim, header] : rule.claim_to_headers) {
    jwt::JwtClaimToHeader& wire = *out.add_claim_to_headers();
    wire.set_claim_name(claim);
    wire.set_header_name(header);
  }
  out.set_forward(rule.forward_original);
  out.set_payload_in_metadata(kJwtPayload);
  out.mutable_normalize_payload_in_metadata()->add_space_delimited_claims("scope");
  out.mutable_normalize_payload_in_metadata()->add_space_delimited_claims("permission");
  out.set_clear_route_cache(true);  // routes may look at claims
  return out;
}

std::string provider_name(const jwt::JwtProvider& provider) {
  return provider.issuer() + "|" + fingerprint(bytes_of(provider));
}

}  // namespace

std::string requirement_name(const std::vector<model::JwtRule>& rules) {
  std::string all;
  for (const model::JwtRule& rule : rules) all += provider_name(provider_of(rule)) + "\n";
  return fingerprint(all);
}

jwt::JwtAuthentication make_jwt_filter(const Requirements& requirements) {
  jwt::JwtAuthentication out;
  for (const auto& [name, rules] : requirements) {
    jwt::JwtRequirementOrList& any = *(*out.mutable_requirement_map())[name].mutable_requires_any();
    for (const model::JwtRule& rule : rules) {
      const jwt::JwtProvider provider = provider_of(rule);
      const std::string provider_key = provider_name(provider);
      (*out.mutable_providers())[provider_key] = provider;
      any.add_requirements()->set_provider_name(provider_key);
    }
    any.add_requirements()->mutable_allow_missing();
  }
  return out;
}

}  // namespace weft::controlplane::envoy
