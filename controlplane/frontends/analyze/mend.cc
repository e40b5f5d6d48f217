#include "controlplane/frontends/analyze/mend.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace weft::controlplane::analyze {
namespace {

using nlohmann::json;

// Cuts the first step off: a member ("spec", "[\"a.b\"]") or an index ("[0]").
struct Step {
  std::string member;
  std::size_t index = 0;
  bool is_index = false;
};
Step cut(std::string_view& path) {
  if (path.starts_with("[\"")) {
    const std::size_t end = path.find("\"]");
    Step out{.member = std::string(path.substr(2, end - 2))};
    path = end == std::string_view::npos ? "" : path.substr(end + 2);
    return out;
  }
  if (path.starts_with('[')) {
    Step out{.is_index = true};
    std::from_chars(path.data() + 1, path.data() + path.size(), out.index);
    const std::size_t end = path.find(']');
    path = end == std::string_view::npos ? "" : path.substr(end + 1);
    return out;
  }
  if (path.starts_with('.')) path.remove_prefix(1);
  const std::size_t end = path.find_first_of(".[");
  Step out{.member = std::string(path.substr(0, end))};
  path = end == std::string_view::npos ? "" : path.substr(end);
  return out;
}

}  // namespace

source::ObjectPtr without(const source::Object& object, std::string_view field_path) {
  json body = *object.body;
  json* at = &body;
  while (true) {
    const Step step = cut(field_path);
    if (step.is_index) {
      if (!at->is_array() || step.index >= at->size()) return nullptr;
      if (field_path.empty()) {
        (*at)[step.index] = nullptr;
        break;
      }
      at = &(*at)[step.index];
    } else {
      if (!at->is_object() || !at->contains(step.member)) return nullptr;
      if (field_path.empty()) {
        at->erase(step.member);
        break;
      }
      at = &(*at)[step.member];
    }
  }
  auto out = std::make_shared<source::Object>(object);
  out->body = std::make_shared<const json>(std::move(body));
  return out;
}

}  // namespace weft::controlplane::analyze
