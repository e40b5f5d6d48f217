// CertificateSource: the certificates of this node's workloads, fetched and kept fresh in the background.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "mesh/identity.h"

namespace weft::io {
template <class T>
class Task;
class Loop;
}  // namespace weft::io
namespace weft::tls {
class Credentials;
}

namespace weft::ca {

using CredentialsPtr = std::shared_ptr<const tls::Credentials>;

// Any thread. Take the credentials anew for each handshake (never keep them across connections): a rotated certificate and a
// changed root bundle are in the next answer.
class CertificateSource {
 public:
  virtual ~CertificateSource() = default;

  // The credentials in the cache if they are valid now, else null. Asks nobody, never blocks.
  virtual CredentialsPtr peek(const mesh::Identity& identity) = 0;

  // As peek(), but when there are none asks the CA for them, ahead of all background work, and waits until `deadline`.
  // `loop` is the caller's loop; the caller resumes there.
  // Errors: kTimedOut, kDenied (the CA refuses this identity on this node), kUnreachable (no CA), kMalformed (its answer).
  virtual io::Task<Result<CredentialsPtr>> get(io::Loop& loop, mesh::Identity identity, Deadline deadline) = 0;
};

}  // namespace weft::ca
