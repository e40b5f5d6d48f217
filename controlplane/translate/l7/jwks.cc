// Key sets: which keys a verifier can use. One bad set must never reach an Envoy, where it would
// take the others down with it.
#include <nlohmann/json.hpp>

#include "controlplane/translate/l7/policies.h"

namespace weft::controlplane::translate::l7 {
namespace {

using nlohmann::json;

// Bytes behind unpadded base64url; 0 when it is none.
std::size_t decoded_size(const json& key, const char* name) {
  const auto found = key.find(name);
  if (found == key.end() || !found->is_string()) return 0;
  const auto text = found->get<std::string>();
  const bool clean = text.find_first_not_of(
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789-_") == std::string::npos;
  return clean && text.size() % 4 != 1 ? text.size() * 3 / 4 : 0;
}

std::string text_of(const json& key, const char* name) {
  const auto found = key.find(name);
  return found != key.end() && found->is_string() ? found->get<std::string>() : "";
}

bool is_usable(const json& key) {
  if (!key.is_object()) return false;
  const auto kty = key.find("kty");
  if (kty == key.end() || !kty->is_string()) return false;
  if (key.contains("alg") && !key["alg"].is_string()) return false;
  if (key.contains("kid") && !key["kid"].is_string()) return false;
  if (*kty == "RSA") return decoded_size(key, "n") >= 128 && decoded_size(key, "e") >= 1;
  if (*kty == "EC") {
    const std::string curve = text_of(key, "crv");
    const std::size_t size = curve == "P-256"   ? 32
                             : curve == "P-384" ? 48
                             : curve == "P-521" ? 66
                                                : 0;
    return size != 0 && decoded_size(key, "x") == size && decoded_size(key, "y") == size;
  }
  if (*kty == "OKP") return text_of(key, "crv") == "Ed25519" && decoded_size(key, "x") == 32;
  return *kty == "oct" && decoded_size(key, "k") != 0;
}

}  // namespace

std::string jwks_address(const model::JwtRule& rule) {
  if (!rule.jwks.empty()) return "";
  if (!rule.jwks_uri.empty()) return rule.jwks_uri;
  std::string issuer = rule.issuer;
  while (issuer.ends_with('/')) issuer.pop_back();
  return issuer + "/.well-known/openid-configuration";
}

Parsed<std::string> usable_jwks(const std::string& text) {
  const json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("keys") || !parsed["keys"].is_array())
    return problem("the key set is no JSON object with a list of keys");
  json out{{"keys", json::array()}};
  for (const json& key : parsed["keys"]) {
    if (is_usable(key)) out["keys"].push_back(key);
  }
  if (out["keys"].empty()) return problem("the key set holds no key that can be used");
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

const std::string& never_valid_jwks() {
  // x = SHA-256("weft: no private key 1"), a point of P-256: nobody knows its logarithm.
  static const std::string kText =
      R"({"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"weft-never-valid",)"
      R"("x":"JY7-cS2oqtkBq8ld6bQDrcLXnUt3JJKEZZ_88gfQBwg",)"
      R"("y":"UIwfyFHpA3k0oqlKF13PVQWbbM5d7uHBMW739WWXxhc"}]})";
  return kText;
}

}  // namespace weft::controlplane::translate::l7
