// Object: one Kubernetes manifest as a value, and ObjectSet: what is known now. The same for files
// and for a cluster. Immutable after parsing, so an ObjectPtr may be read from any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "mesh/labels.h"

namespace weft::source {

// Versions of one kind are one object: the key has the API group, not the version.
struct ObjectKey {
  std::string
      kind;        // "Pod" (core group), "AuthorizationPolicy.security.istio.io": kind, dot, group
  std::string ns;  // empty for cluster-scoped kinds
  std::string name;

  std::string str() const;  // "Pod default/web", "Namespace default"
  auto operator<=>(const ObjectKey&) const = default;
};

struct Object {
  std::string api_version;  // "v1", "security.istio.io/v1"
  std::string kind;         // "Pod"
  std::string ns;  // "default" where a namespaced manifest has none; empty for cluster-scoped kinds
  std::string name;
  std::string uid;
  mesh::Labels labels, annotations;
  std::string creation_timestamp;  // RFC 3339 as given; compares as text; empty when absent
  std::string origin;              // "file:line" of the document, or "kubernetes Pod default/web"
  std::shared_ptr<const nlohmann::json> body;  // the whole manifest, status included; never null
  std::uint64_t hash = 0;                      // of body; equal content, equal hash
  std::vector<std::pair<std::uint64_t, std::uint32_t>>
      lines;  // hash of field path → line, sorted; empty when not from a file

  ObjectKey key() const;
  std::string group() const;  // "" for core
  // "file:line" of the field "spec.ports[0].port" (or of its nearest ancestor that is there), else
  // `origin`.
  std::string at(std::string_view field_path) const;
};
using ObjectPtr = std::shared_ptr<const Object>;

// Ordered by key, so that everything made from it is deterministic.
using ObjectSet = std::map<ObjectKey, ObjectPtr>;

// The difference that one turn of a source made.
struct Batch {
  std::vector<ObjectPtr> upserts;
  std::vector<ObjectKey> deletes;
  bool empty() const { return upserts.empty() && deletes.empty(); }
};

// Reads a manifest: one or more YAML documents (JSON is YAML), `kind: List` unfolded, empty
// documents skipped. Scalars mean what they mean to Kubernetes (YAML 1.1: plain yes/on/0x1f; quoted
// ones stay strings). Refused, with file, line, field and value in the text: syntax errors,
// duplicate keys, documents that are no map, missing apiVersion, kind or metadata.name, labels that
// are no strings, the same object twice, aliases that grow beyond kMaxNodes, more than kMaxBytes.
inline constexpr std::size_t kMaxBytes = 1 << 20;
inline constexpr std::size_t kMaxNodes = 200'000;
inline constexpr std::size_t kMaxDepth = 64;
Parsed<std::vector<ObjectPtr>> parse_manifest(std::string_view text, std::string_view file);

// One object that came as JSON. Refused as above, with `origin` in the text.
Parsed<ObjectPtr> make_object(nlohmann::json body, std::string origin);

// True for kinds without a namespace (Namespace, Node, GatewayClass …).
bool is_cluster_scoped(std::string_view kind);

// Field paths as people read them: "spec.ports[0].port", "metadata.labels[\"a.b/c\"]". Used to find
// lines and in every error.
std::string member_path(std::string_view parent, std::string_view key);
std::string element_path(std::string_view parent, std::size_t index);
std::uint64_t path_hash(std::string_view field_path);

}  // namespace weft::source
