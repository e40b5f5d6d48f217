// weft-ztunnel: parse, lock in, run. Exit codes: 0, 1 cannot start, 64 usage.
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/net.h"
#include "ztunnel/app/app.h"
#include "ztunnel/app/config.h"
#include "ztunnel/app/privileges.h"

namespace {

constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 64;

weft::app::Environment read_environment() {
  weft::app::Environment out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

// WEFT_DNS_UPSTREAM=auto: the server that this process itself would ask.
void find_dns_upstream(weft::app::Environment& environment) {
  const auto at = environment.find("WEFT_DNS_UPSTREAM");
  if (at == environment.end() || at->second != "auto") return;
  std::ifstream file("/etc/resolv.conf");
  const auto servers = weft::nameservers(std::string(std::istreambuf_iterator<char>(file), {}));
  at->second = servers.empty() ? "" : weft::SocketAddress{servers.front(), 53}.str();
}

unsigned usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

int complain(const weft::Problem& problem, int code) {
  std::fprintf(stderr, "weft-ztunnel: %s\n", problem.text.c_str());
  return code;
}

int help(FILE* to) {
  fmt::print(to,
             "Usage: weft-ztunnel [--help | --version | --check-config]\n"
             "The node proxy of Weft. Everything is configured by the environment:\n{}",
             weft::app::describe_variables());
  return to == stdout ? 0 : kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view flag = argc > 1 ? argv[1] : "";
  if (flag == "--help" || flag == "-h") return help(stdout);
  if (flag == "--version") {
    std::puts("weft-ztunnel " WEFT_VERSION);
    return 0;
  }
  if (argc > 2 || (argc == 2 && flag != "--check-config")) {
    std::fprintf(stderr, "weft-ztunnel: unknown argument \"%s\"\n", argc > 2 ? argv[2] : argv[1]);
    return help(stderr);
  }
  auto environment = read_environment();
  find_dns_upstream(environment);
  const auto config = weft::app::parse_config(environment, usable_cpus());
  if (!config) return complain(config.error(), kExitUsage);
  if (flag == "--check-config") {
    for (const auto& [name, value] : config->shown()) fmt::print("{}={}\n", name, value);
    return 0;
  }
  if (auto given_up = weft::app::give_up_privileges(); !given_up) return complain(given_up.error(), kExitCannotStart);
  weft::log::start("weft-ztunnel", spdlog::level::info,
                   config->log_format == "json" ? weft::log::Format::kJson : weft::log::Format::kText);
  weft::log::set_level(config->log_level);
  std::string line;
  for (const auto& [name, value] : config->shown()) line += fmt::format(" {}=\"{}\"", name, value);
  spdlog::info("starting version={}{}", WEFT_VERSION, line);
  if (auto ran = weft::app::run(*config); !ran) return complain(ran.error(), kExitCannotStart);
  return 0;
}
