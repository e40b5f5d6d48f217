#include "ztunnel/tls/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstring>

#include "tests/unit/ztunnel/tls/test_ca.h"

namespace weft::tls {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// Two engines and the wire between them.
struct Pair {
  Pair(CredentialsPtr client_credentials, CredentialsPtr server_credentials, std::vector<mesh::Identity> expected)
      : client(*Engine::client(std::move(client_credentials), std::move(expected))), server(*Engine::server(std::move(server_credentials))) {}

  // Until nothing moves. What each end last said is in client_result, server_result.
  void shake() {
    for (int turn = 0; turn < 10; ++turn) {
      client_result = step(client, client_result, to_server, to_client);
      server_result = step(server, server_result, to_client, to_server);
    }
  }
  static Result<void> step(Engine& engine, Result<void> before, Output& out, Output& in) {
    if (!before) return before;
    const std::string incoming(reinterpret_cast<const char*>(in.bytes().data()), in.size());
    in.clear();
    engine.feed(bytes_of(incoming));
    Result<void> result = engine.handshake(out);
    if (result && engine.handshake_done()) {  // an alert may come after our end is done
      std::byte rest[64];
      const Result<std::size_t> got = engine.read(rest, out);
      if (!got) return std::unexpected(got.error());
    }
    return result;
  }

  Engine client, server;
  Output to_client, to_server;
  Result<void> client_result, server_result;
};

struct EngineTest : testing::Test {
  TestCa ca;
  mesh::Identity a = test_identity("a"), b = test_identity("b");
};

TEST_F(EngineTest, BothEndsProveTheirNames) {
  Pair pair(ca.credentials(a), ca.credentials(b), {b});
  pair.shake();
  ASSERT_TRUE(pair.client_result.has_value()) << pair.client.detail();
  ASSERT_TRUE(pair.server_result.has_value()) << pair.server.detail();
  EXPECT_TRUE(pair.client.handshake_done());
  EXPECT_TRUE(pair.server.handshake_done());
  EXPECT_EQ(pair.client.peer_identity(), b);
  EXPECT_EQ(pair.server.peer_identity(), a);
  EXPECT_EQ(pair.client.alpn(), "h2");
  EXPECT_EQ(pair.server.alpn(), "h2");
}

TEST_F(EngineTest, CarriesBytesInFullRecords) {
  Pair pair(ca.credentials(a), ca.credentials(b), {b});
  pair.shake();
  std::string text(100000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  ASSERT_TRUE(pair.client.write(bytes_of(text), pair.to_server).has_value());
  EXPECT_EQ(pair.to_server.size(), 7 * (kRecordMax - kRecordPayload) + text.size());
  std::string got;
  // Fed in odd pieces, as a socket would.
  std::span<const std::byte> wire = pair.to_server.bytes();
  while (!wire.empty()) {
    const std::size_t count = std::min<std::size_t>(wire.size(), 1009);
    pair.server.feed(wire.first(count));
    wire = wire.subspan(count);
    for (;;) {
      std::byte into[5000];
      const Result<std::size_t> n = pair.server.read(into, pair.to_client);
      ASSERT_TRUE(n.has_value());
      if (*n == 0) break;
      got.append(reinterpret_cast<const char*>(into), *n);
    }
  }
  EXPECT_EQ(got, text);
}

TEST_F(EngineTest, CloseNotifyIsACleanEnd) {
  Pair pair(ca.credentials(a), ca.credentials(b), {b});
  pair.shake();
  pair.client.close_notify(pair.to_server);
  pair.server.feed(pair.to_server.bytes());
  std::byte into[16];
  const Result<std::size_t> got = pair.server.read(into, pair.to_client);
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kClosed);
  EXPECT_TRUE(pair.server.closed_cleanly());
}

TEST_F(EngineTest, TamperedRecordIsMalformed) {
  Pair pair(ca.credentials(a), ca.credentials(b), {b});
  pair.shake();
  ASSERT_TRUE(pair.client.write(bytes_of("hello"), pair.to_server).has_value());
  std::string wire(reinterpret_cast<const char*>(pair.to_server.bytes().data()), pair.to_server.size());
  wire.back() ^= 1;
  pair.server.feed(bytes_of(wire));
  std::byte into[16];
  const Result<std::size_t> got = pair.server.read(into, pair.to_client);
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kMalformed);
}

TEST_F(EngineTest, GarbageIsMalformed) {
  Engine server = *Engine::server(ca.credentials(b));
  Output out;
  server.feed(bytes_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  const Result<void> result = server.handshake(out);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kMalformed);
  EXPECT_FALSE(server.detail().empty());
}

