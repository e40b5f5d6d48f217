#include "ztunnel/tls/verify.h"

#include <gtest/gtest.h>

namespace weft::tls {
namespace {

using Names = std::vector<std::string>;

Expectation client_of(const char* uri) { return {.any_of = {*mesh::Identity::parse(uri)}}; }
Expectation server_of(const char* trust_domain) { return {.is_server = true, .trust_domain = trust_domain}; }

TEST(JudgeNames, ClientAcceptsAnyNameInTheSet) {
  Expectation expectation = client_of("spiffe://a/ns/b/sa/c");
  EXPECT_TRUE(judge_names(expectation, Names{"https://x", "spiffe://a/ns/b/sa/z", "spiffe://a/ns/b/sa/c"}));
  EXPECT_EQ(expectation.peer.service_account, "c");
}

TEST(JudgeNames, ClientWithEmptySetAcceptsNobody) {
  Expectation expectation;
  EXPECT_FALSE(judge_names(expectation, Names{"spiffe://a/ns/b/sa/c"}));
  EXPECT_STREQ(expectation.failure, "peer is not who was expected");
}

TEST(JudgeNames, ServerComparesTheTrustDomainOnly) {
  Expectation expectation = server_of("a");
  EXPECT_TRUE(judge_names(expectation, Names{"spiffe://a/ns/other/sa/any"}));
  expectation = server_of("b");
  EXPECT_FALSE(judge_names(expectation, Names{"spiffe://a/ns/other/sa/any"}));
  EXPECT_STREQ(expectation.failure, "peer is of another trust domain");
}

TEST(JudgeNames, NoSpiffeNameIsSaidSo) {
  Expectation expectation = server_of("a");
  EXPECT_FALSE(judge_names(expectation, Names{"https://a/ns/b/sa/c", "spiffe://a/other"}));
  EXPECT_STREQ(expectation.failure, "peer certificate has no SPIFFE identity");
}

TEST(JudgeNames, ANameThatIsNoTextOrTooLongProvesNobody) {
  for (const std::string& name : {std::string("spiffe://a/ns/b/sa/\xff\xfe"), "spiffe://a/ns/b/sa/" + std::string(60'000, 'c'),
                                  std::string("spiffe://a/ns/b/sa/c\nspiffe://a/ns/b/sa/d"), std::string("spiffe://a/ns/b/sa/c\0d", 22)}) {
    Expectation expectation = server_of("a");
    EXPECT_FALSE(judge_names(expectation, Names{name})) << name.substr(0, 40);
    EXPECT_STREQ(expectation.failure, "peer certificate has no SPIFFE identity");
  }
}

TEST(JudgeNames, TextForLogsIsBounded) {
  Expectation expectation = server_of("a");
  const Names many(200, "https://" + std::string(100, 'x'));
  EXPECT_FALSE(judge_names(expectation, many));
  EXPECT_LE(expectation.failure_names.size(), 1100u);
}

}  // namespace
}  // namespace weft::tls
