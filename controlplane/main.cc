#include <cstdio>

#include "base/log.h"
#include "controlplane/app.h"
#include "controlplane/config.h"

int main(int argc, char** argv) {
  const auto usage = weft::controlplane::parse_flags(argc, argv);
  if (!usage) {
    std::fprintf(stderr, "weft-controlplane: %s\n", usage.error().text.c_str());
    return 64;
  }
  if (!usage->config) {
    std::fputs(usage->text.c_str(), stdout);
    return 0;
  }
  weft::log::start("controlplane", spdlog::level::info,
                   usage->config->log_json ? weft::log::Format::kJson : weft::log::Format::kText);
  weft::log::set_level(usage->config->log_level);
  auto app = weft::controlplane::App::start(*usage->config);
  if (!app) {
    std::fprintf(stderr, "weft-controlplane: %s\n", app.error().text.c_str());
    return 1;
  }
  (*app)->run();
  return 0;
}
