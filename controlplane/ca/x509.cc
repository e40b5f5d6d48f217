#include "controlplane/ca/x509.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>

#include "base/assert.h"

namespace weft::controlplane::ca {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

Bio reading(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
std::string contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

WallClock::time_point time_of(const ASN1_TIME* time) {
  tm parts{};
  WEFT_ASSERT(ASN1_TIME_to_tm(time, &parts) == 1);
  return WallClock::from_time_t(timegm(&parts));
}

void set_validity(X509* cert, WallClock::time_point from, WallClock::time_point until) {
  ASN1_TIME_set(X509_getm_notBefore(cert), WallClock::to_time_t(from));
  ASN1_TIME_set(X509_getm_notAfter(cert), WallClock::to_time_t(until));
}

// 127 random bits: positive, and never the same twice.
void set_serial(X509* cert) {
  std::array<unsigned char, 16> bytes{};
  WEFT_ASSERT(RAND_bytes(bytes.data(), bytes.size()) == 1);
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);
  BIGNUM* number = BN_bin2bn(bytes.data(), bytes.size(), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
  BN_free(number);
}

void add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  WEFT_ASSERT(extension != nullptr);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

void add_text(GENERAL_NAMES* names, int type, const std::string& text) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
  GENERAL_NAME_set0_value(name, type, value);
  sk_GENERAL_NAME_push(names, name);
}

// Built without the configuration language, whose separators could be in the value.
void add_names(X509* cert, const std::vector<std::string>& uris,
               const std::vector<std::string>& dns, const std::vector<std::string>& ips,
               bool critical) {
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  for (const std::string& uri : uris) add_text(names, GEN_URI, uri);
  for (const std::string& one : dns) add_text(names, GEN_DNS, one);
  for (const std::string& ip : ips) {
    ASN1_OCTET_STRING* value = a2i_IPADDRESS(ip.c_str());
    if (value == nullptr) continue;
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_IPADD, value);
    sk_GENERAL_NAME_push(names, name);
  }
  X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical ? 1 : 0, X509V3_ADD_DEFAULT);
  GENERAL_NAMES_free(names);
}

Cert begin(Lifetime lifetime) {
  Cert cert(X509_new());
  X509_set_version(cert.get(), 2);
  set_serial(cert.get());
  set_validity(cert.get(), lifetime.from, lifetime.until);
  return cert;
}

void sign(X509* cert, EVP_PKEY* key) {
  const EVP_MD* digest = EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  WEFT_ASSERT(X509_sign(cert, key, digest) > 0);
}

bool is_strong(EVP_PKEY* key) {
  const int id = EVP_PKEY_get_base_id(key);
  if (id == EVP_PKEY_RSA) return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192;
  if (id == EVP_PKEY_ED25519) return true;
  std::array<char, 64> group{};
  if (id != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1)
    return false;
  const std::string_view name = group.data();
  return name == "prime256v1" || name == "P-256" || name == "secp384r1" || name == "P-384";
}

void read_names(X509_REQ* request, Asked& out) {
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request);
  if (extensions == nullptr) return;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_URI) {
      const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
      out.uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                            static_cast<std::size_t>(ASN1_STRING_length(uri)));
    } else {
      out.other_names.push_back("a name of type " + std::to_string(name->type));
    }
  }
  GENERAL_NAMES_free(names);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

}  // namespace

void FreeCert::operator()(x509_st* cert) const { X509_free(cert); }
void FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }
void FreeRequest::operator()(X509_req_st* request) const { X509_REQ_free(request); }

Key make_key() { return Key(EVP_EC_gen("P-256")); }

Parsed<Key> parse_key(std::string_view pem) {
  Key key(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!key) return problem("no private key in PEM");
  return key;
}

std::string key_pem(evp_pkey_st* key) {
  Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return contents(bio.get());
}

Parsed<std::vector<Cert>> parse_certs(std::string_view pem) {
  std::vector<Cert> certs;
  Bio bio = reading(pem);
  while (X509* cert = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    certs.emplace_back(cert);
  ERR_clear_error();
  if (certs.empty()) return problem("no certificate in PEM");
  return certs;
}

std::string cert_pem(x509_st* cert) {
  Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), cert);
  return contents(bio.get());
}

bool is_self_signed(x509_st* cert) { return X509_self_signed(cert, 1) == 1; }
bool matches(x509_st* cert, evp_pkey_st* key) {
  const bool same = X509_check_private_key(cert, key) == 1;
  ERR_clear_error();
  return same;
}

