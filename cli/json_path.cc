#include <fmt/format.h>

#include <charconv>

#include "cli/table.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using Values = std::vector<const Json*>;

void step_into(Values& values, const std::string& field) {
  Values next;
  for (const auto* value : values) {
    if (value->is_object() && value->contains(field)) next.push_back(&(*value)[field]);
  }
  values = std::move(next);
}

bool step_bracket(Values& values, const std::string& inside) {
  if (inside.size() >= 2 && (inside.front() == '\'' || inside.front() == '"')) {
    step_into(values, inside.substr(1, inside.size() - 2));
    return true;
  }
  Values next;
  if (inside == "*") {
    for (const auto* value : values) {
      for (const auto& item : *value) next.push_back(&item);
    }
    values = std::move(next);
    return true;
  }
  long index = 0;
  const auto [end, error] = std::from_chars(inside.data(), inside.data() + inside.size(), index);
  if (error != std::errc() || end != inside.data() + inside.size()) return false;
  for (const auto* value : values) {
    if (!value->is_array()) continue;
    const long size = static_cast<long>(value->size()), at = index < 0 ? size + index : index;
    if (at >= 0 && at < size) next.push_back(&(*value)[static_cast<std::size_t>(at)]);
  }
  values = std::move(next);
  return true;
}

Parsed<std::string> evaluate(const Json& root, const std::string& path) {
  Values values = {&root};
  std::size_t i = path.starts_with("$") ? 1 : 0;
  while (i < path.size()) {
    if (path[i] == '[') {
      const auto close = path.find(']', i);
      if (close == std::string::npos || !step_bracket(values, path.substr(i + 1, close - i - 1))) {
        return problem(fmt::format("jsonpath: cannot read \"{}\" at \"{}\"", path, path.substr(i)));
      }
      i = close + 1;
      continue;
    }
    if (path[i] != '.')
      return problem(
          fmt::format("jsonpath: expected . or [ in \"{}\" at \"{}\"", path, path.substr(i)));
    std::string field;
    for (++i; i < path.size() && path[i] != '.' && path[i] != '['; ++i) {
      if (path[i] == '\\' && i + 1 < path.size()) ++i;  // app\.kubernetes\.io/name
      field += path[i];
    }
    if (field == "*")
      step_bracket(values, "*");
    else if (!field.empty())
      step_into(values, field);
  }
  std::string text;
  for (const auto* value : values) {
    if (!text.empty()) text += ' ';
    text += value->is_string() ? value->get<std::string>() : value->dump();
  }
  return text;
}

}  // namespace

Parsed<std::string> json_path(const Json& value, const std::string& expression) {
  const auto text = expression.find('{') == std::string::npos ? "{" + expression + "}" : expression;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{') {
      out += text[i];
      continue;
    }
    const auto close = text.find('}', i);
    if (close == std::string::npos)
      return problem(fmt::format("jsonpath: \"{}\" has no closing brace", expression));
    auto path = text.substr(i + 1, close - i - 1);
    i = close;
    if (path == "\"\\n\"") {
      out += '\n';
      continue;
    }
    if (!path.empty() && path[0] != '.' && path[0] != '[' && path[0] != '$') path.insert(0, ".");
    const auto part = evaluate(value, path);
    if (!part) return part;
    out += *part;
  }
  return out;
}

}  // namespace weft::cli
