#include "sandbox/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "mesh/tracing.h"

namespace weft::sandbox {
namespace {

struct Setting {
  const char* key;
  const char* otherwise;
  const char* help;
  std::vector<std::string> choices;  // empty: free text
};

const std::vector<Setting>& table() {
  static const std::vector<Setting> settings = {
      {"certificateTtl", "24h", "lifetime of workload certificates", {}},
      {"trustDomain", "cluster.local", "first part of every SPIFFE identity", {}},
      {"rootNamespaces", "weft-system,istio-system", "policies in these are mesh-wide", {}},
      {"rootCert", "", "PEM file of the CA's root; made when absent", {}},
      {"rootKey", "", "PEM file of the CA's key", {}},
      {"io", "auto", "how ztunnel waits", {"auto", "uring", "epoll"}},
      {"denyIoUring", "false", "forbid io_uring to ztunnel by seccomp", {"true", "false"}},
      {"ztunnelThreads", "2", "worker threads of each ztunnel", {}},
      {"logLevel", "info", "of all components", {"trace", "debug", "info", "warn", "error", "off"}},
      {"dnsCapture",
       "true",
       "ztunnel answers the cluster names of enrolled pods",
       {"true", "false"}},
      {"sameNode", "mtls", "between enrolled pods of one node", {"mtls"}},
      {"onDemand", "false", "ztunnels fetch workloads when first needed", {"true", "false"}},
      {"holdPods", "true", "pods of the mesh start when their agent has them", {"true", "false"}},
      {"terminationGrace", "5s", "what a stopping ztunnel gives its connections", {}},
      {"tracing", "", "where spans go: zipkin://HOST:PORT[/PATH] or otlp://HOST:PORT", {}},
      {"tracingSampling", "1", "percent of requests that begin a trace", {}},
  };
  return settings;
}

constexpr const char* kPrefixes[] = {"ztunnel.", "agent.", "controlplane."};

bool has_prefix(const std::string& key) {
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes), [&](const char* prefix) {
    return key.starts_with(prefix) && key.size() > std::string_view(prefix).size();
  });
}

const Setting* find(const std::string& key) {
  const auto& all = table();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Setting& s) { return s.key == key; });
  return found == all.end() ? nullptr : &*found;
}

bool is_duration(const std::string& text) {
  if (text.size() < 2) return false;
  const auto unit = text.find_first_not_of("0123456789");
  return unit != 0 && unit != std::string::npos &&
         (text.substr(unit) == "s" || text.substr(unit) == "m" || text.substr(unit) == "h");
}

}  // namespace

std::string Settings::get(const std::string& key) const {
  const auto found = values.find(key);
  if (found != values.end()) return found->second;
  const auto* setting = find(key);
  return setting == nullptr ? "" : setting->otherwise;
}

std::map<std::string, std::string> Settings::extra(const std::string& prefix) const {
  std::map<std::string, std::string> found;
  for (const auto& [key, value] : values) {
    if (key.starts_with(prefix + ".")) found[key.substr(prefix.size() + 1)] = value;
  }
  return found;
}

Parsed<Settings> parse_settings(const std::vector<std::string>& pairs) {
  Settings settings;
  for (const auto& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0)
      return problem(fmt::format("--set {}: expected KEY=VALUE", pair));
    const auto key = pair.substr(0, equals), value = pair.substr(equals + 1);
    const auto* setting = find(key);
    if (setting == nullptr && !has_prefix(key)) {
      std::string known;
      for (const auto& s : table()) known += fmt::format("{}{}", known.empty() ? "" : ", ", s.key);
      return problem(fmt::format("--set {}: there is no key {}; there are {}", pair, key, known));
    }
    if (setting != nullptr && !setting->choices.empty() &&
        std::find(setting->choices.begin(), setting->choices.end(), value) ==
            setting->choices.end()) {
      return problem(
          fmt::format("--set {}: {} is one of {}", pair, key, fmt::join(setting->choices, ", ")));
    }
    if ((key == "certificateTtl" || key == "terminationGrace") && !is_duration(value)) {
      return problem(fmt::format("--set {}: expected a duration such as 20s, 10m or 24h", pair));
    }
    if (key == "ztunnelThreads" && (value.empty() || value.size() > 3 || value == "0" ||
                                    !std::all_of(value.begin(), value.end(), [](unsigned char c) {
                                      return std::isdigit(c) != 0;
                                    }))) {
      return problem(fmt::format("--set {}: expected a number of threads, at least 1", pair));
    }
    if (key == "tracing") {
      if (const auto parsed = mesh::parse_tracing(value); !parsed)
        return problem("--set tracing: " + parsed.error().text);
    }
    if (key == "tracingSampling") {
      if (const auto parsed = mesh::parse_sampling(value); !parsed)
        return problem("--set tracingSampling: " + parsed.error().text);
    }
    settings.values[key] = value;
  }
  return settings;
}

std::string settings_help() {
  std::string text;
  for (const auto& s : table()) {
    const auto choices =
        s.choices.empty() ? std::string() : fmt::format(" [{}]", fmt::join(s.choices, "|"));
    text += fmt::format("  {:<18} {}{}{}\n", s.key, s.help, choices,
                        *s.otherwise == '\0' ? "" : fmt::format(" (default {})", s.otherwise));
  }
  text +=
      "  ztunnel.NAME       an environment variable of ztunnel\n  agent.FLAG, controlplane.FLAG   "
      "a flag of those\n";
  return text;
}

}  // namespace weft::sandbox
