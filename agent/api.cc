#include "agent/api.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weft::agent {

namespace {

using nlohmann::json;

std::string rfc3339(WallClock::time_point at) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(WallClock::to_time_t(at)));
}

json words_of(const std::vector<IpAddress>& ips) {
  json words = json::array();
  for (const auto& ip : ips) words.push_back(ip.str());
  return words;
}

json show(const PodView& view) {
  return {{"namespace", view.pod.ns}, {"name", view.pod.name}, {"uid", view.pod.uid}, {"serviceAccount", view.pod.service_account},
          {"ips", words_of(view.pod.ips)}, {"enrolled", true}, {"state", to_string(view.state)}, {"since", rfc3339(view.since)},
          {"reason", view.pod.reason}, {"key", view.pod.key}, {"error", view.error}};
}

json show(const PlainPod& pod) {
  return {{"namespace", pod.ns}, {"name", pod.name}, {"uid", pod.uid}, {"ips", words_of(pod.ips)}, {"enrolled", false},
          {"state", pod.wanted ? "pending" : "not enrolled"}, {"since", ""}, {"reason", pod.reason}, {"key", pod.key}, {"error", ""}};
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string status_json(const StatusFacts& facts) {
  json pods = json::array();
  for (const auto& view : facts.pods) pods.push_back(show(view));
  for (const auto& pod : facts.plain) pods.push_back(show(pod));
  json programs = json::array();
  for (const auto& program : facts.programs) programs.push_back({{"name", program.name}, {"id", program.id}});
  json problems = json::array();
  for (const auto& [file, text] : facts.problems) problems.push_back({{"file", file}, {"text", text}});
  return dump({{"node", facts.node}, {"version", WEFT_VERSION}, {"ready", facts.ready}, {"notReady", facts.not_ready_why},
               {"ztunnels", facts.ztunnels}, {"bpf", {{"programs", programs}}}, {"problems", problems}, {"pods", pods}});
}

Parsed<std::string> api_command(std::string_view request) {
  const json parsed = json::parse(request, nullptr, false);
  const bool shaped = parsed.is_object() && parsed.contains("cmd") && parsed["cmd"].is_string();
  if (!shaped) return problem("the request is no JSON object with a \"cmd\"");
  const std::string command = parsed["cmd"];
  if (command != "status") return problem(fmt::format("unknown cmd \"{}\"", command));
  return command;
}

std::string api_error(std::string_view text) { return dump({{"error", text}}); }

}  // namespace weft::agent
