#include "agent/uninstall.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/ask.h"
#include "agent/signals.h"
#include "base/clock.h"
#include "base/log.h"
#include "bpf/user/datapath.h"

namespace weft::agent {

namespace {

constexpr auto kAnswerWithin = std::chrono::milliseconds(2000);
constexpr auto kAskAgain = std::chrono::milliseconds(200);
constexpr int kSilenceMost = 5;  // unanswered questions in a row: there is no agent
constexpr std::size_t kAnswerMax = 16 << 20;

// The agent's status, one line. Empty: nobody answered.
std::string status_of(const std::string& api) {
  return ask_line(api, "{\"cmd\":\"status\"}\n", kAnswerWithin, kAnswerMax).value_or("");
}

void await_agent(const Config& config) {
  const auto end = Clock::now() + std::chrono::seconds(config.await_agent_s);
  std::string why, told;
  for (int silent = 0; Clock::now() < end; std::this_thread::sleep_for(kAskAgain)) {
    const std::string status = status_of(config.api_path);
    if (status.empty() && ++silent == kSilenceMost)
      return spdlog::info("no agent answers api={}", config.api_path);
    if (status.empty()) continue;
    silent = 0;
    auto leaving = judge_leaving(status);
    if (leaving.done) return spdlog::info("the agent has let every pod go");
    why = std::move(leaving.why);
    if (why != told) spdlog::info("waiting for the agent reason=\"{}\"", why);
    told = why;
  }
  spdlog::warn(
      "not waiting any longer for the agent, what is captured is released without it reason=\"{}\"",
      why);
}

Parsed<void> take_off(const Config& config) {
  const cni::Chain chain(config.cni);
  if (chain.wanted()) {
    if (auto removed = chain.remove(); !removed) return removed;
  }
  return bpf::unload(config.pin_directory);
}

// Directories that the DaemonSet's host paths made, when nothing is in them; one that is mounted
// here stays, and so does what is not empty.
void sweep(const Config& config) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::remove(fs::path(config.pin_directory).parent_path(), ignored);
  if (config.api_path.empty()) return;
  if (status_of(config.api_path).empty()) fs::remove(config.api_path, ignored);
  fs::remove(fs::path(config.api_path).parent_path(), ignored);
}

}  // namespace

Leaving judge_leaving(std::string_view text) {
  const auto status = nlohmann::json::parse(text, nullptr, false);
  if (!status.is_object() || !status.contains("pods") || !status["pods"].is_array())
    return {false, "the agent's answer is no status"};
  if (!status.value("uninstalling", nlohmann::json()).is_boolean() ||
      !status["uninstalling"].get<bool>())
    return {false, "the agent has not heard of the uninstall yet"};
  for (const auto& pod : status["pods"]) {
    const auto word = [&pod](const char* key) {
      const auto value = pod.is_object() ? pod.value(key, nlohmann::json()) : nlohmann::json();
      return value.is_string() ? value.get<std::string>() : std::string();
    };
    if (pod.is_object() && pod.value("enrolled", nlohmann::json()) == false) continue;
    return {false, fmt::format("pod {}/{} is {}", word("namespace"), word("name"), word("state"))};
  }
  return {true, ""};
}

Parsed<void> uninstall(const Config& config) {
  auto signals = stop_signals();
  if (!signals) return problem(describe(signals.error()));
  if (config.await_agent_s != 0) await_agent(config);
  if (auto done = take_off(config); !done) return done;
  if (!config.stay) {
    spdlog::info("this node is free of the mesh");
    return {};
  }
  spdlog::info("this node is free of the mesh, waiting for SIGTERM");
  pollfd waiting{signals->get(), POLLIN, 0};
  while (::poll(&waiting, 1, -1) < 0 && errno == EINTR) {
  }
  if (auto done = take_off(config); !done) return done;
  sweep(config);
  return {};
}

}  // namespace weft::agent
