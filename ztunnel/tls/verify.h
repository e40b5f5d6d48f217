// Who the peer must be, and the check that its certificate proves it; called by OpenSSL within the handshake, so that a refusal
// reaches the peer as an alert.
#pragma once

#include <openssl/x509.h>

#include <span>
#include <string>
#include <vector>

#include "mesh/identity.h"

struct ssl_st;

namespace weft::tls {

// One per connection; hangs at its SSL object.
struct Expectation {
  bool is_server = false;
  std::vector<mesh::Identity> any_of;  // client
  std::string trust_domain;            // server

  // Filled by the check.
  mesh::Identity peer;
  const char* failure = nullptr;  // static text; nullptr: nothing failed
  std::string failure_names;      // the peer's URI names, for logs
};

// SSL_CTX_set_cert_verify_callback.
int verify_peer(X509_STORE_CTX* context, void*);
void set_expectation(ssl_st* ssl, Expectation* expectation);

// Pure: picks the name that satisfies `expectation` and files it in `peer`, or says in `failure` why none does.
bool judge_names(Expectation& expectation, std::span<const std::string> names);

}  // namespace weft::tls
