#include "ztunnel/tls/credentials.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "ztunnel/tls/verify.h"
#include "ztunnel/tls/x509.h"

namespace weft::tls {
namespace {

constexpr const char* kSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr unsigned char kAlpn[] = {2, 'h', '2'};

std::unexpected<Error> malformed(std::string* detail, const char* where) {
  if (detail != nullptr) *detail = where;
  ERR_clear_error();
  return fail(Code::kMalformed, where);
}

CertificateSummary summarize(X509* certificate) {
  const std::vector<std::string> names = uri_names(certificate);
  return {serial_of(certificate), names.empty() ? std::string() : names.front(), to_pem(certificate),
          to_time(X509_get0_notBefore(certificate)), to_time(X509_get0_notAfter(certificate))};
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned in_length, void*) {
  for (unsigned at = 0; at < in_length; at += 1u + in[at]) {
    if (in[at] == 2 && at + 2 < in_length && in[at + 1] == 'h' && in[at + 2] == '2') {
      *out = in + at + 1;
      *out_length = 2;
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// What both roles share.
bool configure(SSL_CTX* context, const std::vector<X509Ptr>& chain, EVP_PKEY* key, X509_STORE* store) {
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_peer, nullptr);
  SSL_CTX_set1_cert_store(context, store);
  bool good = SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_ciphersuites(context, kSuites) == 1 && SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
              SSL_CTX_use_certificate(context, chain.front().get()) == 1;
  for (std::size_t i = 1; good && i < chain.size(); ++i) good = SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1;
  return good && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
}

}  // namespace

Result<std::shared_ptr<const Credentials>> Credentials::parse(std::string_view chain_pem, std::string_view key_pem,
                                                              std::string_view roots_pem, std::string* detail) {
  const std::vector<X509Ptr> chain = read_certificates(chain_pem);
  if (chain.empty()) return malformed(detail, "certificate chain is not PEM certificates");
  const std::vector<X509Ptr> roots = read_certificates(roots_pem);
  if (roots.empty()) return malformed(detail, "roots are not PEM certificates");
  BioPtr key_bio = memory_bio(key_pem);
  KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!key) return malformed(detail, "private key is not PEM");

  std::shared_ptr<Credentials> credentials(new Credentials());
  std::optional<mesh::Identity> identity;
  for (const std::string& name : uri_names(chain.front().get())) {
    if (!identity) identity = mesh::Identity::parse(name);
  }
  if (!identity) return malformed(detail, "certificate has no SPIFFE identity");
  credentials->identity_ = *std::move(identity);

  StorePtr store(X509_STORE_new());
  for (const X509Ptr& root : roots) X509_STORE_add_cert(store.get(), root.get());
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);  // whatever is in the bundle is an anchor, self-signed or not
  credentials->client_ = SSL_CTX_new(TLS_client_method());
  credentials->server_ = SSL_CTX_new(TLS_server_method());
  if (!configure(credentials->client_, chain, key.get(), store.get()) ||
      !configure(credentials->server_, chain, key.get(), store.get())) {
    return malformed(detail, "certificate and private key do not belong together");
  }
  SSL_CTX_set_alpn_protos(credentials->client_, kAlpn, sizeof kAlpn);
  SSL_CTX_set_alpn_select_cb(credentials->server_, select_alpn, nullptr);
  for (const X509Ptr& certificate : chain) credentials->chain_.push_back(summarize(certificate.get()));
  for (const X509Ptr& root : roots) credentials->roots_.push_back(summarize(root.get()));
  ERR_clear_error();
  return credentials;
}

Credentials::~Credentials() {
  SSL_CTX_free(client_);
  SSL_CTX_free(server_);
}

}  // namespace weft::tls
