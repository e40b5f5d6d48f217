#include "cli/words.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace weft::cli {
namespace {

// Whether the word after this option is its value.
bool takes_next(std::string_view word) {
  constexpr std::array<std::string_view, 8> kWithValue = {
      "-n", "--namespace", "-c", "--container", "-o", "--output", "--name", "--sandbox"};
  return std::find(kWithValue.begin(), kWithValue.end(), word) != kWithValue.end();
}

// Where the next word is that is no option and no option's value; "--" ends the search.
std::size_t next_plain(const std::vector<std::string>& words, std::size_t at) {
  while (at < words.size() && words[at].starts_with('-') && words[at] != "--")
    at += takes_next(words[at]) ? 2 : 1;
  return std::min(at, words.size());
}

bool is(const std::vector<std::string>& words, std::size_t at, std::string_view text) {
  return at < words.size() && words[at] == text;
}

}  // namespace

std::vector<std::string> take_command(std::vector<std::string>& words) {
  const std::size_t sandbox = next_plain(words, 0);
  if (!is(words, sandbox, "sandbox")) return {};
  const std::size_t exec = next_plain(words, sandbox + 1);
  if (!is(words, exec, "exec")) return {};
  std::size_t start = next_plain(words, exec + 1);
  if (!is(words, start, "--")) ++start;  // past the pod
  // Options may follow the pod, up to a "--".
  if (start < words.size() && words[start].starts_with('-')) {
    const auto from = words.begin() + static_cast<std::ptrdiff_t>(start);
    const auto dashes = std::find(from, words.end(), "--");
    if (dashes != words.end()) start = static_cast<std::size_t>(dashes - words.begin());
  }
  if (start >= words.size()) return {};
  const auto first = words.begin() + static_cast<std::ptrdiff_t>(start);
  std::vector<std::string> out(*first == "--" ? std::next(first) : first, words.end());
  words.erase(first, words.end());
  return out;
}

}  // namespace weft::cli
