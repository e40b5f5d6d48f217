// Paths as Envoy writes them before any rule looks: plain where a code is not needed, no dots, no
// doubled slashes.
#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include "controlplane/explain/request.h"

namespace weft::controlplane::explain {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The code that begins at `at`, "%41"; -1: none does.
int code_at(std::string_view text, std::size_t at) {
  if (at + 2 >= text.size() || text[at] != '%') return -1;
  const int high = hex(text[at + 1]), low = hex(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_plain(int c) {
  return c < 128 && (std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~');
}

// Codes of slashes become slashes; true when there was one.
bool unescape_slashes(std::string& path) {
  std::string out;
  bool found = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const int code = code_at(path, i);
    const bool slash = code == '/' || code == '\\';
    out += slash ? static_cast<char>(code) : path[i];
    if (slash) i += 2;
    found = found || slash;
  }
  path = std::move(out);
  return found;
}

std::string with_codes(std::string_view path) {
  constexpr std::string_view kCoded = " \"#<>?`{}";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const auto c = static_cast<unsigned char>(path[i]);
    if (const int code = code_at(path, i); code >= 0 && is_plain(code)) {
      out += static_cast<char>(code);
      i += 2;
    } else if (c < 0x20 || c >= 0x7f || kCoded.find(path[i]) != kCoded.npos) {
      out += {'%', kDigits[c >> 4], kDigits[c & 15]};
    } else {
      out += c == '\\' ? '/' : path[i];
    }
  }
  return out;
}

std::string without_dots(std::string_view path) {
  std::vector<std::string_view> kept;
  for (std::size_t at = 1; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view one = path.substr(at, end - at);
    const bool up = one == "..", dots = up || one == ".";
    if (up && !kept.empty()) kept.pop_back();
    if (!dots) kept.push_back(one);
    if (dots && end == path.size()) kept.push_back("");
    at = end + 1;
  }
  std::string out;
  for (const std::string_view one : kept) out += "/" + std::string(one);
  return out.empty() ? "/" : out;
}

}  // namespace

Target read_target(const std::string& text) {
  const bool bad = std::any_of(text.begin(), text.end(),
                               [](unsigned char c) { return c <= 0x20 || c == 0x7f || c == '#'; });
  if (bad || !text.starts_with('/')) return {.is = Target::Is::kMalformed};
  const auto mark = std::min(text.find('?'), text.size());
  std::string path = text.substr(0, mark);
  const bool elsewhere = unescape_slashes(path);
  path = without_dots(with_codes(path));
  const auto last =
      std::unique(path.begin(), path.end(), [](char a, char b) { return a == '/' && b == '/'; });
  path.erase(last, path.end());
  if (elsewhere)
    return {.is = Target::Is::kElsewhere,
            .path = "",
            .query = "",
            .location = path + text.substr(mark)};
  Target out{.path = path};
  if (mark < text.size()) out.query = text.substr(mark + 1);
  return out;
}

}  // namespace weft::controlplane::explain
