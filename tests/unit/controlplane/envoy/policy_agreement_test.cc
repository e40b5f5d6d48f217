// The L4 part of AuthorizationPolicy says the same at ztunnel (mesh::authorize) and at a waypoint
// (a real Envoy): generated policies, one service for each pair of an ALLOW and a DENY, asked from
// several clients.
//
// One class is left out: an ALLOW rule with notPrincipals, notNamespaces or their conditions, asked
// without an identity. ztunnel holds to Istio, where it matches; the waypoint refuses (decision
// 0012).
#include <gtest/gtest.h>

#include <random>

#include "controlplane/backends/envoy/resources.h"
#include "l7_world.h"
#include "live.h"

namespace weft::controlplane {
namespace {

constexpr int kRounds = 10;
constexpr int kServices = 100;  // of a round, with two policies each

using Random = std::mt19937;

int below(Random& random, int limit) {
  return std::uniform_int_distribution<int>(0, limit - 1)(random);
}

struct Field {
  const char *name, *negated, *condition;
  std::vector<const char*> values;
  bool from = true, identity = false;
};

const std::vector<Field>& fields() {
  static const std::vector<Field> kFields = {
      {"principals",
       "notPrincipals",
       "source.principal",
       {"cluster.local/ns/shop/sa/web", "cluster.local/ns/bank/*", "*/sa/web", "*",
        "cluster.local/ns/shop/sa/w", "other.domain/ns/shop/sa/web"},
       true,
       true},
      {"namespaces",
       "notNamespaces",
       "source.namespace",
       {"shop", "bank", "bank*", "*-2", "*", "ban"},
       true,
       true},
      {"ipBlocks",
       "notIpBlocks",
       "source.ip",
       {"10.244.1.0/24", "10.244.1.7", "192.168.0.0/16", "10.0.0.0/8", "0.0.0.0/0"}},
      {"ports", "notPorts", "destination.port", {"9080", "80"}, false},
  };
  return kFields;
}

struct Policy {
  std::string spec;
  bool negates_identity = false;
};

std::string values(Random& random, const Field& field) {
  std::string out;
  for (int left = 1 + below(random, 2); left > 0; --left)
    out += std::string(out.empty() ? "" : ", ") + '"' +
           field.values[below(random, static_cast<int>(field.values.size()))] + '"';
  return "[" + out + "]";
}

// One part of a rule: "from: [{source: {…}}]", "to: …" or "when: …"; fields of the wanted side,
// plain or negated.
std::string part(Random& random, bool from, Policy& policy) {
  std::string inner;
  for (const Field& field : fields()) {
    if (field.from != from || (!inner.empty() && below(random, 2) == 0)) continue;
    if (inner.empty() && from && below(random, 3) == 0 && &field != &fields()[2]) continue;
    const bool negated = below(random, 3) == 0;
    policy.negates_identity |= negated && field.identity;
    inner += std::string(inner.empty() ? "" : ", ") + (negated ? field.negated : field.name) +
             ": " + values(random, field);
  }
  return from ? "from: [{source: {" + inner + "}}]" : "to: [{operation: {" + inner + "}}]";
}

std::string when(Random& random, Policy& policy) {
  const Field& field = fields()[below(random, static_cast<int>(fields().size()))];
  const bool negated = below(random, 3) == 0;
  policy.negates_identity |= negated && field.identity;
  return std::string("when: [{key: ") + field.condition + ", " +
         (negated ? "notValues: " : "values: ") + values(random, field) + "}]";
}

Policy generate(Random& random) {
  Policy policy;
  for (int left = 1 + below(random, 2); left > 0; --left) {
    std::string rule;
    const int parts = 1 + below(random, 7);  // bits: from, to, when
    if ((parts & 1) != 0) rule += part(random, true, policy);
    if ((parts & 2) != 0) rule += (rule.empty() ? "" : ", ") + part(random, false, policy);
    if ((parts & 4) != 0) rule += (rule.empty() ? "" : ", ") + when(random, policy);
    policy.spec += std::string(policy.spec.empty() ? "" : ", ") + "{" + rule + "}";
  }
  return policy;
}

std::string policy_yaml(const std::string& name, const char* action, const std::string& app,
                        const Policy& policy) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: shop}\nspec: {selector: {matchLabels: {app: " + app +
         "}}, action: " + action + ", rules: [" + policy.spec + "]}\n";
}

std::string vip(int i) { return "10.96.1." + std::to_string(i + 1); }

std::string service_yaml(int i) {
  const std::string name = "s" + std::to_string(i), ip = "10.244.7." + std::to_string(i + 1);
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
         ", namespace: shop}\nspec: {clusterIP: " + vip(i) + ", selector: {app: " + name +
         "}, ports: [{name: http, port: 9080}]}\n" +
         pod_yaml("shop", name + "-1", ip, "{app: " + name + "}");
}

std::string route_yaml(int i) {
  const std::string name = "s" + std::to_string(i);
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
         ", namespace: shop}\nspec: {hosts: [" + name +
         "], http: [{directResponse: {status: 200}}]}\n";
}

struct Client {
  std::optional<mesh::Identity> identity;
  const char* ip;
};

const std::vector<Client>& clients() {
  static const std::vector<Client> kClients = {
      {mesh::Identity{"cluster.local", "shop", "web"}, "10.244.1.7"},
      {mesh::Identity{"cluster.local", "bank", "job"}, "10.244.2.9"},
      {mesh::Identity{"cluster.local", "bank-2", "web"}, "192.168.5.5"},
      {std::nullopt, "10.244.1.7"},
  };
  return kClients;
}

class PolicyAgreement : public envoy::LiveEnvoy {
 protected:
  bool envoy_allows(int i, const Client& client) {
    envoy::Ask ask{.to = vip(i) + ":9080", .peer = std::nullopt, .host = "s" + std::to_string(i)};
    if (client.identity) ask.peer = client.identity->str();
    ask.from = std::string(client.ip) + ":40000";
    const auto head = envoy::Kept(ask).get();
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 403")) << head;
    return head.starts_with("HTTP/1.1 200");
  }
  static bool ztunnel_allows(L7World& world, int i, const Client& client) {
    const mesh::Policy *allow = &world.policies.at("shop/allow" + std::to_string(i)),
                       *deny = &world.policies.at("shop/deny" + std::to_string(i));
    const mesh::Policy* both[] = {allow, deny};
    return mesh::authorize(
               both, "",
               {.source_ip = *IpAddress::parse(client.ip),
                .destination_ip = *IpAddress::parse("10.244.7." + std::to_string(i + 1)),
                .destination_port = 9080,
                .source = client.identity ? &*client.identity : nullptr})
        .allowed;
  }
};

TEST_F(PolicyAgreement, TwoThousandGeneratedPolicies) {
  Random random(20261201);
  int allowed = 0, denied = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string objects =
                    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: "
                    "{weft.dev/mesh: enabled}}\n",
                routes;
    std::vector<Policy> allows, denies;
    for (int i = 0; i < kServices; ++i) {
      allows.push_back(generate(random));
      denies.push_back(generate(random));
      const auto number = std::to_string(i);
      objects += service_yaml(i) +
                 policy_yaml("allow" + number, "ALLOW", "s" + number, allows.back()) +
                 policy_yaml("deny" + number, "DENY", "s" + number, denies.back());
      routes += route_yaml(i);
    }
    L7World at_nodes, at_waypoint;
    at_nodes.put(objects);
    at_waypoint.put(objects);
    at_waypoint.put(routes);
    at_waypoint.serve("shop");
    ASSERT_TRUE(at_waypoint.plans.contains(kId));
    apply(at_waypoint.plans.at(kId));
    ASSERT_FALSE(HasFailure());
    for (int i = 0; i < kServices; ++i) {
      for (const Client& client : clients()) {
        if (!client.identity && allows[i].negates_identity) continue;
        const bool want = ztunnel_allows(at_nodes, i, client);
        (want ? allowed : denied)++;
        EXPECT_EQ(envoy_allows(i, client), want)
            << "round " << round << ": " << (client.identity ? client.identity->str() : "nobody")
            << " from " << client.ip << "\nALLOW " << allows[i].spec << "\nDENY " << denies[i].spec;
      }
    }
  }
  EXPECT_GT(allowed, 300);
  EXPECT_GT(denied, 300);
}

}  // namespace
}  // namespace weft::controlplane
