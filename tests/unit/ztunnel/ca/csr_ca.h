// CsrCa: a certificate authority that signs requests, in the test process.
#pragma once

#include <openssl/x509v3.h>

#include <atomic>
#include <string>

#include "base/assert.h"
#include "base/clock.h"
#include "ztunnel/ca/keeper.h"
#include "ztunnel/tls/x509.h"

namespace weft::ca {

class CsrCa {
 public:
  explicit CsrCa(const std::string& name) : key_(EVP_EC_gen("P-256")), root_(X509_new()) {
    start(root_.get(), name, WallClock::now() - std::chrono::hours(1), WallClock::now() + std::chrono::hours(24 * 365));
    X509_set_issuer_name(root_.get(), X509_get_subject_name(root_.get()));
    X509_set_pubkey(root_.get(), key_.get());
    add(root_.get(), NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(root_.get(), key_.get(), EVP_sha256());
  }

  std::string root_pem() const { return tls::to_pem(root_.get()); }

  // A leaf with the key and the names of the request, as weft's and Istio's CAs make it.
  std::string sign(const std::string& csr_pem, WallClock::time_point from, WallClock::time_point to) const {
    const auto text = tls::memory_bio(csr_pem);
    X509_REQ* request = PEM_read_bio_X509_REQ(text.get(), nullptr, nullptr, nullptr);
    WEFT_ASSERT(request != nullptr);
    EVP_PKEY* key = X509_REQ_get0_pubkey(request);
    WEFT_ASSERT(X509_REQ_verify(request, key) == 1);
    tls::X509Ptr leaf(X509_new());
    start(leaf.get(), "", from, to);
    X509_set_issuer_name(leaf.get(), X509_get_subject_name(root_.get()));
    X509_set_pubkey(leaf.get(), key);
    add(leaf.get(), NID_ext_key_usage, "serverAuth,clientAuth");
    STACK_OF(X509_EXTENSION)* wanted = X509_REQ_get_extensions(request);
    for (int i = 0; i < sk_X509_EXTENSION_num(wanted); ++i) X509_add_ext(leaf.get(), sk_X509_EXTENSION_value(wanted, i), -1);
    sk_X509_EXTENSION_pop_free(wanted, X509_EXTENSION_free);
    X509_sign(leaf.get(), key_.get(), EVP_sha256());
    X509_REQ_free(request);
    return tls::to_pem(leaf.get());
  }

 private:
  static void start(X509* certificate, const std::string& name, WallClock::time_point from, WallClock::time_point to) {
    static std::atomic<long> serial = 1;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    if (!name.empty()) {
      X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    }
    ASN1_TIME_set(X509_getm_notBefore(certificate), WallClock::to_time_t(from));
    ASN1_TIME_set(X509_getm_notAfter(certificate), WallClock::to_time_t(to));
  }
  static void add(X509* certificate, int kind, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    WEFT_ASSERT(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  tls::KeyPtr key_;
  tls::X509Ptr root_;
};

}  // namespace weft::ca
