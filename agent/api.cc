#include "agent/api.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/turn.h"

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

constexpr std::size_t kArrivalIpsMax = 32;

Parsed<Arrival> read_arrival(const json& request) {
  Arrival arrival;
  const auto text = [&](const char* field, std::string& into) -> Parsed<void> {
    if (!request.contains(field)) return {};
    if (!request[field].is_string()) return problem(fmt::format("{}: expected a string", field));
    into = request[field].get<std::string>();
    return {};
  };
  if (auto read = text("uid", arrival.uid); !read) return std::unexpected(read.error());
  if (auto read = text("netns", arrival.netns); !read) return std::unexpected(read.error());
  if (arrival.uid.empty()) return problem("uid: missing");
  if (!arrival.netns.empty() && arrival.netns.front() != '/') return problem(fmt::format("netns: \"{}\" is no absolute path", arrival.netns));
  if (!request.contains("ips")) return arrival;
  const json& ips = request["ips"];
  if (!ips.is_array() || ips.size() > kArrivalIpsMax) return problem(fmt::format("ips: expected a list of at most {}", kArrivalIpsMax));
  for (const auto& word : ips) {
    const auto ip = word.is_string() ? IpAddress::parse(word.get<std::string>()) : std::nullopt;
    if (!ip) return problem(fmt::format("ips: {} is no IP address", word.dump(-1, ' ', false, json::error_handler_t::replace)));
    arrival.ips.push_back(*ip);
  }
  return arrival;
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
               {"uninstalling", facts.uninstalling},
               {"ztunnels", facts.ztunnels}, {"bpf", {{"programs", programs}}}, {"problems", problems}, {"pods", pods}});
}

Parsed<ApiRequest> api_command(std::string_view request) {
  const json parsed = json::parse(request, nullptr, false);
  const bool shaped = parsed.is_object() && parsed.contains("cmd") && parsed["cmd"].is_string();
  if (!shaped) return problem("the request is no JSON object with a \"cmd\"");
  const std::string command = parsed["cmd"];
  if (command == "status") return ApiRequest{ApiRequest::Command::kStatus, {}};
  if (command == kStepAside) return ApiRequest{ApiRequest::Command::kStepAside, {}};
  if (command != "ready-for-pod") return problem(fmt::format("unknown cmd \"{}\"", command));
  auto arrival = read_arrival(parsed);
  if (!arrival) return std::unexpected(arrival.error());
  return ApiRequest{ApiRequest::Command::kReadyForPod, std::move(*arrival)};
}

ArrivalAnswer judge_arrival(const std::string& uid, const std::optional<PodView>& pod, const std::vector<PlainPod>& plain) {
  if (pod && pod->state == State::kCaptured) return {"captured", pod->pod.reason};
  if (pod) return {"wait", pod->error.empty() ? "the pod is being captured" : pod->error};
  const auto known = std::ranges::find(plain, uid, &PlainPod::uid);
  if (known == plain.end()) return {"wait", "the agent does not know the pod yet"};
  return {known->wanted ? "wait" : "plain", known->reason};
}

std::string arrival_json(const ArrivalAnswer& answer) { return dump({{"state", answer.state}, {"reason", answer.reason}}); }

std::string aside_json() { return dump({{"state", kAside}}); }

std::string api_error(std::string_view text) { return dump({{"error", text}}); }

}  // namespace weft::agent