std::string fingerprint(x509_st* cert) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  X509_digest(cert, EVP_sha256(), digest.data(), &size);
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    constexpr std::string_view kHex = "0123456789abcdef";
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

WallClock::time_point not_before(x509_st* cert) { return time_of(X509_get0_notBefore(cert)); }
WallClock::time_point not_after(x509_st* cert) { return time_of(X509_get0_notAfter(cert)); }

Parsed<Asked> parse_request(std::string_view pem) {
  Asked out{.request =
                CertRequest(PEM_read_bio_X509_REQ(reading(pem).get(), nullptr, nullptr, nullptr))};
  ERR_clear_error();
  if (!out.request) return problem("csr: not a PEM certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(out.request.get());
  const bool proven = key != nullptr && X509_REQ_verify(out.request.get(), key) == 1;
  ERR_clear_error();
  if (!proven) return problem("csr: its signature is wrong");
  if (!is_strong(key))
    return problem("csr: the key must be P-256, P-384, Ed25519, or RSA of 2048 to 8192 bits");
  read_names(out.request.get(), out);
  return out;
}

std::string make_request(evp_pkey_st* key, const mesh::Identity& identity) {
  const CertRequest request(X509_REQ_new());
  X509_REQ_set_version(request.get(), 0);
  X509_REQ_set_pubkey(request.get(), key);
  GENERAL_NAMES* names = GENERAL_NAMES_new();
  add_text(names, GEN_URI, identity.str());
  X509_EXTENSION* extension = X509V3_EXT_i2d(NID_subject_alt_name, 1, names);
  STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(list, extension);
  X509_REQ_add_extensions(request.get(), list);
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  GENERAL_NAMES_free(names);
  WEFT_ASSERT(X509_REQ_sign(request.get(), key, EVP_sha256()) > 0);
  Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return contents(bio.get());
}

Cert make_root(evp_pkey_st* key, const std::string& trust_domain, WallClock::time_point from,
               WallClock::time_point until) {
  Cert cert = begin({from, until});
  X509_NAME* name = X509_get_subject_name(cert.get());
  auto add = [&](const char* field, const std::string& text) {
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text.data()),
                               static_cast<int>(text.size()), -1, 0);
  };
  add("O", trust_domain.substr(0, 64));
  // Two roots that overlap must differ in name, or a verifier may try the wrong one first.
  add("CN", "Weft root " + std::to_string(WallClock::to_time_t(from)));
  X509_set_issuer_name(cert.get(), name);
  X509_set_pubkey(cert.get(), key);
  add_extension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(cert.get(), cert.get(), NID_key_usage,
                "critical,keyCertSign,cRLSign,digitalSignature");
  add_extension(cert.get(), cert.get(), NID_subject_key_identifier, "hash");
  sign(cert.get(), key);
  return cert;
}

namespace {

Cert leaf(const Issuer& issuer, EVP_PKEY* key, Lifetime lifetime, bool is_rsa) {
  Cert cert = begin(lifetime);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(issuer.cert));
  X509_set_pubkey(cert.get(), key);
  add_extension(cert.get(), issuer.cert, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(cert.get(), issuer.cert, NID_key_usage,
                is_rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature");
  add_extension(cert.get(), issuer.cert, NID_ext_key_usage, "serverAuth,clientAuth");
  if (X509_get0_subject_key_id(issuer.cert) != nullptr)
    add_extension(cert.get(), issuer.cert, NID_authority_key_identifier, "keyid");
  return cert;
}

}  // namespace

Cert make_leaf(const Issuer& issuer, X509_req_st* request, const mesh::Identity& identity,
               Lifetime lifetime) {
  EVP_PKEY* key = X509_REQ_get0_pubkey(request);
  Cert cert = leaf(issuer, key, lifetime, EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA);
  add_names(cert.get(), {identity.str()}, {}, {}, true);
  sign(cert.get(), issuer.key);
  return cert;
}

Cert make_serving(const Issuer& issuer, evp_pkey_st* key, const std::vector<std::string>& dns,
                  const std::vector<std::string>& ips, Lifetime lifetime) {
  Cert cert = leaf(issuer, key, lifetime, false);
  add_names(cert.get(), {}, dns, ips, true);
  sign(cert.get(), issuer.key);
  return cert;
}

}  // namespace weft::controlplane::ca
