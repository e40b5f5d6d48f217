// Engine: one end of a mutual TLS 1.3 connection, without I/O. Ciphertext goes in by feed(), comes out of `output`; plaintext
// likewise by read() and write(). Belongs to one thread; movable.
//
// TLS 1.3 only, ALPN exactly "h2", AES-128/256-GCM, X25519:P-256:P-384, no SNI, no tickets, mutual.
//   client: some URI SAN of the peer must be in the expected set (an empty set always fails).
//   server: some URI SAN must be a SPIFFE identity of our own trust domain.
// Source: ambient-protocol facts §1.3.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mesh/identity.h"
#include "ztunnel/tls/credentials.h"
#include "ztunnel/tls/output.h"

namespace weft::tls {

// Plaintext bytes in a full TLS record, and the most bytes its ciphertext takes.
inline constexpr std::size_t kRecordPayload = 16384;
inline constexpr std::size_t kRecordMax = kRecordPayload + 5 + 1 + 16;

// The library below, as it names itself: "OpenSSL 3.0.22 …". Static text.
const char* library_version();

class Engine {
 public:
  static Result<Engine> client(CredentialsPtr credentials, std::vector<mesh::Identity> expected);
  static Result<Engine> server(CredentialsPtr credentials);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  // Advances the handshake: call once at the start and after each feed() until handshake_done(). What must be sent (an alert, too,
  // when it fails) is appended to `out`.
  // Errors: kIdentityMismatch (the peer did not prove who it must be: SAN, issuer, validity, key usage), kDenied (the peer refused us
  // by an alert), kUnsupported (no common version, suite, group or ALPN), kMalformed (not TLS), kClosed.
  Result<void> handshake(Output& out);
  bool handshake_done() const;

  // Hands over received ciphertext. Borrowed: `ciphertext` stays valid until handshake() or read() has consumed it, that is until
  // read() returned 0 (or handshake() returned with the handshake not done).
  void feed(std::span<const std::byte> ciphertext);
  // Up to `into.size()` bytes of plaintext; 0: all that was fed is used up. A KeyUpdate answer may land in `out`.
  // Errors: kClosed (close_notify: `closed_cleanly()`), kDenied (alert), kMalformed (a record that does not authenticate).
  Result<std::size_t> read(std::span<std::byte> into, Output& out);
  // Seals `plaintext` in records of kRecordPayload. REQUIRES: handshake_done().
  Result<void> write(std::span<const std::byte> plaintext, Output& out);
  void close_notify(Output& out);

  bool closed_cleanly() const;
  // Proven by the peer's certificate. Client: the expected identity that matched. REQUIRES: handshake_done().
  const mesh::Identity& peer_identity() const;
  std::string_view alpn() const;
  // What happened, for logs: "peer certificate: certificate has expired (spiffe://…)". Empty when nothing failed.
  const std::string& detail() const;

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::tls
