// Config: the control plane's flags, parsed and checked before anything is opened.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "mesh/tracing.h"

namespace weft::controlplane {

struct Config {
  std::string source_dir;                     // --source files:DIR; empty: Kubernetes
  std::string kubeconfig;                     // --source kube:KUBECONFIG; empty: in a pod
  std::string tls_address = "0.0.0.0:15012";  // --tls
  std::vector<std::string> tls_ips;           // --tls-ip, into the serving certificate
  std::string plaintext_address;              // --plaintext; empty: not served
  std::string tokens_file;                    // --tokens
  std::string state_dir = "/var/lib/weft";    // --state-dir
  std::string trust_domain = "cluster.local";
  std::string cluster_domain = "cluster.local";
  std::string cluster_id = "Kubernetes";
  std::vector<std::string> root_namespaces = {"weft-system", "istio-system"};
  std::chrono::seconds certificate_ttl = std::chrono::hours(24);
  std::string root_cert, root_key;
  std::string metrics_address = "0.0.0.0:15014";  // empty: none
  std::string api = "127.0.0.1:15018";            // PATH or ADDR:PORT; empty: none
  std::string out_dir;       // --out files:DIR; empty, and not out_kube: nothing is deployed and no
                             // status is written
  bool out_kube = false;     // --out kube: to the API server of --source, by whoever has the lease
  std::string state_secret;  // --state-secret NAMESPACE/NAME; empty: --state-dir alone
  std::string lease = "weft-system/weft-controlplane";                 // --lease
  std::string replica;                                                 // --replica; empty: made up
  std::string token_audience = "weft-ca";                              // --token-audience
  std::vector<std::string> node_accounts = {"weft-system/weft-node"};  // --node-accounts
  std::string envoy_server;  // --envoy-server ADDR:PORT, where Envoys find us; empty: none is made
  mesh::Tracing tracing;     // --tracing and --tracing-sampling
  std::string log_level = "info";
  bool log_json = false;
};

// "24h", "90m", "20s", "1h30m". Nothing when it is none.
std::optional<std::chrono::seconds> parse_duration(const std::string& text);

// A checked Config; or, for --help and --version, the text to print (exit 0); or a problem (exit
// 64).
struct Usage {
  std::optional<Config> config;
  std::string text;
};
Parsed<Usage> parse_flags(int argc, const char* const* argv);

}  // namespace weft::controlplane
