// TestCa: a certificate authority in the test process. Issues good leaves, and bad ones on request.
#pragma once

#include <openssl/x509v3.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "mesh/identity.h"
#include "ztunnel/tls/credentials.h"
#include "ztunnel/tls/x509.h"

namespace weft::tls {

struct LeafWish {
  std::vector<std::string> uris;
  std::string extended_key_usage = "serverAuth,clientAuth";  // empty: no such extension
  long valid_from = -60;                                     // seconds from now
  long valid_to = 3600;
};

struct Leaf {
  std::string chain_pem;
  std::string key_pem;
};

class TestCa {
 public:
  explicit TestCa(const std::string& name = "test root") : key_(EVP_EC_gen("P-256")), root_(make(name)) {
    add(root_.get(), NID_basic_constraints, "critical,CA:TRUE");
    add(root_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(root_.get(), nullptr, root_.get(), key_.get(), -3600, 86400);
  }

  std::string root_pem() const { return to_pem(root_.get()); }

  Leaf issue(const LeafWish& wish) const {
    KeyPtr key(EVP_EC_gen("P-256"));
    X509Ptr leaf(make(""));
    if (!wish.extended_key_usage.empty()) add(leaf.get(), NID_ext_key_usage, wish.extended_key_usage.c_str());
    std::string names;
    for (const std::string& uri : wish.uris) names += (names.empty() ? "critical,URI:" : ",URI:") + uri;
    if (!names.empty()) add(leaf.get(), NID_subject_alt_name, names.c_str());
    sign(leaf.get(), key.get(), root_.get(), key_.get(), wish.valid_from, wish.valid_to);
    BioPtr text(BIO_new(BIO_s_mem()));
    WEFT_ASSERT(PEM_write_bio_PKCS8PrivateKey(text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return {to_pem(leaf.get()), take_text(text.get())};
  }

  CredentialsPtr credentials(const LeafWish& wish) const {
    const Leaf leaf = issue(wish);
    auto made = Credentials::parse(leaf.chain_pem, leaf.key_pem, root_pem());
    WEFT_ASSERT(made.has_value());
    return *made;
  }
  CredentialsPtr credentials(const mesh::Identity& identity) const { return credentials(LeafWish{.uris = {identity.str()}}); }

 private:
  X509Ptr make(const std::string& name) const {
    static std::atomic<long> serial = 1000;
    X509Ptr certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
    if (!name.empty()) {
      X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    }
    return certificate;
  }

  static void add(X509* certificate, int kind, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    WEFT_ASSERT(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  static void sign(X509* certificate, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, long from, long to) {
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    X509_gmtime_adj(X509_getm_notBefore(certificate), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to);
    X509_set_pubkey(certificate, key != nullptr ? key : issuer_key);
    WEFT_ASSERT(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
  }

  KeyPtr key_;
  X509Ptr root_;
};

inline mesh::Identity test_identity(const std::string& service_account) { return {"cluster.local", "default", service_account}; }

}  // namespace weft::tls
