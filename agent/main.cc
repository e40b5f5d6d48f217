// weft-agent: parse, then run. Exit codes: 0, 1 cannot start, 64 usage.
#include <cstdio>
#include <string>
#include <vector>

#include "agent/app.h"
#include "agent/uninstall.h"
#include "base/log.h"

namespace {
constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 64;

int complain(const weft::Problem& problem, int code) {
  std::fprintf(stderr, "weft-agent: %s\n", problem.text.c_str());
  return code;
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
  const auto format = config.log_format == "json" ? weft::log::Format::kJson : weft::log::Format::kText;
  weft::log::start("weft-agent", spdlog::level::info, format);
  weft::log::set_level(config.log_level);
  if (!config.uninstall) spdlog::info("starting version={} {}", WEFT_VERSION, config.str());
  auto done = config.uninstall ? weft::agent::uninstall(config) : weft::agent::run(config);
  return done ? 0 : complain(done.error(), kExitCannotStart);
}
