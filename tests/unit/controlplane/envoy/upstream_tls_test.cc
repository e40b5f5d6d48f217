// TLS that a DestinationRule wants spoken to the endpoints, against a server that asks for a
// client's certificate: MUTUAL shows the Secret's, and who is not trusted is not spoken to.
#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "controlplane/ca/x509.h"
#include "routed.h"

namespace weft::controlplane {
namespace {

using envoy::Ask;
using testing::HasSubstr;

struct Identity {
  std::string chain, key;  // PEM
};
// A root of its own, and what it signs.
class Root {
 public:
  Root() : key_(ca::make_key()), cert_(ca::make_root(key_.get(), "td", life_.from, life_.until)) {}
  std::string pem() const { return ca::cert_pem(cert_.get()); }
  Identity issue(const std::string& name) const {
    const ca::Key key = ca::make_key();
    const ca::Cert cert = ca::make_serving({cert_.get(), key_.get()}, key.get(), {name}, {}, life_);
    return {ca::cert_pem(cert.get()), ca::key_pem(key.get())};
  }

 private:
  const ca::Lifetime life_{WallClock::now() - 1h, WallClock::now() + 24h};
  const ca::Key key_;
  const ca::Cert cert_;
};

// A server that answers 200 to clients with a certificate of `clients`, and to nobody else.
class TlsUpstream {
 public:
  TlsUpstream(const Identity& own, const std::string& clients, const std::string& at)
      : context_(SSL_CTX_new(TLS_server_method())),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const ca::Cert cert = std::move(ca::parse_certs(own.chain)->front());
    const ca::Key key = std::move(*ca::parse_key(own.key));
    EXPECT_EQ(SSL_CTX_use_certificate(context_, cert.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context_, key.get()), 1);
    for (const ca::Cert& root : *ca::parse_certs(clients))
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), root.get());
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    const auto where = SocketAddress::parse(at);
    sockaddr_in address = envoy::loopback(where->port);
    std::memcpy(&address.sin_addr, where->ip.bytes().data(), sizeof address.sin_addr);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::listen(listener_.get(), 16);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TlsUpstream() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    SSL_CTX_free(context_);
  }
  int refused() const { return refused_; }

 private:
  void accept_all() {
    for (;;) {
      const Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      const timeval limit{.tv_sec = 5, .tv_usec = 0};
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd.get());
      if (SSL_accept(ssl) == 1) {
        answer(ssl);
      } else {
        ++refused_;
      }
      SSL_free(ssl);
    }
  }
  static void answer(SSL* ssl) {
    std::string in;
    char buffer[4096];
    while (in.find("\r\n\r\n") == std::string::npos) {
      const int got = SSL_read(ssl, buffer, sizeof buffer);
      if (got <= 0) return;
      in.append(buffer, static_cast<std::size_t>(got));
    }
    const std::string out =
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecure";
    SSL_write(ssl, out.data(), static_cast<int>(out.size()));
    SSL_shutdown(ssl);
  }

  SSL_CTX* const context_;
  const Fd listener_;
  std::atomic<int> refused_ = 0;
  std::thread acceptor_;
};

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '\n' ? std::string("\\n") : std::string(1, c);
  return out + "\"";
}
std::string secret(const std::string& name, const Identity& identity, const std::string& roots) {
  std::string out = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name +
                    ", namespace: default}\nstringData: {ca.crt: " + quoted(roots);
  if (!identity.chain.empty())
    out += ", tls.crt: " + quoted(identity.chain) + ", tls.key: " + quoted(identity.key);
  return out + "}\n";
}
// All requests for reviews go to `safe`, whose rule has this tls.
std::string spoken(const std::string& tls) {
  return service_of("default", "safe", 7, "{app: safe}") +
         pod_at("default", "safe", 7, "{app: safe}") +
         "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: safe, "
         "namespace: default}\nspec: {host: safe, trafficPolicy: {tls: {" +
         tls +
         "}}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
         "reviews, namespace: default}\nspec: {hosts: [reviews], http: [{retries: {attempts: 0}, "
         "route: [{destination: {host: safe}}]}]}\n";
}

class UpstreamTls : public Routed {};

TEST_F(UpstreamTls, MutualShowsTheSecretsCertificateAndTrustsItsRoots) {
  const Root servers, clients, strangers;
  const TlsUpstream upstream(servers.issue("safe.inside"), clients.pem(), "10.244.1.7:8080");
  const std::string good = secret("good", clients.issue("me"), servers.pem());
  const std::string mutual = "mode: MUTUAL, sni: safe.inside, credentialName: ";

  say(good + spoken(mutual + "good"));
  EXPECT_EQ(get().body, "secure");
  EXPECT_EQ(upstream.refused(), 0);

  say(secret("good", strangers.issue("me"), servers.pem()) + spoken(mutual + "good"));
  EXPECT_EQ(get().status, 503) << "a certificate that the server does not trust";
  const int refused = upstream.refused();
  EXPECT_GT(refused, 0);

  say(secret("good", clients.issue("me"), strangers.pem()) + spoken(mutual + "good"));
  EXPECT_EQ(get().status, 503) << "a server that the Secret's roots did not sign";
  say(good + spoken("mode: MUTUAL, sni: other.inside, credentialName: good"));
  EXPECT_EQ(get().status, 503) << "a server with another name";

  say(good + spoken(mutual + "good"));
  EXPECT_EQ(get().body, "secure") << "the right one is taken up again";
}

TEST_F(UpstreamTls, WithoutItsSecretNothingIsSentAndNobodyElseIsHeldUp) {
  const Root servers, clients;
  const TlsUpstream upstream(servers.issue("safe.inside"), clients.pem(), "10.244.1.7:8080");
  say(spoken("mode: MUTUAL, sni: safe.inside, credentialName: gone"));
  EXPECT_EQ(get().status, 503);
  EXPECT_EQ(upstream.refused(), 0) << "it was not even dialled";
  say(spoken("mode: SIMPLE, sni: safe.inside, credentialName: gone"));
  EXPECT_EQ(get().status, 503);
  EXPECT_EQ(upstream.refused(), 0);
  say(secret("ca", {}, servers.pem()) +
      spoken("mode: SIMPLE, sni: safe.inside, credentialName: ca"));
  EXPECT_EQ(get().status, 503) << "the server asks for a certificate, and SIMPLE has none";
  EXPECT_GT(upstream.refused(), 0) << "but its own was good";
}

}  // namespace
}  // namespace weft::controlplane
