#include "ztunnel/tls/credentials.h"

#include <gtest/gtest.h>

#include "tests/unit/ztunnel/tls/test_ca.h"

namespace weft::tls {
namespace {

TEST(Credentials, KnowTheirIdentityAndValidity) {
  const TestCa ca;
  const CredentialsPtr credentials = ca.credentials(LeafWish{.uris = {"https://x", "spiffe://td/ns/n/sa/s"}, .valid_to = 600});
  EXPECT_EQ(credentials->identity().str(), "spiffe://td/ns/n/sa/s");
  const auto left = credentials->not_after() - WallClock::now();
  EXPECT_GT(left, std::chrono::seconds(590));
  EXPECT_LE(left, std::chrono::seconds(600));
  ASSERT_EQ(credentials->roots().size(), 1u);
  EXPECT_EQ(credentials->roots().front().pem, ca.root_pem());
}

TEST(Credentials, RootsMayBeABundle) {
  const TestCa ca, other;
  const Leaf leaf = ca.issue({.uris = {"spiffe://td/ns/n/sa/s"}});
  const auto credentials = Credentials::parse(leaf.chain_pem, leaf.key_pem, other.root_pem() + ca.root_pem());
  ASSERT_TRUE(credentials.has_value());
  EXPECT_EQ((*credentials)->roots().size(), 2u);
}

TEST(Credentials, BrokenPartsAreNamed) {
  const TestCa ca;
  const Leaf leaf = ca.issue({.uris = {"spiffe://td/ns/n/sa/s"}});
  const Leaf nameless = ca.issue({.uris = {"https://td"}});
  struct Row {
    std::string chain, key, roots, detail;
  };
  const Row rows[] = {
      {"", leaf.key_pem, ca.root_pem(), "certificate chain is not PEM certificates"},
      {leaf.chain_pem.substr(0, 200), leaf.key_pem, ca.root_pem(), "certificate chain is not PEM certificates"},
      {leaf.chain_pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", leaf.key_pem, ca.root_pem(),
       "certificate chain is not PEM certificates"},
      {leaf.chain_pem, "", ca.root_pem(), "private key is not PEM"},
      {leaf.chain_pem, leaf.key_pem, "roots", "roots are not PEM certificates"},
      {leaf.chain_pem, nameless.key_pem, ca.root_pem(), "certificate and private key do not belong together"},
      {nameless.chain_pem, nameless.key_pem, ca.root_pem(), "certificate has no SPIFFE identity"},
  };
  for (const Row& row : rows) {
    std::string detail;
    const auto made = Credentials::parse(row.chain, row.key, row.roots, &detail);
    ASSERT_FALSE(made.has_value()) << row.detail;
    EXPECT_EQ(made.error().code, Code::kMalformed);
    EXPECT_EQ(detail, row.detail);
  }
}

}  // namespace
}  // namespace weft::tls
