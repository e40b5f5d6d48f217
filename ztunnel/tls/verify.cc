#include "ztunnel/tls/verify.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>

#include "ztunnel/tls/x509.h"

namespace weft::tls {
namespace {

int expectation_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void note_names(Expectation& expectation, std::span<const std::string> names) {
  constexpr std::size_t kNamesTextMax = 1024;  // the peer chose it: keep a log line a line
  for (const std::string& name : names) {
    if (expectation.failure_names.size() + name.size() > kNamesTextMax) break;
    if (!expectation.failure_names.empty()) expectation.failure_names += ' ';
    expectation.failure_names += name;
  }
}

}  // namespace

bool judge_names(Expectation& expectation, std::span<const std::string> names) {
  bool any = false;
  for (const std::string& name : names) {
    std::optional<mesh::Identity> identity = mesh::Identity::parse(name);
    if (!identity) continue;
    any = true;
    const bool fits = expectation.is_server ? identity->trust_domain == expectation.trust_domain
                                            : std::ranges::find(expectation.any_of, *identity) != expectation.any_of.end();
    if (fits) {
      expectation.peer = *std::move(identity);
      return true;
    }
  }
  expectation.failure = !any                   ? "peer certificate has no SPIFFE identity"
                        : expectation.is_server ? "peer is of another trust domain"
                                                : "peer is not who was expected";
  note_names(expectation, names);
  return false;
}

int verify_peer(X509_STORE_CTX* context, void*) {
  const SSL* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Expectation& expectation = *static_cast<Expectation*>(SSL_get_ex_data(ssl, expectation_index()));
  const std::vector<std::string> names = uri_names(X509_STORE_CTX_get0_cert(context));
  if (X509_verify_cert(context) != 1) {
    expectation.failure = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
    note_names(expectation, names);
    return 0;
  }
  if (judge_names(expectation, names)) return 1;
  X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

void set_expectation(ssl_st* ssl, Expectation* expectation) { SSL_set_ex_data(ssl, expectation_index(), expectation); }

}  // namespace weft::tls
