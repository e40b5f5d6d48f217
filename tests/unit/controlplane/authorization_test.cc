// AuthorizationPolicy → L4: every field, and every way in which L7 must fail closed. Each row says
// which connections match the policy.
#include "controlplane/frontends/istio/authorization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.h"

namespace weft::controlplane {
namespace {

using testing::HasSubstr;

Parsed<model::AuthzPolicy> decode(const std::string& spec, bool in_root = false,
                                  const std::string& meta = "") {
  const auto parsed = source::parse_manifest(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: "
      "shop" +
          meta + "}\nspec: " + spec + "\n",
      "f.yaml");
  EXPECT_TRUE(parsed) << parsed.error().text;
  return istio::decode_authorization_policy(*(*parsed)[0], in_root);
}

// Eight peers of a pod 10.0.0.9, by letter.
//   a  shop/web from 10.0.0.1 to 80        b  shop/web from 10.0.0.1 to 8080
//   c  shop/admin from 10.0.0.2 to 80      d  other/web from 192.168.1.1 to 80
//   e  other.domain shop/web to 80         p  plaintext from 10.0.0.1 to 80
//   q  plaintext from 172.16.0.1 to 443    v  shop/web from fd00::1 to fd00::9 80
std::string matched(const mesh::Policy& policy) {
  const mesh::Identity web{"cluster.local", "shop", "web"}, admin{"cluster.local", "shop", "admin"},
      other{"cluster.local", "other", "web"}, foreign{"other.domain", "shop", "web"};
  auto ip = [](const char* text) { return *IpAddress::parse(text); };
  const IpAddress here = ip("10.0.0.9");
  const std::pair<char, mesh::ConnectionAttributes> peers[] = {
      {'a', {ip("10.0.0.1"), here, 80, &web}},
      {'b', {ip("10.0.0.1"), here, 8080, &web}},
      {'c', {ip("10.0.0.2"), here, 80, &admin}},
      {'d', {ip("192.168.1.1"), here, 80, &other}},
      {'e', {ip("10.0.0.1"), here, 80, &foreign}},
      {'p', {ip("10.0.0.1"), here, 80, nullptr}},
      {'q', {ip("172.16.0.1"), here, 443, nullptr}},
      {'v', {ip("fd00::1"), ip("fd00::9"), 80, &web}}};
  std::string out;
  for (const auto& [letter, peer] : peers) {
    if (mesh::matches(policy, peer)) out += letter;
  }
  return out;
}

struct Row {
  const char* name;
  const char* spec;
  const char* matches;
  const char* reason = "Accepted";
};
constexpr const char* kL7 = "UnsupportedValue";
constexpr const char* kEverybody = "abcdepqv";

const Row kRows[] = {
    // What absence means.
    {"no spec is ALLOW nothing", "{}", ""},
    {"no rules is ALLOW nothing", "{action: ALLOW, rules: []}", ""},
    {"empty rule matches all", "{rules: [{}]}", kEverybody},
    {"DENY without rules is nothing", "{action: DENY}", ""},
    {"DENY empty rule matches all", "{action: DENY, rules: [{}]}", kEverybody},
    // from.source
    {"principals exact",
     "{rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]}", "abv"},
    {"principals with scheme",
     "{rules: [{from: [{source: {principals: ['spiffe://cluster.local/ns/shop/sa/web']}}]}]}",
     "abv"},
    {"principals presence", "{rules: [{from: [{source: {principals: ['*']}}]}]}", "abcdev"},
    {"principals prefix",
     "{rules: [{from: [{source: {principals: ['cluster.local/ns/shop/*']}}]}]}", "abcv"},
    {"principals suffix", "{rules: [{from: [{source: {principals: ['*/sa/web']}}]}]}", "abdev"},
    {"notPrincipals presence is plaintext",
     "{action: DENY, rules: [{from: [{source: {notPrincipals: ['*']}}]}]}", "pq"},
    {"notPrincipals exact",
     "{rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/web]}}]}]}", "cdepq"},
    {"namespaces", "{rules: [{from: [{source: {namespaces: [shop]}}]}]}", "abcev"},
    {"namespaces wildcard", "{rules: [{from: [{source: {namespaces: ['oth*']}}]}]}", "d"},
    {"notNamespaces", "{rules: [{from: [{source: {notNamespaces: [shop]}}]}]}", "dpq"},
    {"serviceAccounts short", "{rules: [{from: [{source: {serviceAccounts: [web]}}]}]}", "abev"},
    {"serviceAccounts long", "{rules: [{from: [{source: {serviceAccounts: [other/web]}}]}]}", "d"},
    {"notServiceAccounts", "{rules: [{from: [{source: {notServiceAccounts: [web]}}]}]}", "cdpq"},
    {"ipBlocks v4", "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/24]}}]}]}", "abcep"},
    {"ipBlocks address", "{rules: [{from: [{source: {ipBlocks: [10.0.0.2]}}]}]}", "c"},
    {"ipBlocks v6", "{rules: [{from: [{source: {ipBlocks: ['fd00::/64']}}]}]}", "v"},
    {"notIpBlocks", "{rules: [{from: [{source: {notIpBlocks: [10.0.0.0/8, 'fd00::/8']}}]}]}", "dq"},
    {"fields of a source are AND",
     "{rules: [{from: [{source: {namespaces: [shop], ipBlocks: [10.0.0.1]}}]}]}", "abe"},
    {"sources are OR",
     "{rules: [{from: [{source: {ipBlocks: [10.0.0.2]}}, {source: {ipBlocks: "
     "[192.168.0.0/16]}}]}]}",
     "cd"},
    // to.operation
    {"ports", "{rules: [{to: [{operation: {ports: ['8080']}}]}]}", "b"},
    {"ports are OR", "{rules: [{to: [{operation: {ports: ['8080', '443']}}]}]}", "bq"},
    {"notPorts", "{rules: [{to: [{operation: {notPorts: ['80']}}]}]}", "bq"},
    {"from and to are AND",
     "{rules: [{from: [{source: {namespaces: [shop]}}], to: [{operation: {ports: ['80']}}]}]}",
     "acev"},
    {"rules are OR",
     "{rules: [{to: [{operation: {ports: ['8080']}}]}, {to: [{operation: {ports: ['443']}}]}]}",
     "bq"},
    // when
    {"when source.ip", "{rules: [{when: [{key: source.ip, values: [10.0.0.2]}]}]}", "c"},
    {"when source.namespace not", "{rules: [{when: [{key: source.namespace, notValues: [shop]}]}]}",
     "dpq"},
    {"when source.principal",
     "{rules: [{when: [{key: source.principal, values: ['*/sa/admin']}]}]}", "c"},
    {"when source.serviceAccount",
     "{rules: [{when: [{key: source.serviceAccount, values: [shop/admin]}]}]}", "c"},
    {"when destination.ip", "{rules: [{when: [{key: destination.ip, values: ['fd00::9']}]}]}", "v"},
    {"when destination.port", "{rules: [{when: [{key: destination.port, values: ['443']}]}]}", "q"},
    {"when entries are AND",
     "{rules: [{when: [{key: source.namespace, values: [shop]}, {key: destination.port, notValues: "
     "['80']}]}]}",
     "b"},
    {"values and notValues are AND",
     "{rules: [{when: [{key: source.principal, values: ['*'], notValues: ['*/sa/web']}]}]}", "c"},
    // ALLOW with L7: the rule does not match.
    {"ALLOW methods", "{rules: [{to: [{operation: {methods: [GET]}}]}]}", "", kL7},
    {"ALLOW notMethods", "{rules: [{to: [{operation: {notMethods: [POST]}}]}]}", "", kL7},
    {"ALLOW paths", "{rules: [{to: [{operation: {paths: ['/a']}}]}]}", "", kL7},
    {"ALLOW notPaths", "{rules: [{to: [{operation: {notPaths: ['/a']}}]}]}", "", kL7},
    {"ALLOW hosts", "{rules: [{to: [{operation: {hosts: [a.com]}}]}]}", "", kL7},
    {"ALLOW notHosts", "{rules: [{to: [{operation: {notHosts: [a.com]}}]}]}", "", kL7},
    {"ALLOW requestPrincipals", "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}", "",
     kL7},
    {"ALLOW notRequestPrincipals", "{rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}",
     "", kL7},
    {"ALLOW remoteIpBlocks", "{rules: [{from: [{source: {remoteIpBlocks: [10.0.0.0/8]}}]}]}", "",
     kL7},
    {"ALLOW notRemoteIpBlocks", "{rules: [{from: [{source: {notRemoteIpBlocks: [10.0.0.0/8]}}]}]}",
     "", kL7},
    {"ALLOW header", "{rules: [{when: [{key: 'request.headers[x]', values: [z]}]}]}", "", kL7},
    {"ALLOW claim", "{rules: [{when: [{key: 'request.auth.claims[x]', values: [z]}]}]}", "", kL7},
    {"ALLOW sni", "{rules: [{when: [{key: connection.sni, values: [z]}]}]}", "", kL7},
    {"ALLOW remote.ip", "{rules: [{when: [{key: remote.ip, notValues: [10.0.0.1]}]}]}", "", kL7},
    {"ALLOW L4 and L7 in one operation",
     "{rules: [{to: [{operation: {ports: ['80'], methods: [GET]}}]}]}", "", kL7},
    {"ALLOW L7 in one of two operations drops the rule",
     "{rules: [{to: [{operation: {ports: ['80']}}, {operation: {paths: ['/']}}]}]}", "", kL7},
    {"ALLOW keeps its L4 rules",
     "{rules: [{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {ports: ['443']}}]}]}", "q",
     kL7},
    // DENY with L7: its L4 part denies.
    {"DENY methods alone denies all",
     "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}", kEverybody, kL7},
    {"DENY notPaths alone denies all",
     "{action: DENY, rules: [{to: [{operation: {notPaths: ['/ok']}}]}]}", kEverybody, kL7},
    {"DENY hosts and ports denies the ports",
     "{action: DENY, rules: [{to: [{operation: {ports: ['8080'], hosts: [a.com]}}]}]}", "b", kL7},
    {"DENY principal on a path denies the principal",
     "{action: DENY, rules: [{from: [{source: {principals: ['*/sa/admin']}}], to: [{operation: "
     "{paths: ['/admin']}}]}]}",
     "c", kL7},
    {"DENY port or path denies all",
     "{action: DENY, rules: [{to: [{operation: {ports: ['443']}}, {operation: {paths: ['/']}}]}]}",
     kEverybody, kL7},
    {"DENY requestPrincipals alone denies all",
     "{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}", kEverybody, kL7},
    {"DENY requestPrincipals of a namespace denies the namespace",
     "{action: DENY, rules: [{from: [{source: {namespaces: [other], requestPrincipals: ['*']}}]}]}",
     "d", kL7},
    {"DENY remoteIpBlocks alone denies all",
     "{action: DENY, rules: [{from: [{source: {remoteIpBlocks: [1.2.3.4]}}]}]}", kEverybody, kL7},
    {"DENY header on a port denies the port",
     "{action: DENY, rules: [{to: [{operation: {ports: ['443']}}], when: [{key: "
     "'request.headers[x]', values: [z]}]}]}",
     "q", kL7},
    {"DENY header alone denies all",
     "{action: DENY, rules: [{when: [{key: 'request.headers[x]', notValues: [z]}]}]}", kEverybody,
     kL7},
    {"DENY L4 when and L7 when denies the L4",
     "{action: DENY, rules: [{when: [{key: source.ip, values: [10.0.0.2]}, {key: connection.sni, "
     "values: [z]}]}]}",
     "c", kL7},
    {"CUSTOM denies what its rules match",
     "{action: CUSTOM, provider: {name: ext}, rules: [{to: [{operation: {ports: ['443'], paths: "
     "['/']}}]}]}",
     "q", kL7},
};

TEST(Authorization, TranslatesEveryRowOfTheTable) {
  ASSERT_GE(std::size(kRows), 40u);
  for (const Row& row : kRows) {
    const auto policy = decode(row.spec);
    ASSERT_TRUE(policy) << row.name << ": " << policy.error().text;
    ASSERT_TRUE(policy->l4) << row.name;
    EXPECT_EQ(matched(*policy->l4), row.matches) << row.name;
    EXPECT_EQ(policy->conditions.at(0).reason, row.reason) << row.name;
    EXPECT_EQ(policy->conditions.at(0).status, std::string_view(row.reason) == "Accepted")
        << row.name;
    for (const mesh::Rule& rule : policy->l4->rules) {
      for (const mesh::Clause& clause : rule.clauses) {
        EXPECT_FALSE(clause.matches.empty()) << row.name;
        for (const mesh::Match& match : clause.matches)
          EXPECT_FALSE(match.is_empty()) << row.name << ": an empty match never holds";
      }
    }
  }
}

TEST(Authorization, StatusNamesTheFieldsThatNeedAWaypoint) {
  const auto policy =
      decode("{action: DENY, rules: [{to: [{operation: {paths: ['/a'], methods: [GET]}}]}]}");
  ASSERT_TRUE(policy);
  EXPECT_THAT(
      policy->conditions[0].message,
      HasSubstr("spec.rules[0].to[0].operation.methods, spec.rules[0].to[0].operation.paths"));
}

TEST(Authorization, AuditDecidesNothingAndSaysSo) {
  const auto policy = decode("{action: AUDIT, rules: [{}]}");
  ASSERT_TRUE(policy);
  EXPECT_FALSE(policy->l4);
  EXPECT_FALSE(policy->conditions[0].status);
}

TEST(Authorization, TargetsThatNobodyEnforcesAreNamed) {
  const auto gateway = decode(
      "{targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: g}], rules: [{}]}");
  EXPECT_FALSE(gateway->conditions.at(0).status);
  const auto service = decode("{targetRefs: [{kind: Service, group: '', name: s}], rules: [{}]}");
  EXPECT_TRUE(service->conditions.at(0).status);
  EXPECT_THAT(service->conditions.at(0).message, HasSubstr("at the pods behind it"));
}

TEST(Authorization, ScopeIsBySelectorAndNamespace) {
  using enum mesh::PolicyScope;
  EXPECT_EQ(decode("{rules: [{}]}")->l4->scope, kNamespace);
  EXPECT_EQ(decode("{rules: [{}]}", true)->l4->scope, kGlobal);
  EXPECT_EQ(decode("{selector: {matchLabels: {a: b}}, rules: [{}]}")->l4->scope, kWorkloadSelector);
  EXPECT_EQ(decode("{selector: {matchLabels: {a: b}}, rules: [{}]}", true)->l4->scope,
            kWorkloadSelector);
  EXPECT_EQ(decode("{selector: {}, rules: [{}]}")->l4->scope, kNamespace)
      << "an empty selector selects the namespace";
  EXPECT_EQ(
      decode("{targetRefs: [{kind: Service, group: '', name: s}], rules: [{}]}", true)->l4->scope,
      kWorkloadSelector);
}

TEST(Authorization, DryRunIsAnAnnotation) {
  EXPECT_TRUE(
      decode("{rules: [{}]}", false, ", annotations: {istio.io/dry-run: \"true\"}")->l4->dry_run);
  EXPECT_FALSE(
      decode("{rules: [{}]}", false, ", annotations: {istio.io/dry-run: \"false\"}")->l4->dry_run);
}

TEST(Authorization, WhatCannotBeObeyedIsRefusedByName) {
  const std::pair<const char*, const char*> rows[] = {
      {"{rule: []}", "f.yaml:4: spec.rule: unknown field"},
      {"{rules: [{form: []}]}", "spec.rules[0].form: unknown field"},
      {"{rules: [{from: [{sources: {}}]}]}", "spec.rules[0].from[0].sources: unknown field"},
      {"{rules: [{from: [{source: {principal: [a]}}]}]}",
       "spec.rules[0].from[0].source.principal: unknown field"},
      {"{rules: [{from: [{source: {}}]}]}",
       "spec.rules[0].from[0].source: must have at least one field"},
      {"{rules: [{to: [{}]}]}", "spec.rules[0].to[0].operation: must have at least one field"},
      {"{rules: [{to: [{operation: {port: ['80']}}]}]}",
       "spec.rules[0].to[0].operation.port: unknown field"},
      {"{rules: [{to: [{operation: {ports: [80]}}]}]}",
       "spec.rules[0].to[0].operation.ports[0]: must be a string, got 80"},
      {"{rules: [{to: [{operation: {ports: ['http']}}]}]}",
       "ports[0]: must be a port (1-65535), got \"http\""},
      {"{rules: [{to: [{operation: {ports: ['0']}}]}]}", "ports[0]: must be a port"},
      {"{rules: [{to: [{operation: {ports: ['65536']}}]}]}", "ports[0]: must be a port"},
      {"{rules: [{to: [{operation: {methods: ['']}}]}]}", "methods[0]: must not be empty"},
      {"{rules: [{to: [{operation: {methods: GET}}]}]}", "methods: must be a list, got \"GET\""},
      {"{rules: [{from: [{source: {ipBlocks: ['10.0.0.0/33']}}]}]}",
       "ipBlocks[0]: must be an IP address or a CIDR block, got \"10.0.0.0/33\""},
      {"{rules: [{from: [{source: {principals: ['']}}]}]}", "principals[0]: must not be empty"},
      {"{rules: [{from: [{source: {serviceAccounts: ['a/b/c']}}]}]}",
       "serviceAccounts[0]: must be NAMESPACE/SERVICEACCOUNT"},
      {"{rules: [{from: [{source: {serviceAccounts: ['*']}}]}]}",
       "serviceAccounts[0]: must be NAMESPACE/SERVICEACCOUNT"},
      {"{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}",
       "cannot be set together"},
      {"{rules: [{when: [{key: source.labels, values: [a]}]}]}",
       "spec.rules[0].when[0].key: unknown attribute, got \"source.labels\""},
      {"{rules: [{when: [{key: source.ip}]}]}", "spec.rules[0].when[0]: needs values or notValues"},
      {"{rules: [{when: [{key: source.ip, value: [a]}]}]}",
       "spec.rules[0].when[0].value: unknown field"},
      {"{action: LOG}", "spec.action: must be ALLOW, DENY, AUDIT or CUSTOM, got \"LOG\""},
      {"{action: deny}", "spec.action: must be ALLOW"},
      {"{action: CUSTOM, rules: [{}]}", "spec.provider: is required for CUSTOM"},
      {"{provider: {name: a}}", "spec.provider: is only for CUSTOM"},
      {"{selector: {matchLabel: {a: b}}}", "spec.selector.matchLabel: unknown field"},
      {"{selector: {matchLabels: {a: 'b*'}}}",
       "spec.selector.matchLabels.a: must not hold a wildcard, got \"b*\""},
      {"{selector: {matchLabels: {a: 1}}}", "spec.selector.matchLabels.a: must be a string, got 1"},
      {"{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: s}]}",
       "cannot be set together with targetRefs"},
      {"{targetRefs: [{kind: Service}]}", "spec.targetRefs[0].name: is required"},
      {"{rules: {}}", "spec.rules: must be a list"},
      {"[a]", "spec: must be a map"},
  };
  for (const auto& [spec, error] : rows) {
    const auto policy = decode(spec);
    ASSERT_FALSE(policy) << spec;
    EXPECT_THAT(policy.error().text, HasSubstr(error)) << spec;
    EXPECT_THAT(policy.error().text, testing::StartsWith("f.yaml:4: ")) << spec;
  }
}

}  // namespace
}  // namespace weft::controlplane
