#include "controlplane/translate/l7/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

namespace weft::controlplane::translate::l7 {
namespace {

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using CertPtr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

BioPtr open(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
}

// OpenSSL would ask the terminal.
int no_password(char*, int, int, void*) { return -1; }

// The first certificate; null as well when one behind it is damaged.
CertPtr read_chain(const std::string& pem) {
  const BioPtr bio = open(pem);
  CertPtr first(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr), &X509_free);
  while (first) {
    ERR_clear_error();
    const CertPtr next(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr), &X509_free);
    if (next) continue;
    const bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (!end) first.reset();
    break;
  }
  return first;
}

std::string why(const std::string& chain_pem, const std::string& key_pem,
                const std::string& ca_pem) {
  if (chain_pem.empty() && key_pem.empty() && !ca_pem.empty())
    return read_chain(ca_pem) ? "" : "ca.crt holds no PEM certificate";
  const CertPtr leaf = read_chain(chain_pem);
  if (!leaf) return "tls.crt holds no PEM certificate";
  const BioPtr bio = open(key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr),
                   &EVP_PKEY_free);
  if (!key) return "tls.key holds no PEM private key";
  if (X509_check_private_key(leaf.get(), key.get()) != 1) return "tls.key is not tls.crt's";
  if (!ca_pem.empty() && !read_chain(ca_pem)) return "ca.crt holds no PEM certificate";
  return "";
}

}  // namespace

std::string why_no_certificate(const std::string& chain_pem, const std::string& key_pem,
                               const std::string& ca_pem) {
  ERR_clear_error();
  std::string text = why(chain_pem, key_pem, ca_pem);
  ERR_clear_error();
  return text;
}

}  // namespace weft::controlplane::translate::l7
