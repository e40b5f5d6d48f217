// weft-agent: parse, then run. Exit codes: 0, 1 cannot start (or not ready, when that is asked), 64
// usage.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "agent/app.h"
#include "agent/ask.h"
#include "agent/uninstall.h"
#include "base/log.h"

namespace {
constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 64;
constexpr auto kProbeWithin = std::chrono::seconds(1);

int complain(const weft::Problem& problem, int code) {
  std::fprintf(stderr, "weft-agent: %s\n", problem.text.c_str());
  return code;
}

// The whole process anew, with what it may do by now: nothing of before is in its memory.
weft::Parsed<void> start_again(const weft::agent::Config& config, char** argv) {
  static char renew[] = "--renew-listeners";
  std::vector<char*> words;
  for (; *argv != nullptr; ++argv) words.push_back(*argv);
  if (!config.renew_listeners) words.push_back(renew);
  words.push_back(nullptr);
  ::execv("/proc/self/exe", words.data());
  return weft::problem(fmt::format("cannot start again: {}", std::strerror(errno)));
}

weft::Parsed<void> act(const weft::agent::Config& config, char** argv) {
  if (config.uninstall) return weft::agent::uninstall(config);
  const auto ended = weft::agent::run(config);
  if (!ended) return std::unexpected(ended.error());
  return *ended == weft::agent::Ended::kResume ? start_again(config, argv) : weft::Parsed<void>();
}
}  // namespace

int main(int argc, char** argv) {
  auto parsed = weft::agent::parse_config(std::vector<std::string>(argv + 1, argv + argc));
  if (!parsed) return complain(parsed.error(), kExitUsage);
  if (const auto* wanted = std::get_if<weft::agent::Wanted>(&*parsed)) {
    std::fputs(wanted->text.c_str(), stdout);
    return 0;
  }
  const auto& config = std::get<weft::agent::Config>(*parsed);
  if (!config.probe_path.empty()) {
    const auto ready = weft::agent::ask_readiness(config.probe_path, kProbeWithin);
    return ready ? 0 : complain(ready.error(), kExitCannotStart);
  }
  const auto format = config.log_format == "json" ? weft::log::Format::kJson : weft::log::Format::kText;
  weft::log::start("weft-agent", spdlog::level::info, format);
  weft::log::set_level(config.log_level);
  if (!config.uninstall) spdlog::info("starting version={} {}", WEFT_VERSION, config.str());
  auto done = act(config, argv);
  return done ? 0 : complain(done.error(), kExitCannotStart);
}
