// Credentials: what one workload proves itself with (leaf, chain, key) and whom it believes (roots). Immutable, any thread.
// The OpenSSL contexts for both roles are made once here and shared by every connection of the identity.
// Source: ambient-protocol facts §1.3, §6.2 (the roots that came with a certificate are the only ones trusted for it).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "mesh/identity.h"

struct ssl_ctx_st;

namespace weft::tls {

// A certificate as the admin page shows it.
struct CertificateSummary {
  std::string serial;  // decimal
  std::string subject_uri;  // first URI SAN, may be empty (roots)
  std::string pem;
  WallClock::time_point not_before, not_after;
};

class Credentials {
 public:
  // `chain_pem`: leaf first, then intermediates. `roots_pem`: one or more trust anchors (an intermediate may be one).
  // Errors: kMalformed (not PEM, key and leaf differ, no roots, leaf without a SPIFFE URI SAN). `detail`, if given, says more.
  // An expired leaf is accepted here: whether it may be used is the caller's question (not_after).
  static Result<std::shared_ptr<const Credentials>> parse(std::string_view chain_pem, std::string_view key_pem,
                                                          std::string_view roots_pem, std::string* detail = nullptr);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  const mesh::Identity& identity() const { return identity_; }
  WallClock::time_point not_before() const { return chain_.front().not_before; }
  WallClock::time_point not_after() const { return chain_.front().not_after; }
  const std::vector<CertificateSummary>& chain() const { return chain_; }  // leaf first
  const std::vector<CertificateSummary>& roots() const { return roots_; }

  // For Engine.
  ssl_ctx_st* client_context() const { return client_; }
  ssl_ctx_st* server_context() const { return server_; }

 private:
  Credentials() = default;

  // Set once.
  mesh::Identity identity_;
  std::vector<CertificateSummary> chain_, roots_;
  ssl_ctx_st* client_ = nullptr;
  ssl_ctx_st* server_ = nullptr;
};

using CredentialsPtr = std::shared_ptr<const Credentials>;

}  // namespace weft::tls
