// parse_manifest: YAML text to Objects. The syntax is in yaml.h, what a scalar means in scalar.h.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "source/fields.h"
#include "source/kinds.h"
#include "source/object.h"
#include "source/scalar.h"
#include "source/yaml.h"

namespace weft::source {
namespace {

using nlohmann::json;
using Lines = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

// Turns one document's nodes into JSON. Stops at the first problem.
class Converter {
 public:
  Converter(const YamlTree& tree, std::string_view file, std::size_t& nodes)
      : tree_(tree), file_(file), nodes_(nodes) {}

  bool convert(const YamlNode& node, const std::string& path, std::size_t depth, json& out) {
    if (++nodes_ > kMaxNodes)
      return refuse(node, path,
                    "more than " + std::to_string(kMaxNodes) + " values (aliases count each time)");
    if (depth > kMaxDepth)
      return refuse(node, path, "nested deeper than " + std::to_string(kMaxDepth));
    lines_.emplace_back(path_hash(path), node.line);
    switch (node.kind) {
      case YamlNode::Kind::kNull:
        out = nullptr;
        return true;
      case YamlNode::Kind::kScalar:
        return scalar(node, path, out);
      case YamlNode::Kind::kSequence:
        return sequence(node, path, depth, out);
      case YamlNode::Kind::kMap:
        return map(node, path, depth, out);
    }
    return false;
  }

  Lines lines() {
    std::sort(lines_.begin(), lines_.end());
    return std::move(lines_);
  }
  const std::string& text() const { return text_; }

 private:
  bool refuse(const YamlNode& node, const std::string& path, const std::string& why) {
    text_ = std::string(file_) + ":" + std::to_string(node.line) + ": " +
            (path.empty() ? "document" : path) + ": " + why;
    return false;
  }

  bool scalar(const YamlNode& node, const std::string& path, json& out) {
    const std::string& value = node.text;
    const std::string& tag = node.tag;
    if (!is_utf8(value)) return refuse(node, path, "a string that is not UTF-8");
    constexpr std::string_view kCore = "tag:yaml.org,2002:";
    const std::string core = tag.starts_with(kCore) ? tag.substr(kCore.size()) : "";
    if (tag == "!" || core == "str") {
      out = value;
      return true;
    }
    out = resolve_plain(value);
    if (tag == "?" || tag.empty()) return true;
    const bool agrees = (core == "int" && out.is_number_integer()) ||
                        (core == "float" && out.is_number()) ||
                        (core == "bool" && out.is_boolean()) || (core == "null" && out.is_null());
    return agrees ||
           refuse(node, path,
                  "the tag " + tag + " does not fit, got \"" + value.substr(0, 80) + "\"");
  }

  bool sequence(const YamlNode& node, const std::string& path, std::size_t depth, json& out) {
    out = json::array();
    std::size_t index = 0;
    for (const std::uint32_t element : node.children) {
      json value;
      if (!convert(tree_[element], element_path(path, index++), depth + 1, value)) return false;
      out.push_back(std::move(value));
    }
    return true;
  }

  bool map(const YamlNode& node, const std::string& path, std::size_t depth, json& out) {
    out = json::object();
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
      const YamlNode& name = tree_[node.children[i]];
      if (name.kind != YamlNode::Kind::kScalar)
        return refuse(name, path, "a key that is no string");
      const std::string& key = name.text;
      const std::string at = member_path(path, key);
      if (!is_utf8(key)) return refuse(name, path, "a key that is not UTF-8");
      if (key == "<<" && name.tag == "?")
        return refuse(name, at, "merge keys are not supported, write the fields out");
      if (out.contains(key)) return refuse(name, at, "duplicate key");
      json value;
      if (!convert(tree_[node.children[i + 1]], at, depth + 1, value)) return false;
      out[key] = std::move(value);
    }
    return true;
  }

