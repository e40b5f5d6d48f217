#include "controlplane/jwks/keys.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/base64url.h"
#include "source/nesting.h"

namespace weft::controlplane::jwks {
namespace {

using nlohmann::json;

constexpr std::size_t kNestingMax = 16;
constexpr std::size_t kRsaBytesMin = 128, kRsaBytesMax = 1024;

std::optional<std::string> bytes_of(const json& key, const char* member) {
  const auto found = key.find(member);
  if (found == key.end() || !found->is_string()) return std::nullopt;
  auto out = base64url_decoded(found->get<std::string>());
  if (out && out->empty()) return std::nullopt;
  return out;
}

struct Curve {
  const char *name, *algorithm;
  int id;
  std::size_t size;  // of a coordinate
};
constexpr Curve kCurves[] = {{"P-256", "ES256", NID_X9_62_prime256v1, 32},
                             {"P-384", "ES384", NID_secp384r1, 48},
                             {"P-521", "ES512", NID_secp521r1, 66}};

using Number = std::unique_ptr<BIGNUM, decltype(&::BN_free)>;
Number number(const std::string& bytes) {
  return {::BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                      static_cast<int>(bytes.size()), nullptr),
          &::BN_free};
}

bool is_point(const Curve& curve, const std::string& x, const std::string& y) {
  const std::unique_ptr<EC_GROUP, decltype(&::EC_GROUP_free)> group(
      ::EC_GROUP_new_by_curve_name(curve.id), &::EC_GROUP_free);
  const std::unique_ptr<EC_POINT, decltype(&::EC_POINT_free)> point(::EC_POINT_new(group.get()),
                                                                    &::EC_POINT_free);
  return ::EC_POINT_set_affine_coordinates(group.get(), point.get(), number(x).get(),
                                           number(y).get(), nullptr) == 1;
}

bool is_rsa(const json& key, const std::string& algorithm) {
  if (!algorithm.empty() && !algorithm.starts_with("RS") && !algorithm.starts_with("PS"))
    return false;
  const auto n = bytes_of(key, "n"), e = bytes_of(key, "e");
  // Envoy refuses exponents but 3 and 65537, and so dear ones to verify with.
  if (!n || !e || (*e != "\x03" && *e != std::string("\x01\x00\x01", 3))) return false;
  return n->size() >= kRsaBytesMin && n->size() <= kRsaBytesMax && n->front() != 0 &&
         (n->back() & 1) == 1;
}

bool is_ec(const json& key, const std::string& algorithm) {
  const std::string name = key.value("crv", "");
  for (const Curve& curve : kCurves) {
    if (name != curve.name) continue;
    if (!algorithm.empty() && algorithm != curve.algorithm) return false;
    const auto x = bytes_of(key, "x"), y = bytes_of(key, "y");
    return x && y && x->size() == curve.size && y->size() == curve.size && is_point(curve, *x, *y);
  }
  return false;
}

bool is_usable(const json& key) {
  if (!key.is_object()) return false;
  for (const char* text : {"kty", "kid", "alg", "crv"}) {
    if (key.contains(text) && !key[text].is_string()) return false;
  }
  const std::string kty = key.value("kty", ""), algorithm = key.value("alg", "");
  if (kty == "RSA") return is_rsa(key, algorithm);
  if (kty == "EC") return is_ec(key, algorithm);
  if (kty == "OKP") {
    const auto x = bytes_of(key, "x");
    return key.value("crv", "") == "Ed25519" && x && x->size() == 32 &&
           (algorithm.empty() || algorithm == "EdDSA");
  }
  return kty == "oct" && bytes_of(key, "k") &&
         (algorithm.empty() || algorithm == "HS256" || algorithm == "HS384" ||
          algorithm == "HS512");
}

}  // namespace

Parsed<std::string> usable_keys(std::string_view text) {
  if (text.size() > kBytesMax) return problem("the key set is larger than 1 MiB");
  // What is in a key is copied and written by recursion; a key set has four levels.
  if (source::nesting(text) > kNestingMax) return problem("the key set is nested too deeply");
  const json set = json::parse(text, nullptr, false);
  if (!set.is_object() || !set.contains("keys") || !set["keys"].is_array())
    return problem("the key set is no JSON object with a list of keys");
  json good = json::array();
  for (const json& key : set["keys"]) {
    if (is_usable(key)) good.push_back(key);
  }
  if (good.empty()) return problem("the key set holds no key that can be used");
  return json{{"keys", std::move(good)}}.dump(-1, ' ', true, json::error_handler_t::replace);
}

const std::string& nobodys_keys() {
  // x is the first SHA-256 of "weft: nobody's key N", N = 0, 1 …, that is on the curve; y is the
  // even one. Nobody knows the point's logarithm.
  static const std::string kText =
      R"({"keys":[{"alg":"ES256","crv":"P-256","kid":"weft-nobody","kty":"EC",)"
      R"("x":"IYcDiD-YajPnEcte70EabiaEBMWRxcAgtsQ5HMf0gY4",)"
      R"("y":"j8Q3yElTpoH5ay8msCoUdS0UNXgYS2zAG70MwtxBi1Q"}]})";
  return kText;
}

}  // namespace weft::controlplane::jwks
