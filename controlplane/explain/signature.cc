#include "controlplane/explain/signature.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <memory>

#include "base/base64url.h"

namespace weft::controlplane::explain {
namespace {

using nlohmann::json;

struct Free {
  void operator()(EVP_PKEY* one) const { ::EVP_PKEY_free(one); }
  void operator()(EVP_PKEY_CTX* one) const { ::EVP_PKEY_CTX_free(one); }
  void operator()(EVP_MD_CTX* one) const { ::EVP_MD_CTX_free(one); }
  void operator()(OSSL_PARAM* one) const { ::OSSL_PARAM_free(one); }
  void operator()(OSSL_PARAM_BLD* one) const { ::OSSL_PARAM_BLD_free(one); }
  void operator()(BIGNUM* one) const { ::BN_free(one); }
  void operator()(ECDSA_SIG* one) const { ::ECDSA_SIG_free(one); }
};
template <class T>
using Own = std::unique_ptr<T, Free>;

const unsigned char* bytes(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
Own<BIGNUM> number(const std::string& text) {
  return Own<BIGNUM>(::BN_bin2bn(bytes(text), static_cast<int>(text.size()), nullptr));
}
std::string text_of(const json& key, const char* member) {
  return key.contains(member) && key[member].is_string() ? key[member].get<std::string>() : "";
}

Own<EVP_PKEY> make_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Own<OSSL_PARAM> parameters(::OSSL_PARAM_BLD_to_param(builder));
  const Own<EVP_PKEY_CTX> context(::EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* out = nullptr;
  if (!parameters || !context || ::EVP_PKEY_fromdata_init(context.get()) != 1 ||
      ::EVP_PKEY_fromdata(context.get(), &out, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return Own<EVP_PKEY>(out);
}

Own<EVP_PKEY> rsa_key(const json& jwk) {
  const auto n = base64url_decoded(text_of(jwk, "n")), e = base64url_decoded(text_of(jwk, "e"));
  if (!n || !e) return nullptr;
  const Own<BIGNUM> modulus = number(*n), exponent = number(*e);
  const Own<OSSL_PARAM_BLD> builder(::OSSL_PARAM_BLD_new());
  ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  return make_key("RSA", builder.get());
}

std::size_t size_of_curve(const std::string& curve) {
  return curve == "P-256" ? 32 : curve == "P-384" ? 48 : curve == "P-521" ? 66 : 0;
}

Own<EVP_PKEY> ec_key(const json& jwk) {
  const auto x = base64url_decoded(text_of(jwk, "x")), y = base64url_decoded(text_of(jwk, "y"));
  const std::string curve = text_of(jwk, "crv");
  const std::size_t size = size_of_curve(curve);
  if (!x || !y || size == 0 || x->size() != size || y->size() != size) return nullptr;
  const std::string point = "\x04" + *x + *y;
  const Own<OSSL_PARAM_BLD> builder(::OSSL_PARAM_BLD_new());
  ::OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.c_str(), 0);
  ::OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                     point.size());
  return make_key("EC", builder.get());
}

// "ES256" → its digest; null: an algorithm that nobody takes.
const EVP_MD* digest_of(const std::string& algorithm) {
  if (algorithm.size() != 5) return nullptr;
  const std::string bits = algorithm.substr(2);
  return bits == "256"   ? ::EVP_sha256()
         : bits == "384" ? ::EVP_sha384()
         : bits == "512" ? ::EVP_sha512()
                         : nullptr;
}

// JOSE writes r and s side by side; OpenSSL wants DER.
std::string der_of(const std::string& signature) {
  if (signature.empty() || signature.size() % 2 != 0) return "";
  const std::size_t half = signature.size() / 2;
  const Own<ECDSA_SIG> out(::ECDSA_SIG_new());
  ::ECDSA_SIG_set0(out.get(), number(signature.substr(0, half)).release(),
                   number(signature.substr(half)).release());
  unsigned char* der = nullptr;
  const int size = ::i2d_ECDSA_SIG(out.get(), &der);
  const std::string text(reinterpret_cast<const char*>(der), size > 0 ? size : 0);
  ::OPENSSL_free(der);
  return text;
}

bool verify_one(EVP_PKEY* key, const std::string& algorithm, const std::string& text,
                const std::string& given) {
  const EVP_MD* digest = digest_of(algorithm);
  const Own<EVP_MD_CTX> context(::EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  if (digest == nullptr ||
      ::EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, key) != 1)
    return false;
  if (algorithm.starts_with("PS") &&
      (::EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
       ::EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1))
    return false;
  const std::string signature = algorithm.starts_with("ES") ? der_of(given) : given;
  return ::EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text),
                            text.size()) == 1;
}

}  // namespace

Signed verify(const json& keys, const std::string& algorithm, const std::string& kid,
              const std::string& text, const std::string& signature) {
  const bool rsa = algorithm.starts_with("RS") || algorithm.starts_with("PS");
  if (!rsa && !algorithm.starts_with("ES")) return Signed::kNoKey;
  Signed out = Signed::kNoKey;
  if (!keys.is_object() || !keys.contains("keys") || !keys["keys"].is_array()) return out;
  for (const json& jwk : keys["keys"]) {
    if (!jwk.is_object() || text_of(jwk, "kty") != (rsa ? "RSA" : "EC")) continue;
    const std::string of_key = text_of(jwk, "kid"), alg = text_of(jwk, "alg");
    if (!kid.empty() && !of_key.empty() && of_key != kid) continue;
    if (!alg.empty() && alg != algorithm) continue;
    const Own<EVP_PKEY> key = rsa ? rsa_key(jwk) : ec_key(jwk);
    if (!key) continue;
    if (verify_one(key.get(), algorithm, text, signature)) return Signed::kGood;
    out = Signed::kBad;
  }
  return out;
}

}  // namespace weft::controlplane::explain
