// A fresh P-256 key and the certificate request for it. Source: ambient-protocol facts §6.1: empty subject, one critical SAN
// extension with a single URI, ecdsa-with-SHA256.
#pragma once

#include <string>

#include "base/result.h"
#include "mesh/identity.h"

namespace weft::tls {

struct CertificateRequest {
  std::string key_pem;  // PKCS#8
  std::string csr_pem;
};

// Any thread; about 100 µs. Errors: kSystem (the library could not; out of memory or entropy).
Result<CertificateRequest> make_certificate_request(const mesh::Identity& identity);

}  // namespace weft::tls
