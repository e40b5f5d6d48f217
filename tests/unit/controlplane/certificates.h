// Keys, requests and chains as a ztunnel makes and checks them. For tests.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

#include "controlplane/ca/x509.h"

namespace weft::controlplane {

// `san` in OpenSSL's words ("URI:spiffe://…"), or empty for none.
inline std::string make_csr(evp_pkey_st* key, const std::string& san,
                            evp_pkey_st* signer = nullptr) {
  X509_REQ* request = X509_REQ_new();
  X509_REQ_set_version(request, 0);
  X509_REQ_set_pubkey(request, key);
  if (!san.empty()) {
    STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name,
                                                     ("critical," + san).c_str()));
    X509_REQ_add_extensions(request, list);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
  X509_REQ_sign(request, signer != nullptr ? signer : key, EVP_sha256());
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509_REQ(bio, request);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  X509_REQ_free(request);
  return text;
}

inline std::string csr_for(const std::string& identity) {
  return make_csr(ca::make_key().get(), "URI:" + identity);
}

// "" when the chain (leaf first) is good for `roots` at `when`, else OpenSSL's words.
inline std::string verify(const std::vector<std::string>& chain, const std::string& roots,
                          WallClock::time_point when = WallClock::now()) {
  X509_STORE* store = X509_STORE_new();
  for (const ca::Cert& root : *ca::parse_certs(roots)) X509_STORE_add_cert(store, root.get());
  std::vector<ca::Cert> certs;
  STACK_OF(X509)* untrusted = sk_X509_new_null();
  for (const std::string& pem : chain) {
    for (ca::Cert& cert : *ca::parse_certs(pem)) certs.push_back(std::move(cert));
  }
  for (std::size_t i = 1; i < certs.size(); ++i) sk_X509_push(untrusted, certs[i].get());
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, certs[0].get(), untrusted);
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), WallClock::to_time_t(when));
  const bool good = X509_verify_cert(context) == 1;
  const std::string why =
      good ? "" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
  X509_STORE_CTX_free(context);
  sk_X509_free(untrusted);
  X509_STORE_free(store);
  return why;
}

}  // namespace weft::controlplane
