#include <gtest/gtest.h>

#include "weft/authorization.pb.h"
#include "ztunnel/state/decode.h"

namespace weft::state {
namespace {

namespace pb = istio::security;

pb::Authorization policy(pb::Action action) {
  pb::Authorization out;
  out.set_name("p");
  out.set_namespace_("ns");
  out.set_scope(pb::NAMESPACE);
  out.set_action(action);
  return out;
}
pb::Match& add_match(pb::Authorization& policy) { return *policy.add_rules()->add_clauses()->add_matches(); }

mesh::PolicyPtr decoded(const pb::Authorization& in) {
  auto out = decode_authorization("ns/p", in.SerializeAsString());
  EXPECT_TRUE(out) << (out ? "" : out.error().text);
  return out ? *out : nullptr;
}

// A connection from spiffe://td/ns/<ns>/sa/sa to port 80.
bool holds(const mesh::Policy& policy, const std::string& source_ns) {
  const mesh::Identity source{"td", source_ns, "sa"};
  return mesh::matches(policy, {*IpAddress::parse("10.0.0.1"), *IpAddress::parse("10.0.0.2"), 80, &source});
}

// A field of a schema that does not exist yet.
template <class Message>
void add_unknown(Message& message) {
  message.GetReflection()->MutableUnknownFields(&message)->AddVarint(99, 1);
}

TEST(DecodeAuthorization, KeepsEveryFieldOfAMatch) {
  auto in = policy(pb::DENY);
  in.set_dry_run(true);
  auto& match = add_match(in);
  match.add_namespaces()->set_exact("a");
  match.add_not_namespaces()->set_prefix("b");
  match.add_principals()->set_suffix("c");
  match.add_not_principals()->mutable_presence();
  for (auto* cidr : {match.add_source_ips(), match.add_not_source_ips(), match.add_destination_ips(), match.add_not_destination_ips()}) {
    cidr->set_address(std::string("\x0a\0\0\0", 4));
    cidr->set_length(8);
  }
  match.add_destination_ports(80);
  match.add_not_destination_ports(443);
  match.add_service_accounts()->set_serviceaccount("sa");
  match.add_not_service_accounts()->set_namespace_("ns");
  const auto out = decoded(in);
  ASSERT_TRUE(out);
  EXPECT_TRUE(out->dry_run);
  EXPECT_EQ(out->key(), "ns/p");
  const auto& m = out->rules.at(0).clauses.at(0).matches.at(0);
  using Kind = mesh::StringMatch::Kind;
  EXPECT_EQ(m.namespaces.at(0), (mesh::StringMatch{Kind::kExact, "a"}));
  EXPECT_EQ(m.not_namespaces.at(0), (mesh::StringMatch{Kind::kPrefix, "b"}));
  EXPECT_EQ(m.principals.at(0), (mesh::StringMatch{Kind::kSuffix, "c"}));
  EXPECT_EQ(m.not_principals.at(0), (mesh::StringMatch{Kind::kPresence, ""}));
  EXPECT_EQ(m.source_ips.at(0).str(), "10.0.0.0/8");
  EXPECT_EQ(m.not_source_ips.size() + m.destination_ips.size() + m.not_destination_ips.size(), 3u);
  EXPECT_EQ(m.destination_ports, std::vector<std::uint16_t>{80});
  EXPECT_EQ(m.not_destination_ports, std::vector<std::uint16_t>{443});
  EXPECT_EQ(m.service_accounts.at(0).service_account, "sa");
  EXPECT_EQ(m.not_service_accounts.at(0).ns, "ns");
}

TEST(DecodeAuthorization, ABrokenInvariantIsOneSentence) {
  const std::pair<std::function<void(pb::Authorization&)>, const char*> bad[] = {
      {[](auto& p) { p.clear_name(); }, "name: empty"},
      {[](auto& p) { p.set_scope(static_cast<pb::Scope>(9)); }, "scope: unknown value 9"},
      {[](auto& p) { p.set_action(static_cast<pb::Action>(9)); }, "action: unknown value 9"},
      {[](auto& p) { add_match(p).add_namespaces(); }, "namespaces: a match of no kind"},
      {[](auto& p) { add_match(p).add_source_ips()->set_address("abc"); }, "source_ips: an address has 3 bytes"},
      {[](auto& p) {
         auto& cidr = *add_match(p).add_not_source_ips();
         cidr.set_address("abcd");
         cidr.set_length(33);
       },
       "not_source_ips: prefix length 33"},
      {[](auto& p) { add_match(p).add_destination_ports(65536); }, "destination_ports: 65536 is not a port"},
      {[](auto& p) { p.set_namespace_("other"); }, "the resource's name is not its key"},
  };
  for (const auto& [breaks, text] : bad) {
    auto in = policy(pb::ALLOW);
    breaks(in);
    const auto out = decode_authorization("ns/p", in.SerializeAsString());
    ASSERT_FALSE(out) << text;
    EXPECT_NE(out.error().text.find(text), std::string::npos) << out.error().text;
  }
  EXPECT_FALSE(decode_authorization("", "\xff\xff"));
}

TEST(DecodeAuthorization, AnAllowRuleWithUnknownContentNeverMatches) {
  auto in = policy(pb::ALLOW);
  auto& match = add_match(in);
  match.add_namespaces()->set_exact("a");
  add_unknown(match);
  const auto out = decoded(in);
  EXPECT_TRUE(out->rules.empty());
  EXPECT_FALSE(holds(*out, "a"));
}

TEST(DecodeAuthorization, AnAllowClauseKeepsItsOtherMatches) {
  auto in = policy(pb::ALLOW);
  auto& clause = *in.add_rules()->add_clauses();
  clause.add_matches()->add_namespaces()->set_exact("a");
  auto& newer = *clause.add_matches();
  newer.add_namespaces()->set_exact("b");
  newer.add_extensions()->set_name("newer");
  const auto out = decoded(in);
  EXPECT_TRUE(holds(*out, "a"));
  EXPECT_FALSE(holds(*out, "b"));
}

TEST(DecodeAuthorization, ADenyRuleWithUnknownContentDeniesWhatItsKnownPartMatches) {
  auto in = policy(pb::DENY);
  auto& match = add_match(in);
  match.add_namespaces()->set_exact("a");
  add_unknown(match);
  const auto out = decoded(in);
  EXPECT_TRUE(holds(*out, "a"));
  EXPECT_FALSE(holds(*out, "b"));
}

TEST(DecodeAuthorization, ADenyMatchOfOnlyUnknownContentDeniesAll) {
  auto in = policy(pb::DENY);
  add_unknown(add_match(in));
  EXPECT_TRUE(holds(*decoded(in), "any"));
}

TEST(DecodeAuthorization, AnUnknownKindOfStringWidensADeny) {
  auto in = policy(pb::DENY);
  auto& match = add_match(in);
  match.add_namespaces()->set_exact("a");
  add_unknown(*match.add_namespaces());
  EXPECT_TRUE(holds(*decoded(in), "b"));
}

TEST(DecodeAuthorization, UnknownContentAroundTheRulesClosesAnAllow) {
  for (const int level : {0, 1, 2}) {
    auto in = policy(pb::ALLOW);
    add_match(in).add_namespaces()->set_exact("a");
    if (level == 0) add_unknown(in);
    if (level == 1) add_unknown(*in.mutable_rules(0));
    if (level == 2) add_unknown(*in.mutable_rules(0)->mutable_clauses(0));
    EXPECT_FALSE(holds(*decoded(in), "a")) << level;
  }
}

TEST(DecodeAuthorization, AnAllowWithoutRulesStaysAndAllowsNothing) {
  const auto out = decoded(policy(pb::ALLOW));
  EXPECT_TRUE(out->rules.empty());
  EXPECT_FALSE(holds(*out, "a"));
}

}  // namespace
}  // namespace weft::state
