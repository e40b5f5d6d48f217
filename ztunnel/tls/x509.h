// OpenSSL's objects with owners, and the little we ask of a certificate. Only for this room and its tests.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace weft::tls {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;

BioPtr memory_bio(std::string_view bytes);  // reads `bytes` in place
std::string take_text(BIO* bio);
// All certificates of a PEM text, in order. Empty when there is none or one is broken.
std::vector<X509Ptr> read_certificates(std::string_view pem);
// URI subject alternative names, as text; names with a zero byte are left out.
std::vector<std::string> uri_names(const X509* certificate);
WallClock::time_point to_time(const ASN1_TIME* time);
std::string serial_of(const X509* certificate);
std::string to_pem(X509* certificate);

}  // namespace weft::tls
