#include "controlplane/backends/envoy/authn.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "controlplane/backends/envoy/match.h"
#include "controlplane/backends/envoy/wire.h"

namespace weft::controlplane::envoy {
namespace {

namespace jwt = ::envoy::extensions::filters::http::jwt_authn::v3;
using nlohmann::json;

// A point of P-256 whose discrete logarithm nobody knows: x is the first SHA-256 of "weft: nobody's
// key N", N = 0, 1 …, that is on the curve; y is the even one.
constexpr const char* kNobodysKey =
    R"({"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"weft-nobody","x":"IYcDiD-YajPnEcte70EabiaEBMWRxcAgtsQ5HMf0gY4","y":"j8Q3yElTpoH5ay8msCoUdS0UNXgYS2zAG70MwtxBi1Q"}]})";

std::optional<std::string> base64url(const json& key, const char* member) {
  const auto found = key.find(member);
  if (found == key.end() || !found->is_string()) return std::nullopt;
  const std::string text = found->get<std::string>();
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    if (c >= '0' && c <= '9') value = c - '0' + 52;
    if (c == '-') value = 62;
    if (c == '_') value = 63;
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8));
  }
  if (out.empty() || text.size() % 4 == 1) return std::nullopt;
  return out;
}

using Number = std::unique_ptr<BIGNUM, decltype(&::BN_free)>;
Number number(const std::string& bytes) {
  return {::BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                      static_cast<int>(bytes.size()), nullptr),
          &::BN_free};
}

bool is_on_curve(const json& key) {
  const std::string curve = key.value("crv", "");
  const int id = curve == "P-256"   ? NID_X9_62_prime256v1
                 : curve == "P-384" ? NID_secp384r1
                 : curve == "P-521" ? NID_secp521r1
                                    : NID_undef;
  const auto x = base64url(key, "x"), y = base64url(key, "y");
  if (id == NID_undef || !x || !y) return false;
  const std::unique_ptr<EC_GROUP, decltype(&::EC_GROUP_free)> group(
      ::EC_GROUP_new_by_curve_name(id), &::EC_GROUP_free);
  const std::unique_ptr<EC_POINT, decltype(&::EC_POINT_free)> point(::EC_POINT_new(group.get()),
                                                                    &::EC_POINT_free);
  return ::EC_POINT_set_affine_coordinates(group.get(), point.get(), number(*x).get(),
                                           number(*y).get(), nullptr) == 1;
}

bool is_usable(const json& key) {
  if (!key.is_object()) return false;
  for (const char* text : {"kty", "kid", "alg", "crv"}) {
    if (key.contains(text) && !key[text].is_string()) return false;
  }
  const std::string kty = key.value("kty", ""), alg = key.value("alg", "");
  if (kty == "RSA") {
    const auto n = base64url(key, "n"), e = base64url(key, "e");
    return n && e && n->size() >= 128 && n->size() <= 2048 && e->size() <= 8 &&
           (alg.empty() || alg.starts_with("RS") || alg.starts_with("PS"));
  }
  if (kty == "EC") return is_on_curve(key) && (alg.empty() || alg.starts_with("ES"));
  return false;
}

jwt::JwtProvider provider_of(const model::JwtRule& rule) {
  jwt::JwtProvider out;
  out.set_issuer(rule.issuer);
  for (const std::string& one : rule.audiences) out.add_audiences(one);
  out.mutable_local_jwks()->set_inline_string(usable_keys(rule.jwks));
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

std::string usable_keys(const std::string& text) {
  json set = json::parse(text, nullptr, false);
  if (!set.is_object() || !set.contains("keys") || !set["keys"].is_array()) return kNobodysKey;
  json good = json::array();
  for (const json& key : set["keys"]) {
    if (is_usable(key)) good.push_back(key);
  }
  if (good.empty()) return kNobodysKey;
  set = json{{"keys", std::move(good)}};
  return set.dump(-1, ' ', true, json::error_handler_t::replace);
}

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