  const YamlTree& tree_;
  std::string_view file_;
  std::size_t& nodes_;
  Lines lines_;
  std::string text_;
};

// A path segment of the API: what Kubernetes lets be a name.
bool is_name(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:";
  return !name.empty() && name.size() <= 253 && name != "." && name != ".." &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}
bool is_dns_label(std::string_view name) {
  return is_name(name) && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
             std::string_view::npos &&
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
  if (object->api_version.empty()) {
    const std::string served = api_versions_of(object->kind);
    root["apiVersion"].refuse(
        "is required" + (served.empty() ? "" : " (" + object->kind + " is one of " + served + ")"));
  }
  if (object->kind.empty()) root["kind"].refuse("is required");
  if (!is_name(object->name)) metadata["name"].refuse("must be the object's name");
  if (is_cluster_scoped(object->kind)) {
    object->ns.clear();
  } else if (object->ns.empty()) {
    object->ns = "default";
  }
  if (!object->ns.empty() && !is_dns_label(object->ns))
    metadata["namespace"].refuse("must be a namespace's name");
  if (reader.problem()) return std::unexpected(*reader.problem());
  object->hash = path_hash(object->body->dump(-1, ' ', false, json::error_handler_t::replace));
  return ObjectPtr(std::move(object));
}

class Manifest {
 public:
  Manifest(const YamlTree& tree, std::string_view file) : tree_(tree), file_(file) {}

  // `kind: List` unfolds.
  std::optional<Problem> document(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::kNull) return std::nullopt;
    const YamlNode* kind = member(node, "kind");
    const YamlNode* items = member(node, "items");
    if (kind == nullptr || items == nullptr || kind->text != "List") return add(node);
    if (items->kind != YamlNode::Kind::kSequence)
      return Problem{where(*items) + "items: must be a list"};
    for (const std::uint32_t item : items->children) {
      if (auto bad = add(tree_[item])) return bad;
    }
    return std::nullopt;
  }
  std::vector<ObjectPtr> objects;

 private:
  const YamlNode* member(const YamlNode& map, std::string_view key) const {
    for (std::size_t i = 0; map.kind == YamlNode::Kind::kMap && i + 1 < map.children.size();
         i += 2) {
      if (tree_[map.children[i]].text == key) return &tree_[map.children[i + 1]];
    }
    return nullptr;
  }
  std::string where(const YamlNode& node) const {
    return std::string(file_) + ":" + std::to_string(node.line) + ": ";
  }

  std::optional<Problem> add(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::kMap)
      return Problem{where(node) + "document: must be a map (apiVersion, kind, metadata)"};
    Converter converter(tree_, file_, nodes_);
    json body;
    if (!converter.convert(node, "", 0, body)) return Problem{converter.text()};
    auto object = make_object(std::move(body), converter.lines(),
                              std::string(file_) + ":" + std::to_string(node.line));
    if (!object) return object.error();
    if (!seen_.insert((*object)->key()).second)
      return Problem{(*object)->at("metadata.name") +
                     ": metadata.name: the same object twice in one file, " +
                     (*object)->key().str()};
    objects.push_back(std::move(*object));
    return std::nullopt;
  }

  const YamlTree& tree_;
  std::string_view file_;
  std::size_t nodes_ = 0;
  std::set<ObjectKey> seen_;
};

}  // namespace

Parsed<ObjectPtr> make_object(json body, std::string origin) {
  return make_object(std::move(body), {}, std::move(origin));
}

Parsed<std::vector<ObjectPtr>> parse_manifest(std::string_view text, std::string_view file) {
  if (text.size() > kMaxBytes) {
    return problem(std::string(file) + ": document: larger than 1 MiB, got " +
                   std::to_string(text.size()) + " bytes");
  }
  if (!is_utf8(text)) return problem(std::string(file) + ": document: not UTF-8");
  if (text.find('\0') != std::string_view::npos)
    return problem(std::string(file) + ": document: holds a NUL byte");
  const auto tree = read_yaml(text, file);
  if (!tree) return std::unexpected(tree.error());
  Manifest manifest(*tree, file);
  for (const std::uint32_t root : tree->documents) {
    if (auto bad = manifest.document((*tree)[root])) return std::unexpected(*bad);
  }
  return std::move(manifest.objects);
}

}  // namespace weft::source
