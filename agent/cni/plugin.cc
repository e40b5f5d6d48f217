#include "agent/cni/plugin.h"

#include <nlohmann/json.hpp>

namespace weft::cni {

namespace {

using Json = nlohmann::json;
constexpr const char* kVersion = "1.0.0";
constexpr std::size_t kWaitMost = 180;

Problem wrong(const std::string& field, const std::string& wanted) { return Problem{field + ": " + wanted}; }

// "10.244.0.5/24" without its length.
std::string address_of(const Json& ip) {
  const std::string text = ip.is_object() && ip.value("address", Json()).is_string() ? ip["address"].get<std::string>() : "";
  return text.substr(0, text.find('/'));
}

std::optional<Problem> read_result(const Json& root, NetConf& out) {
  const auto previous = root.find("prevResult");
  if (previous == root.end() || !previous->is_object()) {
    return wrong("prevResult", "missing: weft-cni is chained behind the plugin that makes the pod's interface");
  }
  const auto ips = previous->find("ips");
  if (ips == previous->end() || !ips->is_array()) return wrong("prevResult.ips", "must be a list");
  for (const Json& one : *ips) {
    if (auto address = address_of(one); !address.empty()) out.ips.push_back(std::move(address));
  }
  out.previous = previous->dump();
  return std::nullopt;
}

std::optional<Problem> read_settings(const Json& root, NetConf& out) {
  if (const auto at = root.find("socket"); at != root.end()) {
    if (!at->is_string() || !at->get<std::string>().starts_with('/')) return wrong("socket", "must be an absolute path");
    out.socket = *at;
  }
  if (const auto at = root.find("waitSeconds"); at != root.end()) {
    if (!at->is_number_unsigned() || *at > kWaitMost) return wrong("waitSeconds", "must be a number, at most 180");
    out.wait_seconds = *at;
  }
  if (const auto at = root.find("exemptNamespaces"); at != root.end()) {
    if (!at->is_array()) return wrong("exemptNamespaces", "must be a list of names");
    for (const Json& one : *at) {
      if (!one.is_string()) return wrong("exemptNamespaces", "must be a list of names");
      out.exempt.insert(one);
    }
  }
  return std::nullopt;
}

}  // namespace

Parsed<Invocation> read_environment(const std::map<std::string, std::string>& environment) {
  const auto get = [&](const char* name) {
    const auto at = environment.find(name);
    return at == environment.end() ? std::string() : at->second;
  };
  Invocation out{.command = get("CNI_COMMAND"), .netns = get("CNI_NETNS"), .ns = {}, .pod = {}, .uid = {}};
  if (out.command.empty()) return problem("CNI_COMMAND is not set: this is run by a container runtime");
  if ((out.command == "ADD" || out.command == "CHECK") && out.netns.empty()) return problem("CNI_NETNS is not set");
  const std::string arguments = get("CNI_ARGS");
  for (std::size_t begin = 0; begin < arguments.size();) {
    const std::size_t end = std::min(arguments.find(';', begin), arguments.size());
    const std::string pair = arguments.substr(begin, end - begin);
    const std::size_t equals = pair.find('=');
    begin = end + 1;
    if (equals == std::string::npos) continue;
    const std::string key = pair.substr(0, equals), value = pair.substr(equals + 1);
    if (key == "K8S_POD_NAMESPACE") out.ns = value;
    if (key == "K8S_POD_NAME") out.pod = value;
    if (key == "K8S_POD_UID") out.uid = value;
  }
  return out;
}

Parsed<NetConf> read_config(std::string_view json, bool needs_result) {
  const Json root = Json::parse(json, nullptr, false);
  if (!root.is_object()) return problem("the network configuration on stdin is no JSON object");
  NetConf out;
  out.cni_version = root.value("cniVersion", Json()).is_string() ? root["cniVersion"].get<std::string>() : kVersion;
  if (auto bad = read_settings(root, out)) return std::unexpected(*bad);
  if (!needs_result) return out;
  if (auto bad = read_result(root, out)) return std::unexpected(*bad);
  return out;
}

std::string question(const Invocation& pod, const NetConf& config) {
  const Json asked = {{"cmd", "ready-for-pod"}, {"uid", pod.uid}, {"netns", pod.netns}, {"ips", config.ips}};
  return asked.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Verdict read_answer(std::string_view line) {
  const Json answer = Json::parse(line, nullptr, false);
  const auto text = [&](const char* key) {
    return answer.is_object() && answer.value(key, Json()).is_string() ? answer[key].get<std::string>() : std::string();
  };
  const std::string state = text("state");
  if (state == "captured" || state == "plain") return {.go = true, .reason = {}};
  if (const auto error = text("error"); !error.empty()) return {.go = false, .reason = "weft-agent refused: " + error};
  return {.go = false, .reason = state.empty() ? "weft-agent answered what is no answer" : text("reason")};
}

std::string error_json(const std::string& cni_version, int code, const std::string& message, const std::string& details) {
  const Json error = {{"cniVersion", cni_version.empty() ? kVersion : cni_version}, {"code", code}, {"msg", message}, {"details", details}};
  return error.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string versions_json() {
  return Json{{"cniVersion", kVersion}, {"supportedVersions", {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}}}.dump();
}

}  // namespace weft::cni