// Everything a server's certificate can have wrong, as the client sees it, and what the server is told.
TEST_F(EngineTest, ClientRefusesAServerThatDoesNotProveItsName) {
  const TestCa stranger("stranger");
  struct Row {
    const char* what;
    CredentialsPtr server;
    std::vector<mesh::Identity> expected;
    const char* where;
  };
  const std::string name = b.str();
  const Leaf foreign_leaf = stranger.issue({.uris = {name}});
  const Row rows[] = {
      {"mismatch", ca.credentials(a), {b}, "peer is not who was expected"},
      {"empty set", ca.credentials(b), {}, "peer is not who was expected"},
      {"expired", ca.credentials(LeafWish{.uris = {name}, .valid_from = -100, .valid_to = -10}), {b}, "certificate has expired"},
      {"not yet valid", ca.credentials(LeafWish{.uris = {name}, .valid_from = 100}), {b}, "certificate is not yet valid"},
      {"wrong usage", ca.credentials(LeafWish{.uris = {name}, .extended_key_usage = "clientAuth"}), {b}, "unsu"},
      {"strange issuer", *Credentials::parse(foreign_leaf.chain_pem, foreign_leaf.key_pem, ca.root_pem()), {b},
       "unable to get local issuer certificate"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Pair pair(ca.credentials(a), row.server, row.expected);
    pair.shake();
    ASSERT_FALSE(pair.client_result.has_value());
    EXPECT_EQ(pair.client_result.error().code, Code::kIdentityMismatch);
    EXPECT_THAT(std::string(pair.client_result.error().where), testing::StartsWith(row.where));
    EXPECT_NE(pair.client.detail().find("peer certificate: "), std::string::npos);
    ASSERT_FALSE(pair.server_result.has_value()) << "the client's refusal is an alert";
    EXPECT_TRUE(pair.server_result.error().code == Code::kDenied || pair.server_result.error().code == Code::kUnsupported);
  }
}

TEST_F(EngineTest, ServerRefusesAClientThatDoesNotProveATrustDomain) {
  const TestCa stranger("stranger");
  const Leaf foreign_leaf = stranger.issue({.uris = {a.str()}});
  struct Row {
    const char* what;
    CredentialsPtr client;
    const char* where;
  };
  const Row rows[] = {
      {"other trust domain", ca.credentials(mesh::Identity{"elsewhere", "default", "a"}), "peer is of another trust domain"},
      {"expired", ca.credentials(LeafWish{.uris = {a.str()}, .valid_from = -100, .valid_to = -10}), "certificate has expired"},
      {"wrong usage", ca.credentials(LeafWish{.uris = {a.str()}, .extended_key_usage = "serverAuth"}), "unsu"},
      {"strange issuer", *Credentials::parse(foreign_leaf.chain_pem, foreign_leaf.key_pem, ca.root_pem()),
       "unable to get local issuer certificate"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Pair pair(row.client, ca.credentials(b), {b});
    pair.shake();
    ASSERT_FALSE(pair.server_result.has_value());
    EXPECT_EQ(pair.server_result.error().code, Code::kIdentityMismatch);
    EXPECT_THAT(std::string(pair.server_result.error().where), testing::StartsWith(row.where));
    ASSERT_FALSE(pair.client_result.has_value()) << "the server's refusal is an alert";
  }
}

TEST_F(EngineTest, NoUsageExtensionIsAnyUsage) {
  Pair pair(ca.credentials(LeafWish{.uris = {a.str()}, .extended_key_usage = ""}), ca.credentials(b), {b});
  pair.shake();
  EXPECT_TRUE(pair.server_result.has_value()) << pair.server.detail();
}

TEST_F(EngineTest, RootBundlesMayOverlap) {
  const TestCa next("next root");
  const Leaf leaf = ca.issue({.uris = {a.str()}});
  const Leaf other = next.issue({.uris = {b.str()}});
  const std::string both = ca.root_pem() + next.root_pem();
  Pair pair(*Credentials::parse(leaf.chain_pem, leaf.key_pem, both), *Credentials::parse(other.chain_pem, other.key_pem, both), {b});
  pair.shake();
  EXPECT_TRUE(pair.client_result.has_value()) << pair.client.detail();
  EXPECT_TRUE(pair.server_result.has_value()) << pair.server.detail();
}

// ---- a peer that is not ours: plain OpenSSL, bent to be wrong in one way ----

struct Bent {
  explicit Bent(const CredentialsPtr& credentials, bool server) {
    context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    const CertificateSummary& leaf = credentials->chain().front();
    BioPtr bio = memory_bio(leaf.pem);
    SSL_CTX_use_certificate(context, X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)).get());
    SSL_CTX_use_PrivateKey(context, SSL_CTX_get0_privatekey(credentials->client_context()));
  }
  ~Bent() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  void start(bool server) {
    ssl = SSL_new(context);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    server ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
  }
  // Exchanges with `engine` until nothing moves; the engine's last word.
  Result<void> shake(Engine& engine) {
    Result<void> result;
    for (int turn = 0; turn < 6 && result; ++turn) {
      SSL_do_handshake(ssl);
      char* data = nullptr;
      const long size = BIO_get_mem_data(SSL_get_wbio(ssl), &data);
      const std::string wire(data, static_cast<std::size_t>(size));
      BIO_reset(SSL_get_wbio(ssl));
      engine.feed(bytes_of(wire));
      Output out;
      result = engine.handshake(out);
      BIO_write(SSL_get_rbio(ssl), out.bytes().data(), static_cast<int>(out.size()));
    }
    return result;
  }
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
};

