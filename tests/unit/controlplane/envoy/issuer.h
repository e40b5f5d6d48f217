// Somebody who signs tokens (ES256), and his keys as a JWKS.
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

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
  Issuer() : key_(EVP_EC_gen("P-256")) {}
  ~Issuer() { ::EVP_PKEY_free(key_); }
  std::string jwks() const {
    return R"({"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k","x":")" +
           base64url(half("qx")) + R"(","y":")" + base64url(half("qy")) + R"("}]})";
  }
  std::string sign(const std::string& claims) const {
    const std::string text =
        base64url(R"({"alg":"ES256","kid":"k","typ":"JWT"})") + "." + base64url(claims);
    EVP_MD_CTX* context = ::EVP_MD_CTX_new();
    unsigned char der[128];
    std::size_t size = sizeof der;
    ::EVP_DigestSignInit(context, nullptr, ::EVP_sha256(), nullptr, key_);
    ::EVP_DigestSign(context, der, &size, reinterpret_cast<const unsigned char*>(text.data()),
                     text.size());
    ::EVP_MD_CTX_free(context);
    const unsigned char* at = der;
    ECDSA_SIG* signature = ::d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size));
    const std::string raw =
        bytes(::ECDSA_SIG_get0_r(signature)) + bytes(::ECDSA_SIG_get0_s(signature));
    ::ECDSA_SIG_free(signature);
    return text + "." + base64url(raw);
  }

 private:
  static std::string bytes(const BIGNUM* number) {
    std::string out(32, '\0');
    ::BN_bn2binpad(number, reinterpret_cast<unsigned char*>(out.data()), 32);
    return out;
  }
  std::string half(const char* name) const {
    BIGNUM* number = nullptr;
    ::EVP_PKEY_get_bn_param(key_, name, &number);
    std::string out = bytes(number);
    ::BN_free(number);
    return out;
  }
  EVP_PKEY* key_;
};

}  // namespace weft::controlplane::envoy
