#include "cli/bundle.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "sandbox/json.h"

// Made by tools/manifests.py.
extern const char* const kWeftManifests;

namespace weft::cli {

namespace {

using sandbox::Json;
using sandbox::str;

constexpr const char* kRegistry = "docker.io/weft";

const Json& built_in() {
  static const Json all = Json::parse(kWeftManifests);
  return all;
}

// --- Where a setting lands

Json* find(std::vector<Json>& objects, std::string_view kind, std::string_view name) {
  for (auto& one : objects) {
    if (str(one, {"kind"}) == kind && sandbox::name_of(one) == name) return &one;
  }
  return nullptr;
}

void for_each_template(std::vector<Json>& objects, const std::function<void(Json& pod)>& change) {
  for (auto& one : objects) {
    if (sandbox::at(one, {"spec", "template", "spec", "containers"}) != nullptr)
      change(one["spec"]["template"]["spec"]);
  }
}

Json* container(std::vector<Json>& objects, std::string_view name) {
  Json* found = nullptr;
  for (auto& one : objects) {
    if (sandbox::at(one, {"spec", "template", "spec", "containers"}) == nullptr) continue;
    for (auto& c : one["spec"]["template"]["spec"]["containers"]) {
      if (str(c, {"name"}) == name) found = &c;
    }
  }
  return found;
}

void set_flag(std::vector<Json>& objects, std::string_view name, const std::string& flag,
              const std::string& value) {
  Json* const in = container(objects, name);
  if (in == nullptr) return;
  const std::string head = "--" + flag + "=";
  for (auto& argument : (*in)["args"]) {
    if (argument.get<std::string>().starts_with(head)) {
      argument = head + value;
      return;
    }
  }
  (*in)["args"].push_back(head + value);
}

void set_variable(std::vector<Json>& objects, std::string_view name, const std::string& variable,
                  const std::string& value) {
  Json* const in = container(objects, name);
  if (in == nullptr) return;
  for (auto& one : (*in)["env"]) {
    if (str(one, {"name"}) == variable) {
      one = {{"name", variable}, {"value", value}};
      return;
    }
  }
  (*in)["env"].push_back({{"name", variable}, {"value", value}});
}

void set_host_path(Json& pod, std::string_view volume, const std::string& path) {
  for (auto& one : pod["volumes"]) {
    if (str(one, {"name"}) == volume) one["hostPath"]["path"] = path;
  }
}

// "docker.io/weft/node:0.1.0": a registry and a name, a colon, a tag.
void set_images(
    std::vector<Json>& objects,
    const std::function<std::string(std::string_view name, std::string_view tag)>& made) {
  for_each_template(objects, [&](Json& pod) {
    for (auto& c : pod["containers"]) {
      const auto image = str(c, {"image"});
      const auto name = image.substr(image.rfind('/') + 1);
      const auto colon = name.find(':');
      c["image"] = made(name.substr(0, colon), name.substr(colon + 1));
    }
  });
}

struct Given {
  std::string registry = kRegistry, tag;  // the two that make one text
};

bool is_count(const std::string& text) {
  return !text.empty() && text.size() < 4 && text != "0" &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

struct Setting {
  const char* key;
  const char* help;
  std::vector<std::string> choices;  // empty: any
  std::function<void(std::vector<Json>&, const std::string&)> set;
};

const std::vector<Setting>& table() {
  using Objects = std::vector<Json>;
  using Text = const std::string;
  static const std::vector<Setting> all = {
      {"registry", "where the images are (default docker.io/weft)", {}, nullptr},
      {"tag", "their tag (default: this weftctl's version)", {}, nullptr},
      {"imagePullPolicy",
       "of every container",
       {"Always", "IfNotPresent", "Never"},
       [](Objects& o, Text& v) {
         for_each_template(o, [&](Json& pod) {
           for (auto& c : pod["containers"]) c["imagePullPolicy"] = v;
         });
       }},
      {"imagePullSecret",
       "a Secret in weft-system",
       {},
       [](Objects& o, Text& v) {
         for_each_template(o, [&](Json& pod) { pod["imagePullSecrets"] = {{{"name", v}}}; });
       }},
      {"replicas",
       "of the control plane",
       {},
       [](Objects& o, Text& v) {
         if (Json* one = find(o, "Deployment", "weft-controlplane"))
           (*one)["spec"]["replicas"] = std::stoi(v);
       }},
      {"trustDomain",
       "of every identity (default cluster.local)",
       {},
       [](Objects& o, Text& v) {
         set_flag(o, "controlplane", "trust-domain", v);
         set_variable(o, "ztunnel", "TRUST_DOMAIN", v);
       }},
      {"clusterDomain",
       "DNS domain of services (default cluster.local)",
       {},
       [](Objects& o, Text& v) { set_flag(o, "controlplane", "cluster-domain", v); }},
      {"certificateTtl",
       "life of a workload's certificate (default 24h)",
       {},
       [](Objects& o, Text& v) { set_flag(o, "controlplane", "certificate-ttl", v); }},
      {"rootNamespaces",
       "policies in these are mesh-wide (default weft-system,istio-system)",
       {},
       [](Objects& o, Text& v) { set_flag(o, "controlplane", "root-namespaces", v); }},
      {"dnsCapture",
       "pods' DNS queries go through the mesh (default true)",
       {"true", "false"},
       [](Objects& o, Text& v) {
         set_flag(o, "agent", "dns-capture", v);
         set_variable(o, "ztunnel", "ISTIO_META_DNS_CAPTURE", v);
       }},
      {"cniConfDir",
       "the nodes' CNI configurations (default /etc/cni/net.d)",
       {},
       [](Objects& o, Text& v) {
         for_each_template(o, [&](Json& pod) { set_host_path(pod, "cni-conf", v); });
       }},
      {"cniBinDir",
       "the nodes' CNI plugins (default /opt/cni/bin)",
       {},
       [](Objects& o, Text& v) {
         for_each_template(o, [&](Json& pod) { set_host_path(pod, "cni-bin", v); });
       }},
      {"logLevel",
       "of all components (default info)",
       {"error", "warn", "info", "debug", "trace"},
       [](Objects& o, Text& v) {
         set_flag(o, "agent", "log-level", v);
         set_flag(o, "controlplane", "log-level", v);
         set_variable(o, "ztunnel", "WEFT_LOG_LEVEL", v);
       }},
  };
  return all;
}

std::string keys() {
  std::string text;
  for (const auto& one : table()) text += std::string(text.empty() ? "" : ", ") + one.key;
  return text + ", agent.FLAG, controlplane.FLAG, ztunnel.VARIABLE";
}

Parsed<void> set_one(std::vector<Json>& objects, Given& given, const std::string& pair) {
  const auto equals = pair.find('=');
  if (equals == std::string::npos || equals == 0)
    return problem(fmt::format("--set {}: expected KEY=VALUE", pair));
  const std::string key = pair.substr(0, equals), value = pair.substr(equals + 1);
  if (value.empty()) return problem(fmt::format("--set {}: the value is empty", pair));
  const auto dot = key.find('.');
  const std::string where = key.substr(0, dot),
                    rest = dot == std::string::npos ? "" : key.substr(dot + 1);
  if (!rest.empty() && (where == "agent" || where == "controlplane"))
    return set_flag(objects, where, rest, value), Parsed<void>{};
  if (!rest.empty() && where == "ztunnel")
    return set_variable(objects, where, rest, value), Parsed<void>{};
  const auto found = std::ranges::find(table(), key, &Setting::key);
  if (found == table().end())
    return problem(fmt::format("--set {}: there is no such key; there are {}", key, keys()));
  if (!found->choices.empty() && std::ranges::find(found->choices, value) == found->choices.end())
    return problem(
        fmt::format("--set {}: \"{}\" is none of {}", key, value, fmt::join(found->choices, ", ")));
  if (key == "replicas" && !is_count(value))
    return problem(fmt::format("--set replicas: \"{}\" is no number from 1 to 999", value));
  if (key.starts_with("cni") && !value.starts_with('/'))
    return problem(fmt::format("--set {}: \"{}\" is no absolute path", key, value));
  if (key == "registry") given.registry = value;
  if (key == "tag") given.tag = value;
  if (found->set) found->set(objects, value);
  return {};
}

}  // namespace

std::vector<std::string> profiles() {
  return {"default", "istio-compat", "minimal", "high-availability"};
}

Parsed<std::vector<Json>> bundle(const std::string& profile, const std::vector<std::string>& set) {
  const auto names = profiles();
  if (std::ranges::find(names, profile) == names.end())
    return problem(fmt::format("--profile: \"{}\" is none of {}", profile, fmt::join(names, ", ")));
  auto objects = built_in().at(profile).get<std::vector<Json>>();
  Given given;
  for (const auto& pair : set) {
    if (auto done = set_one(objects, given, pair); !done) return std::unexpected(done.error());
  }
  set_images(objects, [&](std::string_view name, std::string_view tag) {
    return fmt::format("{}/{}:{}", given.registry, name,
                       given.tag.empty() ? tag : std::string_view(given.tag));
  });
  std::ranges::stable_partition(objects,
                                [](const Json& one) { return str(one, {"kind"}) == "Namespace"; });
  return objects;
}

Json uninstall_daemonset(const Json& node) {
  Json made = built_in().at("uninstall").at(0);
  Json& pod = made["spec"]["template"]["spec"];
  const Json& live = node.is_object() ? *sandbox::at(node, {"spec", "template", "spec"}) : Json();
  for (const char* volume : {"cni-conf", "cni-bin"}) {
    for (const auto& one : sandbox::list(live, {"volumes"})) {
      if (str(one, {"name"}) == volume) set_host_path(pod, volume, str(one, {"hostPath", "path"}));
    }
  }
  if (const Json* secrets = sandbox::at(live, {"imagePullSecrets"}))
    pod["imagePullSecrets"] = *secrets;
  for (const auto& c : sandbox::list(live, {"containers"})) {
    if (str(c, {"name"}) != "agent") continue;
    for (const char* list : {"initContainers", "containers"}) {
      for (auto& ours : pod[list]) {
        ours["image"] = c.at("image");
        if (const Json* policy = sandbox::at(c, {"imagePullPolicy"}))
          ours["imagePullPolicy"] = *policy;
      }
    }
  }
  return made;
}

std::string bundle_settings_help() {
  std::string text;
  for (const auto& one : table()) {
    text += fmt::format(
        "  {:<18} {}{}\n", one.key, one.help,
        one.choices.empty() ? std::string() : fmt::format(" [{}]", fmt::join(one.choices, "|")));
  }
  return text +
         "  ztunnel.VARIABLE   an environment variable of ztunnel\n  agent.FLAG, controlplane.FLAG "
         "  a flag of those\n";
}

}  // namespace weft::cli
