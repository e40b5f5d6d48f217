// Config: the environment of weft-ztunnel, read and checked before anything is opened. Source: ambient-protocol facts §7.5.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/net.h"
#include "base/result.h"

namespace weft::app {

using Environment = std::map<std::string, std::string>;

struct Remote {
  std::string address, root, alt_name;
  std::map<std::string, std::string> headers;
};

struct Config {
  // Who we are.
  std::string node_name, pod_name, pod_namespace, instance_ip, cluster_id, cluster_domain, trust_domain, network;
  std::map<std::string, std::string> metadata;       // ISTIO_META_*
  std::map<std::string, std::string> metadata_json;  // ISTIO_METAJSON_*
  // Whom we talk to.
  std::string agent_socket;
  Remote xds, ca;
  std::string token;  // path
  bool on_demand = false;
  std::chrono::seconds secret_ttl{};
  std::string state_dir;  // empty: nothing is kept over a restart
  // How we run.
  std::uint32_t threads = 1;
  std::string io;  // auto | uring | epoll
  std::string log_level, log_format;
  std::chrono::seconds grace{};
  bool dns_capture = true;
  SocketAddress dns_upstream;  // port 0: none
  SocketAddress admin, metrics, ready;
  std::string ready_socket;  // tells of this very process; empty: none
  bool take_over = false;    // another ztunnel may be on this node (an upgrade)

  // One line, without secrets.
  std::map<std::string, std::string> shown() const;
};

// How many connections each of `threads` loops may have, and how many unused sockets it may keep, when the process may open `files`.
// A connection has two descriptors; an eighth of them is for all else.
struct Maxima {
  std::size_t connections, pooled_sockets;
};
Maxima maxima_of(std::uint64_t files, std::uint32_t threads);

// Every bad value is one line of the problem: variable, value, what would be right. `cpus`: as many as this process may use.
Parsed<Config> parse_config(const Environment& environment, unsigned cpus);

// The variables, their defaults and meaning, for --help.
std::string describe_variables();

// "24h", "1h30m", "20s", "500ms" (rounded up to a second), "90" (seconds).
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

}  // namespace weft::app
