#include "cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "source/object.h"

namespace weft::controlplane::fields {
namespace {

using nlohmann::json;

// contexts.txt: KIND | PATH PREFIX | VALUE | SPEC. The longest prefix decides.
struct Context {
  std::string kind, prefix, value, spec;
};

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> lines(const char* name) {
  std::ifstream file(std::string(WEFT_API_FIELDS_DIR) + "/" + name);
  EXPECT_TRUE(file) << name;
  std::vector<std::string> out;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') out.push_back(line);
  }
  return out;
}

std::vector<Context> contexts() {
  std::vector<Context> out;
  for (const std::string& line : lines("contexts.txt")) {
    std::vector<std::string> parts;
    std::istringstream stream(line);
    for (std::string part; parts.size() < 3 && std::getline(stream, part, '|');)
      parts.push_back(trimmed(part));
    std::string rest;
    std::getline(stream, rest);
    parts.push_back(trimmed(rest));
    EXPECT_EQ(parts.size(), 4u) << line;
    out.push_back({parts[0], parts[1], parts[2], parts[3]});
  }
  return out;
}

json parsed(const std::string& yaml) {
  const auto objects = source::parse_manifest(
      "apiVersion: v1\nkind: X\nmetadata: {name: x}\nvalue: " + yaml + "\n", "contexts.txt");
  EXPECT_TRUE(objects) << objects.error().text << "\n" << yaml;
  return objects ? (*(*objects)[0]->body)["value"] : json();
}

// "a[].b{}" → a, [], b, {}.
std::vector<std::string> steps(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < path.size();) {
    if (path[at] == '.') ++at;
    if (path[at] == '[' || path[at] == '{') {
      out.push_back(path.substr(at, 2));
      at += 2;
      continue;
    }
    const std::size_t end = std::min(path.find_first_of(".[{", at), path.size());
    out.push_back(path.substr(at, end - at));
    at = end;
  }
  return out;
}

// The place of a path in `root`, made where it is missing; `where` gets its name.
json& place(json& root, const std::string& path, std::string& where) {
  json* at = &root;
  where.clear();
  for (const std::string& step : steps(path)) {
    if (step == "[]") {
      if (!at->is_array()) *at = json::array();
      if (at->empty()) at->push_back(nullptr);
      at = &(*at)[0];
      where = source::element_path(where, 0);
      continue;
    }
    if (!at->is_object()) *at = json::object();
    const std::string key = step != "{}" ? step : at->empty() ? "x-key" : at->begin().key();
    at = &(*at)[key];
    where = source::member_path(where, key);
  }
  return *at;
}

json plausible(const std::string& type, const std::string& detail, const json& old) {
  if (type == "boolean") return !(old.is_boolean() && old.get<bool>());
  if (type == "integer" || type == "number") return old == 7 ? 8 : 7;
  if (type == "string") return old == "value" ? "other" : "value";
  if (type != "enum") return json{{"x-key", "value"}};
  std::istringstream stream(detail);
  for (std::string one; std::getline(stream, one, '|');) {
    if (one != "UNSPECIFIED" && one != "UNSET" && one != "DEFAULT" && old != one) return one;
  }
  return nullptr;
}

const Context* context_of(const std::vector<Context>& all, const std::string& kind,
                          const std::string& path) {
  const Context* best = nullptr;
  for (const Context& one : all) {
    if (one.kind == kind && path.starts_with(one.prefix) &&
        (best == nullptr || best->prefix.size() < one.prefix.size()))
      best = &one;
  }
  return best;
}

// Blocks that stand in several places: written once, moved where they are tried.
constexpr std::pair<const char*, const char*> kSame[] = {
    {"spec.subsets[].trafficPolicy.portLevelSettings[].", "spec.trafficPolicy."},
    {"spec.trafficPolicy.portLevelSettings[].", "spec.trafficPolicy."},
    {"spec.subsets[].trafficPolicy.", "spec.trafficPolicy."},
    {"spec.rules[].backendRefs[].filters[].", "spec.rules[].filters[]."}};

Case make(const std::vector<Context>& all, const std::string& kind, const std::string& path,
          const std::string& type, const std::string& detail) {
  Case out{.kind = kind, .path = path};
  const Context* context = context_of(all, kind, path);
  std::string from, to;
  for (const auto& [here, there] : kSame) {
    if (!path.starts_with(here) || context->prefix.size() > std::string_view(here).size()) continue;
    from = there;
    to = here;
    const Context* other = context_of(all, kind, from + path.substr(to.size()));
    if (other != nullptr) context = other;
    break;
  }
  json root{{"spec", parsed(context->spec)}};
  if (!to.empty()) {
    std::string ignored;
    const std::string there = from.substr(0, from.size() - 1), here = to.substr(0, to.size() - 1);
    json block;
    std::swap(block, place(root, there, ignored));
    if (there.ends_with("[]")) {
      root["spec"]["rules"][0].erase("filters");
    } else {
      root["spec"].erase("trafficPolicy");
    }
    if (block.is_null()) block = json::object();
    json base{{"spec", parsed(context_of(all, kind, here)->spec)}};
    json& target = place(base, here, ignored);
    if (!target.is_object()) target = json::object();
    target.update(block);
    root = std::move(base);
  }
  out.without = root["spec"];
  json& target = place(root, path, out.where);
  if (context->value.starts_with("spec=")) {
    out.with = parsed(context->value.substr(5));
    return out;
  }
  target = context->value == "-" || context->value.empty() ? plausible(type, detail, target)
                                                           : parsed(context->value);
  out.with = root["spec"];
  return out;
}

}  // namespace

std::vector<Case> cases() {
  const std::vector<Context> all = contexts();
  std::vector<Case> out;
  for (const char* name : {"istio.txt", "gateway.txt"}) {
    for (const std::string& line : lines(name)) {
      std::istringstream stream(line);
      std::string kind, path, type, detail;
      stream >> kind >> path >> type >> detail;
      if (context_of(all, kind, path) != nullptr)
        out.push_back(make(all, kind, path, type, detail));
    }
  }
  return out;
}

}  // namespace weft::controlplane::fields
