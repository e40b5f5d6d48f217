// X.509 by OpenSSL, as far as a SPIFFE CA needs it: keys, roots, requests, leaves. Values; no
// files, no clock.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "mesh/identity.h"

extern "C" {
struct x509_st;
struct evp_pkey_st;
struct X509_req_st;
}

namespace weft::controlplane::ca {

struct FreeCert {
  void operator()(x509_st* cert) const;
};
struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};
struct FreeRequest {
  void operator()(X509_req_st* request) const;
};
using Cert = std::unique_ptr<x509_st, FreeCert>;
using Key = std::unique_ptr<evp_pkey_st, FreeKey>;
using CertRequest = std::unique_ptr<X509_req_st, FreeRequest>;

Key make_key();  // ECDSA P-256
Parsed<Key> parse_key(std::string_view pem);
std::string key_pem(evp_pkey_st* key);
Parsed<std::vector<Cert>> parse_certs(std::string_view pem);
std::string cert_pem(x509_st* cert);
bool is_self_signed(x509_st* cert);
bool matches(x509_st* cert, evp_pkey_st* key);
std::string fingerprint(x509_st* cert);  // SHA-256, hex
WallClock::time_point not_before(x509_st* cert);
WallClock::time_point not_after(x509_st* cert);

// What a signing request asks for, its own signature checked.
struct Asked {
  CertRequest request;
  std::vector<std::string> uris, other_names;  // subject alternative names
};
// Refuses: no PEM, a wrong signature, weak keys (RSA below 2048 bits, curves other than P-256,
// P-384 and Ed25519).
Parsed<Asked> parse_request(std::string_view pem);

// PEM of a request as ztunnel makes it: empty subject, the identity as the one critical URI SAN.
std::string make_request(evp_pkey_st* key, const mesh::Identity& identity);

Cert make_root(evp_pkey_st* key, const std::string& trust_domain, WallClock::time_point from,
               WallClock::time_point until);

struct Issuer {
  x509_st* cert;
  evp_pkey_st* key;
};
struct Lifetime {
  WallClock::time_point from, until;
};
// A workload's leaf: empty subject, the identity as the one (critical) URI SAN, client and server
// authentication.
Cert make_leaf(const Issuer& issuer, X509_req_st* request, const mesh::Identity& identity,
               Lifetime lifetime);
// The control plane's own serving certificate.
Cert make_serving(const Issuer& issuer, evp_pkey_st* key, const std::vector<std::string>& dns,
                  const std::vector<std::string>& ips, Lifetime lifetime);

}  // namespace weft::controlplane::ca
