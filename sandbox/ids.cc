#include "sandbox/ids.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cstdint>
#include <ctime>

#include "base/assert.h"

namespace weft::sandbox {
namespace {

constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";

template <std::size_t N>
std::array<std::uint8_t, N> random_bytes() {
  std::array<std::uint8_t, N> bytes;
  WEFT_ASSERT(getrandom(bytes.data(), N, 0) == static_cast<ssize_t>(N));
  return bytes;
}

}  // namespace

std::string new_uid() {
  auto b = random_bytes<16>();
  b[6] = static_cast<std::uint8_t>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<std::uint8_t>((b[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", b[i]);
  }
  return text;
}

std::string random_suffix(int length) {
  const auto bytes = random_bytes<16>();
  std::string text;
  for (int i = 0; i < length && i < 16; ++i)
    text += kAlphabet[bytes[static_cast<std::size_t>(i)] % kAlphabet.size()];
  return text;
}

std::string now_rfc3339() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string template_hash(std::string_view text) {
  std::uint64_t h = 14695981039346656037ull;
  for (const unsigned char c : text) h = (h ^ c) * 1099511628211ull;
  std::string out;
  for (int i = 0; i < 10; ++i, h /= kAlphabet.size()) out += kAlphabet[h % kAlphabet.size()];
  return out;
}

long seconds_since(std::string_view timestamp) {
  std::tm parts{};
  const std::string text(timestamp);
  if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr) return 0;
  return static_cast<long>(std::time(nullptr) - timegm(&parts));
}

}  // namespace weft::sandbox
