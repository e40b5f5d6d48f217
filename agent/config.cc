#include "agent/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

namespace weft::agent {

namespace {

constexpr std::size_t kNameMost = 253;
constexpr unsigned kAwaitMost_s = 3600;

struct Words {
  std::string source, metrics, ready;
  std::vector<std::string> node_ips, dns_ips;
};

void declare(CLI::App& app, Config& config, Words& words) {
  app.add_option("--node", config.node, "Name of this node, as in a Pod's spec.nodeName");
  app.add_option("--source", words.source,
                 "Where objects come from: files:DIR, kube:KUBECONFIG, or kube (in a pod)");
  app.add_option("--cgroup", config.cgroup,
                 "cgroup2 directory above every pod's, or auto: kubelet's below /sys/fs/cgroup");
  app.add_option("--node-cgroup", config.node_cgroup,
                 "cgroup2 directory above kubelet and the pods (default: the top)");
  app.add_option("--bpffs", config.pin_directory, "Directory on a bpffs for pins");
  app.add_option("--netns-dir", config.netns_directory, "Directory of bind-mounted pod network namespaces")->capture_default_str();
  app.add_option("--zds", config.link_path, "Unix socket for ztunnel");
  app.add_option("--api", config.api_path, "Unix socket for weftctl");
  app.add_option("--node-ip", words.node_ips,
                 "Accepted and not used: probes are known by the process that sends them")
      ->delimiter(',');
  app.add_option("--dns-ip", words.dns_ips,
                 "Addresses of the cluster's DNS, or auto: those of /etc/resolv.conf")
      ->delimiter(',');
  app.add_option("--metrics", words.metrics, "ADDR:PORT of the metrics endpoint");
  app.add_option("--ready", words.ready, "ADDR:PORT of the readiness endpoint");
  app.add_option("--ready-socket", config.ready_path,
                 "Unix socket of the readiness endpoint: of this process, whoever has the address");
  app.add_flag("--take-over", config.take_over,
               "Another agent of this node is asked to step aside as soon as our ztunnel can "
               "serve, and addresses that it has are waited for");
  app.add_flag("--renew-listeners", config.renew_listeners,
               "Give every captured pod new listeners, also where some live: what an agent starts "
               "itself again with, when its successor is gone");
  app.add_option("--is-ready", config.probe_path,
                 "Ask the --ready-socket PATH (or a WEFT_READY_SOCKET of ztunnel), and exit 0 when "
                 "it is ready, else 1");
  app.add_option("--dns-capture", config.dns_capture, "Capture pods' DNS queries")
      ->capture_default_str();
  app.add_option("--ztunnel-uid", config.ztunnel_uid, "User that ztunnel runs as")
      ->capture_default_str();
  app.add_option("--log-level", config.log_level, "error, warn, info, debug, trace or off")
      ->capture_default_str();
  app.add_option("--log-format", config.log_format, "text or json")->capture_default_str();
  app.add_option("--cni-conf-dir", config.cni.config_directory,
                 "The node's CNI configurations: weft-cni is kept chained there");
  app.add_option("--cni-bin-dir", config.cni.bin_directory,
                 "The node's CNI plugins: weft-cni is put there");
  app.add_option("--cni-plugin", config.cni.plugin, "What is put there")->capture_default_str();
  app.add_option("--cni-socket", config.cni.socket, "--api as the node sees it (default: the same path)");
  app.add_option("--cni-exempt", config.cni.exempt, "Namespaces whose pods start without asking")->delimiter(',')->capture_default_str();
  app.add_flag("--uninstall", config.uninstall, "Take all programs, links and maps below --bpffs off this node, and exit");
  app.add_option("--await-agent", config.await_agent_s, "With --uninstall: seconds that an agent which answers at --api has to let its pods go")
      ->capture_default_str()
      ->check(CLI::Range(0U, kAwaitMost_s));
  app.add_flag("--stay", config.stay, "With --uninstall: then wait for SIGTERM, and look again for what was left meanwhile");
}

Parsed<void> read_addresses(const char* flag, const std::vector<std::string>& words, std::vector<IpAddress>& into) {
  for (const auto& word : words) {
    const auto ip = IpAddress::parse(word);
    if (!ip) return problem(fmt::format("{}: \"{}\" is no IP address", flag, word));
    into.push_back(*ip);
  }
  return {};
}

Parsed<void> read_socket(const char* flag, const std::string& word, std::optional<SocketAddress>& into) {
  if (word.empty()) return {};
  into = SocketAddress::parse(word);
  if (!into) return problem(fmt::format("{}: \"{}\" is not ADDR:PORT", flag, word));
  return {};
}

Parsed<void> read_source(const std::string& word, Config& config) {
  constexpr std::string_view kFiles = "files:";
  constexpr std::string_view kKube = "kube:";
  if (word.starts_with(kFiles) && word.size() > kFiles.size()) {
    config.source_directory = word.substr(kFiles.size());
  } else if (word.starts_with(kKube) && word.size() > kKube.size()) {
    config.kubeconfig = word.substr(kKube.size());
  } else if (word != "kube") {
    return problem(fmt::format("--source: \"{}\" is not files:DIR, kube or kube:KUBECONFIG", word));
  }
  return {};
}

Parsed<void> read_words(const Words& words, Config& config) {
  if (auto read = read_source(words.source, config); !read) return read;
  std::vector<IpAddress> unused;
  if (auto read = read_addresses("--node-ip", words.node_ips, unused); !read) return read;
  config.dns_from_resolv_conf = words.dns_ips == std::vector<std::string>{"auto"};
  if (!config.dns_from_resolv_conf) {
    if (auto read = read_addresses("--dns-ip", words.dns_ips, config.dns_ips); !read) return read;
  }
  if (auto read = read_socket("--metrics", words.metrics, config.metrics); !read) return read;
  return read_socket("--ready", words.ready, config.ready);
}

Parsed<void> check(const Config& config) {
  constexpr std::array<std::string_view, 6> kLevels = {"error", "warn", "info", "debug", "trace", "off"};
  if (std::ranges::find(kLevels, config.log_level) == kLevels.end()) return problem(fmt::format("--log-level: \"{}\" is no level", config.log_level));
  if (config.log_format != "text" && config.log_format != "json") {
    return problem(fmt::format("--log-format: \"{}\" is neither text nor json", config.log_format));
  }
  if (!config.probe_path.empty()) return {};
  if (config.pin_directory.empty()) return problem("--bpffs is missing");
  if (config.cni.config_directory.empty() != config.cni.bin_directory.empty()) return problem("--cni-conf-dir and --cni-bin-dir come together");
  if (!config.uninstall && (config.stay || config.await_agent_s != 0)) return problem("--stay and --await-agent need --uninstall");
  if (config.await_agent_s != 0 && config.api_path.empty()) return problem("--await-agent needs --api: the agent is asked there");
  if (config.uninstall) return {};
  if (config.take_over && config.api_path.empty())
    return problem("--take-over needs --api: the other agent is asked there");
  if (!config.cni.config_directory.empty() && config.api_path.empty()) return problem("--cni-conf-dir needs --api: weft-cni asks there");
  for (const auto& [flag, value] : {std::pair("--node", &config.node), {"--cgroup", &config.cgroup}, {"--zds", &config.link_path}}) {
    if (value->empty()) return problem(fmt::format("{} is missing", flag));
  }
  // It becomes part of a path and of a URL.
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  if (config.node.size() > kNameMost || config.node.front() == '.' ||
      !std::ranges::all_of(config.node, plain)) {
    return problem(
        fmt::format("--node: \"{}\" is no name of a node (a-z, 0-9, '-', '.')", config.node));
  }
  return {};
}

}  // namespace

Parsed<std::variant<Config, Wanted>> parse_config(const std::vector<std::string>& arguments) {
  CLI::App app("weft-agent: enrolls this node's pods in the mesh", "weft-agent");
  app.set_version_flag("--version", "weft-agent " WEFT_VERSION);
  Config config;
  Words words;
  declare(app, config, words);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return Wanted{app.help()};
  } catch (const CLI::CallForVersion& version) {
    return Wanted{std::string(version.what()) + "\n"};
  } catch (const CLI::ParseError& error) {
    return problem(error.what());
  }
  if (config.cni.socket.empty()) config.cni.socket = config.api_path;
  if (auto checked = check(config); !checked) return std::unexpected(checked.error());
  if (config.uninstall || !config.probe_path.empty()) return config;
  if (auto read = read_words(words, config); !read) return std::unexpected(read.error());
  return config;
}

std::string Config::source() const {
  if (!source_directory.empty()) return "files:" + source_directory;
  return kubeconfig.empty() ? "kube" : "kube:" + kubeconfig;
}

std::string Config::str() const {
  const auto text = [](const auto& list) {
    std::vector<std::string> words;
    for (const auto& ip : list) words.push_back(ip.str());
    return fmt::format("{}", fmt::join(words, ","));
  };
  return fmt::format(
      "node={} source={} cgroup={} bpffs={} netns_dir={} zds={} api={} dns_ips={} metrics={} "
      "ready={} ready_socket={} take_over={} dns_capture={}",
      node, source(), cgroup, pin_directory, netns_directory, link_path, api_path, text(dns_ips),
      metrics ? metrics->str() : "", ready ? ready->str() : "", ready_path, take_over, dns_capture);
}

}  // namespace weft::agent