constexpr unsigned char kH2[] = {2, 'h', '2'};
constexpr unsigned char kHttp1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

TEST_F(EngineTest, ServerRefusesTls12) {
  Bent client(ca.credentials(a), false);
  SSL_CTX_set_max_proto_version(client.context, TLS1_2_VERSION);
  SSL_CTX_set_alpn_protos(client.context, kH2, sizeof kH2);
  client.start(false);
  Engine server = *Engine::server(ca.credentials(b));
  const Result<void> result = client.shake(server);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kUnsupported);
}

TEST_F(EngineTest, ClientRefusesTls12) {
  Bent server(ca.credentials(b), true);
  SSL_CTX_set_max_proto_version(server.context, TLS1_2_VERSION);
  server.start(true);
  Engine client = *Engine::client(ca.credentials(a), {b});
  Output hello;
  ASSERT_TRUE(client.handshake(hello).has_value());
  BIO_write(SSL_get_rbio(server.ssl), hello.bytes().data(), static_cast<int>(hello.size()));
  const Result<void> result = server.shake(client);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kUnsupported);
}

TEST_F(EngineTest, ServerRefusesAnyAlpnButH2) {
  Bent other(ca.credentials(a), false), none(ca.credentials(a), false);
  SSL_CTX_set_alpn_protos(other.context, kHttp1, sizeof kHttp1);
  for (Bent* client : {&other, &none}) {
    client->start(false);
    Engine server = *Engine::server(ca.credentials(b));
    const Result<void> result = client->shake(server);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::kUnsupported);
  }
}

TEST_F(EngineTest, ServerDemandsAClientCertificate) {
  Bent client(ca.credentials(a), false);
  SSL_CTX_free(client.context);
  client.context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_alpn_protos(client.context, kH2, sizeof kH2);
  client.start(false);
  Engine server = *Engine::server(ca.credentials(b));
  const Result<void> result = client.shake(server);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Code::kIdentityMismatch);
  EXPECT_STREQ(result.error().where, "peer sent no certificate");
}

TEST_F(EngineTest, ServerRefusesACertificateWithoutSan) {
  const Leaf leaf = ca.issue({});
  Bent client(ca.credentials(a), false);
  BioPtr chain = memory_bio(leaf.chain_pem), key = memory_bio(leaf.key_pem);
  SSL_CTX_use_certificate(client.context, X509Ptr(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)).get());
  SSL_CTX_use_PrivateKey(client.context, KeyPtr(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr)).get());
  SSL_CTX_set_alpn_protos(client.context, kH2, sizeof kH2);
  client.start(false);
  Engine server = *Engine::server(ca.credentials(b));
  const Result<void> result = client.shake(server);
  ASSERT_FALSE(result.has_value());
  EXPECT_STREQ(result.error().where, "peer certificate has no SPIFFE identity");
}

TEST_F(EngineTest, ServerOffersNoTicketsAndWorksWithPCurves) {
  for (const char* group : {"X25519", "P-256", "P-384"}) {
    SCOPED_TRACE(group);
    Bent client(ca.credentials(a), false);
    SSL_CTX_set1_groups_list(client.context, group);
    SSL_CTX_set_alpn_protos(client.context, kH2, sizeof kH2);
    client.start(false);
    Engine server = *Engine::server(ca.credentials(b));
    const Result<void> result = client.shake(server);
    ASSERT_TRUE(result.has_value()) << server.detail();
    EXPECT_TRUE(server.handshake_done());
    std::byte into[16];
    SSL_read(client.ssl, into, sizeof into);
    EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get_session(client.ssl)), 0);
  }
}

TEST_F(EngineTest, ClientSendsNoServerName) {
  Engine client = *Engine::client(ca.credentials(a), {b});
  Output hello;
  ASSERT_TRUE(client.handshake(hello).has_value());
  Bent server(ca.credentials(b), true);
  server.start(true);
  BIO_write(SSL_get_rbio(server.ssl), hello.bytes().data(), static_cast<int>(hello.size()));
  SSL_do_handshake(server.ssl);
  EXPECT_EQ(SSL_get_servername(server.ssl, TLSEXT_NAMETYPE_host_name), nullptr);
}

}  // namespace
}  // namespace weft::tls
