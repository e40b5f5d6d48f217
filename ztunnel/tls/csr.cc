#include "ztunnel/tls/csr.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "ztunnel/tls/x509.h"

namespace weft::tls {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;

// Built by hand: the text form of OpenSSL's configuration language would give ',' and ':' in a name a meaning.
ExtensionPtr critical_uri_name(const std::string& uri) {
  NamesPtr names(sk_GENERAL_NAME_new_null());
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  if (!names || name == nullptr || text == nullptr) return nullptr;
  ASN1_STRING_set(text, uri.data(), static_cast<int>(uri.size()));
  GENERAL_NAME_set0_value(name, GEN_URI, text);
  sk_GENERAL_NAME_push(names.get(), name);
  return ExtensionPtr(X509V3_EXT_i2d(NID_subject_alt_name, 1, names.get()));
}

bool add_extension(X509_REQ* request, X509_EXTENSION* extension) {
  STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(list, extension);
  const bool added = X509_REQ_add_extensions(request, list) == 1;
  sk_X509_EXTENSION_free(list);
  return added;
}

}  // namespace

Result<CertificateRequest> make_certificate_request(const mesh::Identity& identity) {
  KeyPtr key(EVP_EC_gen("P-256"));
  RequestPtr request(X509_REQ_new());
  ExtensionPtr extension = critical_uri_name(identity.str());
  const bool made = key && request && extension && X509_REQ_set_version(request.get(), 0) == 1 &&
                    add_extension(request.get(), extension.get()) && X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                    X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0;
  BioPtr key_text(BIO_new(BIO_s_mem())), request_text(BIO_new(BIO_s_mem()));
  if (!made || PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_X509_REQ(request_text.get(), request.get()) != 1) {
    ERR_clear_error();
    return fail(Code::kSystem, "certificate request");
  }
  return CertificateRequest{take_text(key_text.get()), take_text(request_text.get())};
}

}  // namespace weft::tls
