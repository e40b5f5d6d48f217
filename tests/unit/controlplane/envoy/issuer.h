// Somebody who signs tokens, with OpenSSL.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <string>

namespace weft::controlplane::envoy {

inline std::string base64url(const std::string& bytes) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const unsigned char c : bytes) {
    bits = bits << 8 | c;
    for (count += 8; count >= 6;) out += kAlphabet[bits >> (count -= 6) & 63];
  }
  if (count > 0) out += kAlphabet[bits << (6 - count) & 63];
  return out;
}

class Issuer {
 public:
  // ES256, ES384, ES512, RS256, EdDSA or HS256.
  explicit Issuer(const std::string& algorithm = "ES256") : algorithm_(algorithm) {
    if (algorithm == "RS256") key_ = EVP_RSA_gen(2048);
    if (algorithm == "ES256") key_ = EVP_EC_gen("P-256");
    if (algorithm == "ES384") key_ = EVP_EC_gen("P-384");
    if (algorithm == "ES512") key_ = EVP_EC_gen("P-521");
    if (algorithm == "EdDSA") key_ = ::EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    if (algorithm == "HS256")
      key_ = ::EVP_PKEY_new_raw_private_key(
          EVP_PKEY_HMAC, nullptr, reinterpret_cast<const unsigned char*>(kSecret), kSecretSize);
  }
  Issuer(const Issuer&) = delete;
  Issuer& operator=(const Issuer&) = delete;
  ~Issuer() { ::EVP_PKEY_free(key_); }

  std::string key() const {
    std::string out = R"({"kid":"k","alg":")" + algorithm_ + R"(",)";
    if (algorithm_ == "RS256")
      return out + R"("kty":"RSA","n":")" + base64url(number("n")) + R"(","e":"AQAB"})";
    if (algorithm_ == "HS256") return out + R"("kty":"oct","k":")" + base64url(kSecret) + "\"}";
    if (algorithm_ == "EdDSA") {
      std::string raw(32, '\0');
      std::size_t size = raw.size();
      ::EVP_PKEY_get_raw_public_key(key_, reinterpret_cast<unsigned char*>(raw.data()), &size);
      return out + R"("kty":"OKP","crv":"Ed25519","x":")" + base64url(raw) + "\"}";
    }
    const char* curve = algorithm_ == "ES256" ? "P-256" : algorithm_ == "ES384" ? "P-384" : "P-521";
    return out + R"("kty":"EC","crv":")" + curve + R"(","x":")" + base64url(number("qx", half())) +
           R"(","y":")" + base64url(number("qy", half())) + "\"}";
  }
  std::string jwks() const { return "{\"keys\":[" + key() + "]}"; }

  std::string sign(const std::string& claims) const {
    const std::string text = base64url(R"({"alg":")" + algorithm_ + R"(","kid":"k","typ":"JWT"})") +
                             "." + base64url(claims);
    const EVP_MD* digest = algorithm_ == "EdDSA"         ? nullptr
                           : algorithm_.ends_with("384") ? ::EVP_sha384()
                           : algorithm_.ends_with("512") ? ::EVP_sha512()
                                                         : ::EVP_sha256();
    EVP_MD_CTX* context = ::EVP_MD_CTX_new();
    unsigned char out[512];
    std::size_t size = sizeof out;
    ::EVP_DigestSignInit(context, nullptr, digest, nullptr, key_);
    ::EVP_DigestSign(context, out, &size, reinterpret_cast<const unsigned char*>(text.data()),
                     text.size());
    ::EVP_MD_CTX_free(context);
    std::string signature(reinterpret_cast<const char*>(out), size);
    if (algorithm_.starts_with("ES")) signature = halves(signature);
    return text + "." + base64url(signature);
  }

 private:
  static constexpr const char* kSecret = "a secret of many bytes, shared by two";
  static constexpr std::size_t kSecretSize = 37;

  std::size_t half() const { return algorithm_ == "ES256" ? 32 : algorithm_ == "ES384" ? 48 : 66; }
  // r and s of a signature in DER.
  std::string halves(const std::string& der) const {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* signature = ::d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    const std::string out =
        bytes(::ECDSA_SIG_get0_r(signature), half()) + bytes(::ECDSA_SIG_get0_s(signature), half());
    ::ECDSA_SIG_free(signature);
    return out;
  }
  static std::string bytes(const BIGNUM* number, std::size_t size) {
    std::string out(size, '\0');
    ::BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size));
    return out;
  }
  std::string number(const char* name, std::size_t size = 0) const {
    BIGNUM* number = nullptr;
    ::EVP_PKEY_get_bn_param(key_, name, &number);
    std::string out =
        bytes(number, size == 0 ? static_cast<std::size_t>(BN_num_bytes(number)) : size);
    ::BN_free(number);
    return out;
  }
  const std::string algorithm_;
  EVP_PKEY* key_ = nullptr;
};

}  // namespace weft::controlplane::envoy
