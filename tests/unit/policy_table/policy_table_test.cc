// tests/data/policy_table.yaml by the pure engine: manifests → model → wire → decoded snapshot → authorize(). tests/netns runs the same
// rows end to end.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <set>

#include "controlplane/backends/ztunnel/encode.h"
#include "controlplane/translate/world.h"
#include "source/object.h"
#include "weft/authorization.pb.h"
#include "weft/workload.pb.h"
#include "ztunnel/state/decode.h"

namespace weft {
namespace {

struct Client {
  const char* name;
  const char* ip;
  const char* ns;  // null: no identity
};
constexpr Client kClients[] = {{"alice", "10.244.1.11", "shop"}, {"bob", "10.244.1.12", "shop"}, {"eve", "10.244.2.13", "bank"},
                               {"plain", "10.244.1.14", nullptr}};
constexpr std::uint16_t kPorts[] = {8080, 9090};

constexpr const char* kServer = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {weft.dev/mesh: enabled}}}
---
apiVersion: v1
kind: Pod
metadata: {name: vault, namespace: bank, uid: u1, labels: {app: vault}}
spec: {nodeName: node2, serviceAccountName: vault, containers: [{name: main, image: none}]}
status: {phase: Running, podIP: 10.244.2.10, podIPs: [{ip: 10.244.2.10}], conditions: [{type: Ready, status: "True"}]}
)";

std::string emit(const YAML::Node& node) {
  YAML::Emitter out;
  out.SetStringFormat(YAML::DoubleQuoted);  // "8080" stays a string
  out << node;
  return out.c_str();
}

std::string manifest_of(const YAML::Node& row) {
  std::string text = kServer;
  int n = 0;
  for (const auto& object : row["objects"]) {
    const bool is_authz = static_cast<bool>(object["A"]);
    const std::string ns = object["ns"] ? object["ns"].as<std::string>() : "bank";
    text += "\n---\napiVersion: security.istio.io/v1\nkind: ";
    text += is_authz ? "AuthorizationPolicy" : "PeerAuthentication";
    text += "\nmetadata: {name: row-" + std::to_string(n++) + ", namespace: " + ns + "}\n";
    YAML::Node spec;
    spec["spec"] = is_authz ? object["A"] : object["P"];
    text += emit(spec) + "\n";
  }
  return text;
}

// What a node's ztunnel would know: everything through the wire's bytes.
std::shared_ptr<const mesh::Snapshot> snapshot_of(const std::string& manifest) {
  auto objects = source::parse_manifest(manifest, "row.yaml");
  EXPECT_TRUE(objects) << objects.error().text;
  controlplane::translate::World world({});
  const auto changes = world.apply({*objects, {}});
  mesh::World out;
  for (const auto& policy : changes.policies) {
    istio::security::Authorization wire;
    controlplane::ztunnel::encode(policy, wire);
    auto decoded = state::decode_authorization(policy.key(), wire.SerializeAsString());
    EXPECT_TRUE(decoded) << decoded.error().text;
    out.policies[policy.key()] = *decoded;
  }
  for (const auto& workload : changes.workloads) {
    istio::workload::Address wire;
    controlplane::ztunnel::encode(workload, wire);
    auto decoded = state::decode_address(workload.uid, wire.SerializeAsString());
    EXPECT_TRUE(decoded) << decoded.error().text;
    out.workloads[workload.uid] = std::get<mesh::WorkloadPtr>(*decoded);
  }
  return mesh::Snapshot::build(std::move(out), 1, "");
}

std::set<std::string> allowed_by(const mesh::Snapshot& snapshot) {
  std::set<std::string> out;
  const auto server = snapshot.workload_by_ip(*IpAddress::parse("10.244.2.10"));
  EXPECT_TRUE(server);
  for (const auto& client : kClients) {
    for (const auto port : kPorts) {
      const mesh::Identity id{"cluster.local", client.ns ? client.ns : "", client.name};
      const mesh::ConnectionAttributes c{*IpAddress::parse(client.ip), server->addresses.front(), port, client.ns ? &id : nullptr};
      if (mesh::authorize(snapshot, *server, c).allowed) out.insert(std::string(client.name) + ":" + std::to_string(port));
    }
  }
  return out;
}

std::set<std::string> expected(const YAML::Node& row) {
  std::set<std::string> out;
  for (const auto& word : row["allow"]) {
    const auto text = word.as<std::string>();
    if (!text.ends_with(":*")) {
      out.insert(text);
      continue;
    }
    for (const auto port : kPorts) out.insert(text.substr(0, text.size() - 1) + std::to_string(port));
  }
  return out;
}

TEST(PolicyTable, ThePureEngineAgreesWithEveryRow) {
  const auto table = YAML::LoadFile(WEFT_POLICY_TABLE);
  ASSERT_GE(table.size(), 40u);
  for (const auto& row : table) {
    const auto snapshot = snapshot_of(manifest_of(row));
    EXPECT_EQ(allowed_by(*snapshot), expected(row)) << row["name"].as<std::string>();
  }
}

}  // namespace
}  // namespace weft
