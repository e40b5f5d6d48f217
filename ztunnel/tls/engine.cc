#include "ztunnel/tls/engine.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "ztunnel/tls/span_bio.h"
#include "ztunnel/tls/verify.h"

namespace weft::tls {
namespace {

constexpr int kAlertOffset = SSL_AD_REASON_OFFSET;

bool means_unsupported(int reason) {
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case kAlertOffset + SSL_AD_PROTOCOL_VERSION:
    case kAlertOffset + SSL_AD_HANDSHAKE_FAILURE:
    case kAlertOffset + SSL_AD_NO_APPLICATION_PROTOCOL:
    case kAlertOffset + SSL_AD_INSUFFICIENT_SECURITY:
      return true;
    default:
      return false;
  }
}

// SSL_get_error looks at the thread's queue: it has to be empty before a call. It nearly always is.
void clear_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace

const char* library_version() { return OpenSSL_version(OPENSSL_VERSION); }

struct Engine::State {
  CredentialsPtr credentials;
  Expectation expectation;
  SpanBio wire;
  SSL* ssl = nullptr;
  bool done = false;
  bool closed_cleanly = false;
  std::string detail;

  ~State() { SSL_free(ssl); }
  std::unexpected<Error> failed(int result, const char* where);
};

// Makes one Error of OpenSSL's queue.
std::unexpected<Error> Engine::State::failed(int result, const char* where) {
  const int kind = SSL_get_error(ssl, result);
  const unsigned long first = ERR_peek_error();
  const int reason = ERR_GET_REASON(first);
  ERR_clear_error();
  if (kind == SSL_ERROR_ZERO_RETURN) {
    closed_cleanly = true;
    return fail(Code::kClosed, "tls: close_notify");
  }
  if (expectation.failure != nullptr) {
    detail = std::string("peer certificate: ") + expectation.failure + " (" + expectation.failure_names + ")";
    return fail(Code::kIdentityMismatch, expectation.failure);
  }
  const char* text = ERR_reason_error_string(first);
  detail = std::string(where) + ": " + (text != nullptr ? text : "broken connection");
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) return fail(Code::kIdentityMismatch, "peer sent no certificate");
  if (means_unsupported(reason)) return fail(Code::kUnsupported, where);
  if (reason > kAlertOffset) return fail(Code::kDenied, where);
  return fail(Code::kMalformed, where);
}

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Result<Engine> Engine::client(CredentialsPtr credentials, std::vector<mesh::Identity> expected) {
  auto state = std::make_unique<State>();
  state->expectation.any_of = std::move(expected);
  state->ssl = SSL_new(credentials->client_context());
  if (state->ssl == nullptr) return fail(Code::kSystem, "tls: out of memory");
  SSL_set_connect_state(state->ssl);
  state->credentials = std::move(credentials);
  state->wire.attach(state->ssl);
  set_expectation(state->ssl, &state->expectation);
  return Engine(std::move(state));
}

Result<Engine> Engine::server(CredentialsPtr credentials) {
  auto state = std::make_unique<State>();
  state->expectation.is_server = true;
  state->expectation.trust_domain = credentials->identity().trust_domain;
  state->ssl = SSL_new(credentials->server_context());
  if (state->ssl == nullptr) return fail(Code::kSystem, "tls: out of memory");
  SSL_set_accept_state(state->ssl);
  state->credentials = std::move(credentials);
  state->wire.attach(state->ssl);
  set_expectation(state->ssl, &state->expectation);
  return Engine(std::move(state));
}

Result<void> Engine::handshake(Output& out) {
  State& state = *state_;
  if (state.done) return {};
  state.wire.out = &out;
  clear_errors();
  const int result = SSL_do_handshake(state.ssl);
  if (result == 1) {
    state.done = true;
    if (alpn() != "h2") {
      state.detail = "peer offered no h2";
      return fail(Code::kUnsupported, "tls: no h2");
    }
    return {};
  }
  if (SSL_get_error(state.ssl, result) == SSL_ERROR_WANT_READ) return {};
  return state.failed(result, "tls handshake");
}

bool Engine::handshake_done() const { return state_->done; }

void Engine::feed(std::span<const std::byte> ciphertext) {
  WEFT_ASSERT(state_->wire.in.empty());
  state_->wire.in = ciphertext;
}

Result<std::size_t> Engine::read(std::span<std::byte> into, Output& out) {
  State& state = *state_;
  state.wire.out = &out;
  std::size_t got = 0;
  if (state.wire.in.empty() && SSL_has_pending(state.ssl) == 0) return std::size_t{0};
  clear_errors();
  const int result = SSL_read_ex(state.ssl, into.data(), into.size(), &got);
  if (result == 1) return got;
  if (SSL_get_error(state.ssl, result) == SSL_ERROR_WANT_READ) return std::size_t{0};
  return state.failed(result, "tls record");
}

Result<void> Engine::write(std::span<const std::byte> plaintext, Output& out) {
  State& state = *state_;
  WEFT_ASSERT(state.done);
  state.wire.out = &out;
  while (!plaintext.empty()) {
    const std::size_t count = std::min(plaintext.size(), kRecordPayload);
    std::size_t written = 0;
    clear_errors();
    const int result = SSL_write_ex(state.ssl, plaintext.data(), count, &written);
    if (result != 1) return state.failed(result, "tls write");
    plaintext = plaintext.subspan(written);
  }
  return {};
}

void Engine::close_notify(Output& out) {
  state_->wire.out = &out;
  ERR_clear_error();
  SSL_shutdown(state_->ssl);
  ERR_clear_error();
}

bool Engine::closed_cleanly() const { return state_->closed_cleanly; }
const mesh::Identity& Engine::peer_identity() const { return state_->expectation.peer; }
const std::string& Engine::detail() const { return state_->detail; }

std::string_view Engine::alpn() const {
  const unsigned char* name = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(state_->ssl, &name, &length);
  return {reinterpret_cast<const char*>(name), length};
}

}  // namespace weft::tls
