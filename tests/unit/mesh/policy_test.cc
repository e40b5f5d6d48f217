#include "mesh/policy.h"

#include <gtest/gtest.h>

namespace weft::mesh {
namespace {

const Identity kAlice{"cluster.local", "shop", "alice"};

ConnectionAttributes from(const Identity* source, const char* ip = "10.244.1.11", std::uint16_t port = 8080) {
  return {*IpAddress::parse(ip), *IpAddress::parse("10.244.2.10"), port, source};
}

Policy policy(PolicyAction action, std::vector<Rule> rules, const char* name = "p") {
  return {.name = name, .ns = "bank", .action = action, .rules = std::move(rules)};
}

Rule rule_of(Match match) { return {.clauses = {Clause{.matches = {std::move(match)}}}}; }

bool hit(Match match, const ConnectionAttributes& c) { return matches(policy(PolicyAction::kAllow, {rule_of(std::move(match))}), c); }

TEST(StringMatch, ParsesIstiosWildcards) {
  EXPECT_EQ(StringMatch::parse("*").kind, StringMatch::Kind::kPresence);
  EXPECT_TRUE(StringMatch::parse("*x").matches("abx"));
  EXPECT_TRUE(StringMatch::parse("x*").matches("xab"));
  EXPECT_FALSE(StringMatch::parse("x").matches("xa"));
  EXPECT_FALSE(StringMatch::parse("*").matches(""));
}

// The matching algebra of the ambient policy model: one claim a row of its table.
TEST(Algebra, NoRulesNeverMatch) { EXPECT_FALSE(matches(policy(PolicyAction::kAllow, {}), from(&kAlice))); }
TEST(Algebra, ARuleWithoutClausesMatchesEverything) { EXPECT_TRUE(matches(policy(PolicyAction::kAllow, {Rule{}}), from(nullptr))); }
TEST(Algebra, AClauseWithoutMatchesHolds) {
  EXPECT_TRUE(matches(policy(PolicyAction::kAllow, {Rule{.clauses = {Clause{}}}}), from(nullptr)));
}
TEST(Algebra, AnEmptyMatchNeverHolds) { EXPECT_FALSE(hit(Match{}, from(&kAlice))); }
TEST(Algebra, ClausesAreJoined) {
  Rule rule = rule_of({.destination_ports = {8080}});
  rule.clauses.push_back({.matches = {Match{.destination_ports = {9090}}}});
  EXPECT_FALSE(matches(policy(PolicyAction::kAllow, {rule}), from(&kAlice)));
}
TEST(Algebra, MatchesOfAClauseAreAlternatives) {
  Rule rule = rule_of({.destination_ports = {9090}});
  rule.clauses[0].matches.push_back({.destination_ports = {8080}});
  EXPECT_TRUE(matches(policy(PolicyAction::kAllow, {rule}), from(&kAlice)));
}
TEST(Algebra, FieldsOfAMatchAreJoined) {
  EXPECT_FALSE(hit({.principals = {StringMatch::parse("*")}, .destination_ports = {1}}, from(&kAlice)));
}
TEST(Algebra, NotFieldsHoldWhenNothingMatches) {
  EXPECT_TRUE(hit({.not_destination_ports = {9090}}, from(&kAlice)));
  EXPECT_FALSE(hit({.not_destination_ports = {9090, 8080}}, from(&kAlice)));
}
TEST(Algebra, WithoutAnIdentityNoPrincipalMatchesNotEvenTheEmptyPrefix) {
  EXPECT_FALSE(hit({.principals = {StringMatch::parse("*")}}, from(nullptr)));
  EXPECT_FALSE(hit({.principals = {{StringMatch::Kind::kPrefix, ""}}}, from(nullptr)));
  EXPECT_TRUE(hit({.not_principals = {StringMatch::parse("*")}}, from(nullptr)));
}
TEST(Algebra, ServiceAccountsIgnoreTheTrustDomain) {
  const Identity other{"other.domain", "shop", "alice"};
  EXPECT_TRUE(hit({.service_accounts = {{"shop", "alice"}}}, from(&other)));
  EXPECT_FALSE(hit({.service_accounts = {{"shop", "alice"}}}, from(nullptr)));
}
TEST(Algebra, MappedAddressesAreV4) {
  EXPECT_TRUE(hit({.source_ips = {*Cidr::parse("10.244.1.0/24")}}, from(nullptr, "::ffff:10.244.1.9")));
}

Verdict judge(std::vector<Policy> list, const ConnectionAttributes& c, const char* unknown = "") {
  std::vector<const Policy*> pointers;
  for (const auto& p : list) pointers.push_back(&p);
  return authorize(pointers, unknown, c);
}

TEST(Authorize, AllowsWhenNothingApplies) { EXPECT_TRUE(judge({}, from(nullptr)).allowed); }
TEST(Authorize, DenyComesFirstWhateverTheOrder) {
  const auto allow = policy(PolicyAction::kAllow, {Rule{}}, "a"), deny = policy(PolicyAction::kDeny, {Rule{}}, "d");
  for (const auto& verdict : {judge({allow, deny}, from(&kAlice)), judge({deny, allow}, from(&kAlice))}) {
    EXPECT_FALSE(verdict.allowed);
    EXPECT_EQ(verdict.text(), "explicitly denied by policy: bank/d");
  }
}
TEST(Authorize, NamesTheAllowPoliciesThatDidNotMatch) {
  const auto verdict = judge({policy(PolicyAction::kAllow, {}, "a"), policy(PolicyAction::kAllow, {}, "b")}, from(&kAlice));
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.text(), "allow policies exist, but none allowed (policy: bank/a, bank/b)");
}
TEST(Authorize, FailsClosedOnAnUnknownPolicy) {
  EXPECT_FALSE(judge({policy(PolicyAction::kAllow, {Rule{}})}, from(&kAlice), "bank/missing").allowed);
}
TEST(Authorize, DryRunDecidesNothing) {
  auto deny = policy(PolicyAction::kDeny, {Rule{}});
  deny.dry_run = true;
  EXPECT_TRUE(judge({deny}, from(&kAlice)).allowed);
  auto allow = policy(PolicyAction::kAllow, {});
  allow.dry_run = true;
  EXPECT_TRUE(judge({allow}, from(&kAlice)).allowed);
}

}  // namespace
}  // namespace weft::mesh
