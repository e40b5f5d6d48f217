#include "cli/duration.h"

#include <fmt/format.h>

#include <charconv>

namespace weft::cli {

Parsed<std::chrono::milliseconds> parse_duration(const std::string& text) {
  const auto bad = [&] {
    return problem(fmt::format("\"{}\" is no duration: write 500ms, 10s, 2m or 1m30s", text));
  };
  if (text.empty()) return bad();
  if (text == "0") return std::chrono::milliseconds(0);
  const char* at = text.data();
  const char* end = at + text.size();
  double total_ms = 0;
  while (at < end) {
    double number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0) return bad();
    const std::string_view rest(next, static_cast<std::size_t>(end - next));
    const auto unit = rest.substr(0, rest.find_first_of("0123456789."));
    if (unit == "ms")
      total_ms += number;
    else if (unit == "s")
      total_ms += number * 1000;
    else if (unit == "m")
      total_ms += number * 60000;
    else if (unit == "h")
      total_ms += number * 3600000;
    else
      return bad();
    at = next + unit.size();
  }
  return std::chrono::milliseconds(static_cast<long>(total_ms));
}

}  // namespace weft::cli
