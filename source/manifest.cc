// parse_manifest: YAML text to Objects. yaml-cpp reads the syntax; what a scalar means is ours (scalar.h).
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "source/fields.h"
#include "source/object.h"
#include "source/scalar.h"

namespace weft::source {
namespace {

using nlohmann::json;
using Lines = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

std::uint32_t line_of(const YAML::Node& node) { return node.Mark().line < 0 ? 1 : static_cast<std::uint32_t>(node.Mark().line + 1); }

// Turns one document's nodes into JSON. Stops at the first problem.
class Converter {
 public:
  Converter(std::string_view file, std::size_t& nodes) : file_(file), nodes_(nodes) {}

  bool convert(const YAML::Node& node, const std::string& path, std::size_t depth, json& out) {
    if (++nodes_ > kMaxNodes) return refuse(node, path, "more than " + std::to_string(kMaxNodes) + " values (aliases count each time)");
    if (depth > kMaxDepth) return refuse(node, path, "nested deeper than " + std::to_string(kMaxDepth));
    lines_.emplace_back(path_hash(path), line_of(node));
    switch (node.Type()) {
      case YAML::NodeType::Null: out = nullptr; return true;
      case YAML::NodeType::Scalar: return scalar(node, path, out);
      case YAML::NodeType::Sequence: return sequence(node, path, depth, out);
      case YAML::NodeType::Map: return map(node, path, depth, out);
      case YAML::NodeType::Undefined: break;
    }
    return refuse(node, path, "not a value");
  }

  Lines lines() {
    std::sort(lines_.begin(), lines_.end());
    return std::move(lines_);
  }
  const std::string& text() const { return text_; }

 private:
  bool refuse(const YAML::Node& node, const std::string& path, const std::string& why) {
    text_ = std::string(file_) + ":" + std::to_string(line_of(node)) + ": " + (path.empty() ? "document" : path) + ": " + why;
    return false;
  }

  bool scalar(const YAML::Node& node, const std::string& path, json& out) {
    const std::string& value = node.Scalar();
    const std::string& tag = node.Tag();
    if (!is_utf8(value)) return refuse(node, path, "a string that is not UTF-8");
    constexpr std::string_view kCore = "tag:yaml.org,2002:";
    const std::string core = tag.starts_with(kCore) ? tag.substr(kCore.size()) : "";
    if (tag == "!" || core == "str") {
      out = value;
      return true;
    }
    out = resolve_plain(value);
    if (tag == "?" || tag.empty()) return true;
    const bool agrees = (core == "int" && out.is_number_integer()) || (core == "float" && out.is_number()) ||
                        (core == "bool" && out.is_boolean()) || (core == "null" && out.is_null());
    return agrees || refuse(node, path, "the tag " + tag + " does not fit, got \"" + value.substr(0, 80) + "\"");
  }

  bool sequence(const YAML::Node& node, const std::string& path, std::size_t depth, json& out) {
    out = json::array();
    std::size_t index = 0;
    for (const YAML::Node& element : node) {
      json value;
      if (!convert(element, element_path(path, index++), depth + 1, value)) return false;
      out.push_back(std::move(value));
    }
    return true;
  }

  bool map(const YAML::Node& node, const std::string& path, std::size_t depth, json& out) {
    out = json::object();
    for (const auto& member : node) {
      if (!member.first.IsScalar()) return refuse(member.first, path, "a key that is no string");
      const std::string& key = member.first.Scalar();
      const std::string at = member_path(path, key);
      if (!is_utf8(key)) return refuse(member.first, path, "a key that is not UTF-8");
      if (key == "<<" && member.first.Tag() == "?") return refuse(member.first, at, "merge keys are not supported, write the fields out");
      if (out.contains(key)) return refuse(member.first, at, "duplicate key");
      json value;
      if (!convert(member.second, at, depth + 1, value)) return false;
      out[key] = std::move(value);
    }
    return true;
  }

