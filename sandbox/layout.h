// Where everything of one sandbox lives and which addresses it uses. Pure: names in, names out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::sandbox {

inline constexpr std::string_view kStateRoot = "/run/weft/sandbox";
inline constexpr std::string_view kDefaultName = "weft";
inline constexpr std::string_view kClusterDomain = "cluster.local";
inline constexpr std::string_view kDnsV4 = "10.96.0.10";
inline constexpr std::string_view kDnsV6 = "fd00:96::a";
inline constexpr std::string_view kControlV4 = "172.31.0.254";
inline constexpr std::string_view kControlV6 = "fd00:172:31::fe";
inline constexpr int kNodesMax = 32;
inline constexpr std::uint32_t kZtunnelUid = 1337;
inline constexpr std::uint32_t kControlPlaneUid = 1338;

// The state directory of one sandbox.
struct Layout {
  std::string name;

  std::string root() const { return std::string(kStateRoot) + "/" + name; }
  std::string objects() const { return root() + "/objects"; }
  std::string logs() const { return root() + "/logs"; }
  std::string api_socket() const { return root() + "/api.sock"; }
  std::string state_file() const { return root() + "/state.json"; }
  std::string control_plane() const { return root() + "/controlplane"; }
  std::string control_socket() const { return control_plane() + "/api.sock"; }
  std::string outcome() const { return control_plane() + "/out"; }
  std::string root_cert() const { return control_plane() + "/root-cert.pem"; }
  std::string tokens_file() const { return root() + "/tokens.yaml"; }
  std::string dns() const { return root() + "/dns"; }
  std::string pods() const { return root() + "/pods"; }
  std::string node(std::string_view node) const { return root() + "/nodes/" + std::string(node); }
  std::string agent_socket(std::string_view n) const { return node(n) + "/agent.sock"; }
  std::string zds_socket(std::string_view n) const { return node(n) + "/zds/zds.sock"; }
  std::string ztunnel_state(std::string_view n) const { return node(n) + "/ztunnel"; }
  std::string token_file(std::string_view n) const { return node(n) + "/token"; }
  std::string component_log(std::string_view component, std::string_view node) const;
  std::string container_log(std::string_view ns, std::string_view pod, std::string_view uid,
                            std::string_view container) const;
  std::string cgroup() const { return "weft-" + name; }  // below the cgroup2 mount
};

// The addresses of node number `index` (1…kNodesMax) and of the pods on it.
struct NodeNet {
  int index = 1;

  std::string name() const { return "node" + std::to_string(index); }
  std::string v4() const { return "172.31.0." + std::to_string(index); }
  std::string v6() const;
  std::string pods_v4() const { return "10.244." + std::to_string(index) + ".0/24"; }
  std::string pods_v6() const { return "fd00:244:" + std::to_string(index) + "::/64"; }
  // Pod number `host` (2…254) on this node.
  std::string pod_v4(int host) const {
    return "10.244." + std::to_string(index) + "." + std::to_string(host);
  }
  std::string pod_v6(int host) const;
};

// Letters, digits and dashes, 1…20 characters: it becomes part of cgroup and directory names.
bool is_sandbox_name(std::string_view name);

// "node2" → 2; 0 if it is no node's name.
int node_index(std::string_view node_name);

}  // namespace weft::sandbox
