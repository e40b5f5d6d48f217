#include "sandbox/selector.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace weft::sandbox {
namespace {

std::string trim(std::string text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// Splits at commas outside parentheses.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

bool parse_set(const std::string& term, const char* word, Selector::Op op, Selector::Term& out) {
  const auto at = term.find(fmt::format(" {} (", word));
  if (at == std::string::npos || term.back() != ')') return false;
  const auto open = term.find('(', at);
  out = {trim(term.substr(0, at)), op, {}};
  for (const auto& value : split(term.substr(open + 1, term.size() - open - 2)))
    out.values.push_back(trim(value));
  return true;
}

bool fits(const std::string& text, const char* more) {
  return std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view(more).find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// The key or value that no label can have, or "".
std::string unfit(const Selector::Term& term) {
  if (!fits(term.key, "-_./")) return term.key;
  for (const auto& value : term.values) {
    if (!fits(value, "-_.")) return value;
  }
  return {};
}

}  // namespace

bool Selector::matches(const mesh::Labels& labels) const {
  return std::all_of(terms.begin(), terms.end(), [&](const Term& term) {
    const auto found = labels.find(term.key);
    const bool there = found != labels.end();
    const bool in = there && std::find(term.values.begin(), term.values.end(), found->second) !=
                                 term.values.end();
    switch (term.op) {
      case Op::kIn:
        return in;
      case Op::kNotIn:
        return !in;
      case Op::kExists:
        return there;
      case Op::kAbsent:
        return !there;
    }
    return false;
  });
}

Parsed<Selector> parse_selector(const std::string& text) {
  Selector selector;
  if (trim(text).empty()) return selector;
  for (const auto& part : split(text)) {
    const auto term = trim(part);
    Selector::Term parsed;
    if (term.empty())
      return problem(fmt::format("error: the selector \"{}\" has an empty part", text));
    if (parse_set(term, "notin", Selector::Op::kNotIn, parsed) ||
        parse_set(term, "in", Selector::Op::kIn, parsed)) {
    } else if (const auto differs = term.find("!="); differs != std::string::npos) {
      parsed = {
          trim(term.substr(0, differs)), Selector::Op::kNotIn, {trim(term.substr(differs + 2))}};
    } else if (const auto equals = term.find('='); equals != std::string::npos) {
      const auto value = term.find_first_not_of('=', equals);
      parsed = {trim(term.substr(0, equals)),
                Selector::Op::kIn,
                {value == std::string::npos ? "" : trim(term.substr(value))}};
    } else if (term.front() == '!') {
      parsed = {trim(term.substr(1)), Selector::Op::kAbsent, {}};
    } else {
      parsed = {term, Selector::Op::kExists, {}};
    }
    if (parsed.key.empty())
      return problem(fmt::format("error: the selector \"{}\" has no key in \"{}\"", text, term));
    if (const auto bad = unfit(parsed); !bad.empty())
      return problem(fmt::format("error: the selector \"{}\": \"{}\" is not {}", text, bad,
                                 bad == parsed.key ? "a label's key" : "a label's value"));
    selector.terms.push_back(std::move(parsed));
  }
  return selector;
}

}  // namespace weft::sandbox