  std::string_view file_;
  std::size_t& nodes_;
  Lines lines_;
  std::string text_;
};

// A path segment of the API: what Kubernetes lets be a name.
bool is_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:";
  return !name.empty() && name.size() <= 253 && name != "." && name != ".." && name.find_first_not_of(kAllowed) == std::string_view::npos;
}
bool is_dns_label(std::string_view name) {
  return is_name(name) && name.size() <= 63 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos &&
         name.front() != '-' && name.back() != '-';
}

Parsed<ObjectPtr> make_object(json body, Lines lines, std::string origin) {
  auto object = std::make_shared<Object>();
  object->origin = std::move(origin);
  object->lines = std::move(lines);
  object->body = std::make_shared<const json>(std::move(body));
  Reader reader(*object);
  const Field root = reader.root();
  const Field metadata = root["metadata"];
  object->api_version = root["apiVersion"].string();
  object->kind = root["kind"].string();
  object->name = metadata["name"].string();
  object->ns = metadata["namespace"].string();
  object->uid = metadata["uid"].string();
  object->labels = metadata["labels"].string_map();
  object->annotations = metadata["annotations"].string_map();
  object->creation_timestamp = metadata["creationTimestamp"].string();
  if (object->api_version.empty()) root["apiVersion"].refuse("is required");
  if (object->kind.empty()) root["kind"].refuse("is required");
  if (!is_name(object->name)) metadata["name"].refuse("must be the object's name");
  if (is_cluster_scoped(object->kind)) {
    object->ns.clear();
  } else if (object->ns.empty()) {
    object->ns = "default";
  }
  if (!object->ns.empty() && !is_dns_label(object->ns)) metadata["namespace"].refuse("must be a namespace's name");
  if (reader.problem()) return std::unexpected(*reader.problem());
  object->hash = path_hash(object->body->dump(-1, ' ', false, json::error_handler_t::replace));
  return ObjectPtr(std::move(object));
}

class Manifest {
 public:
  explicit Manifest(std::string_view file) : file_(file) {}

  // `kind: List` unfolds.
  std::optional<Problem> document(const YAML::Node& node) {
    if (node.IsNull()) return std::nullopt;
    if (!node.IsMap()) return Problem{where(node) + "document: must be a map (apiVersion, kind, metadata)"};
    const YAML::Node kind = node["kind"];
    const YAML::Node items = node["items"];
    if (!kind || !kind.IsScalar() || kind.Scalar() != "List" || !items) return add(node);
    if (!items.IsSequence()) return Problem{where(items) + "items: must be a list"};
    for (const YAML::Node& item : items) {
      if (auto bad = add(item)) return bad;
    }
    return std::nullopt;
  }
  std::vector<ObjectPtr> objects;

 private:
  std::string where(const YAML::Node& node) const { return std::string(file_) + ":" + std::to_string(line_of(node)) + ": "; }

  std::optional<Problem> add(const YAML::Node& node) {
    if (!node.IsMap()) return Problem{where(node) + "document: must be a map (apiVersion, kind, metadata)"};
    Converter converter(file_, nodes_);
    json body;
    if (!converter.convert(node, "", 0, body)) return Problem{converter.text()};
    auto object = make_object(std::move(body), converter.lines(), std::string(file_) + ":" + std::to_string(line_of(node)));
    if (!object) return object.error();
    if (!seen_.insert((*object)->key()).second) return Problem{(*object)->at("metadata.name") + ": metadata.name: the same object twice in one file, " + (*object)->key().str()};
    objects.push_back(std::move(*object));
    return std::nullopt;
  }

  std::string_view file_;
  std::size_t nodes_ = 0;
  std::set<ObjectKey> seen_;
};

}  // namespace

Parsed<std::vector<ObjectPtr>> parse_manifest(std::string_view text, std::string_view file) {
  if (text.size() > kMaxBytes) {
    return problem(std::string(file) + ": document: larger than 1 MiB, got " + std::to_string(text.size()) + " bytes");
  }
  if (!is_utf8(text)) return problem(std::string(file) + ": document: not UTF-8");
  if (text.find('\0') != std::string_view::npos) return problem(std::string(file) + ": document: holds a NUL byte");
  try {
    Manifest manifest(file);
    for (const YAML::Node& node : YAML::LoadAll(std::string(text))) {
      if (auto bad = manifest.document(node)) return std::unexpected(*bad);
    }
    return std::move(manifest.objects);
  } catch (const YAML::Exception& error) {
    const int line = error.mark.line < 0 ? 1 : error.mark.line + 1;
    return problem(std::string(file) + ":" + std::to_string(line) + ": document: YAML: " + error.msg);
  } catch (const std::exception& error) {
    return problem(std::string(file) + ": document: " + error.what());
  }
}

}  // namespace weft::source
