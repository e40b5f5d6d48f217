#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

namespace weft::log {

void start(std::string_view name, spdlog::level::level_enum level, Format format) {
  auto logger = spdlog::stderr_logger_mt(std::string(name));
  if (format == Format::kJson) {
    logger->set_pattern(R"({"level":"%l","time":"%Y-%m-%dT%H:%M:%S.%fZ","scope":"%n","message":"%v"})",
                        spdlog::pattern_time_type::utc);
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ\t%l\t%n\t%v", spdlog::pattern_time_type::utc);
  }
  logger->flush_on(spdlog::level::trace);
  logger->set_level(level);
  spdlog::set_default_logger(logger);
}

bool set_level(std::string_view word) {
  const auto level = spdlog::level::from_str(std::string(word));
  if (level == spdlog::level::off && word != "off") return false;
  spdlog::set_level(level);
  return true;
}

}  // namespace weft::log
