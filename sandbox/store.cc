#include "sandbox/store.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "sandbox/file.h"
#include "sandbox/json.h"
#include "sandbox/kinds.h"
#include "sandbox/layout.h"

namespace weft::sandbox {

Key key_of(const Json& object) {
  const auto kind = kind_of(str(object, {"apiVersion"}), str(object, {"kind"}));
  return {kind.key(), kind.namespaced ? ns_of(object) : std::string(), name_of(object)};
}

Store::Store(std::string directory) : directory_(std::move(directory)) {}
Store::~Store() = default;

const Json* Store::find(const Key& key) const {
  const auto found = objects_.find(key);
  return found == objects_.end() ? nullptr : &found->second;
}

const Json* Store::find(std::string_view kind, std::string_view ns, std::string_view name) const {
  return find(Key{std::string(kind), std::string(ns), std::string(name)});
}

std::vector<const Json*> Store::list(std::string_view kind, std::string_view ns) const {
  std::vector<const Json*> found;
  for (auto it = objects_.lower_bound(Key{std::string(kind), "", ""});
       it != objects_.end() && it->first.kind == kind; ++it) {
    if (ns.empty() || it->first.ns == ns) found.push_back(&it->second);
  }
  return found;
}

std::vector<Key> Store::keys(std::string_view kind) const {
  std::vector<Key> found;
  for (auto it = objects_.lower_bound(Key{std::string(kind), "", ""});
       it != objects_.end() && it->first.kind == kind; ++it) {
    found.push_back(it->first);
  }
  return found;
}

std::vector<std::string> Store::kinds() const {
  std::vector<std::string> found;
  for (const auto& [key, object] : objects_) {
    if (found.empty() || found.back() != key.kind) found.push_back(key.kind);
  }
  return found;
}

std::vector<Key> Store::keys_in(std::string_view ns) const {
  std::vector<Key> found;
  for (const auto& [key, object] : objects_) {
    if (key.ns == ns) found.push_back(key);
  }
  return found;
}

Parsed<void> Store::put(Json object) {
  const auto key = key_of(object);
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  if (auto written = write(key, object); !written) return written;
  objects_[key] = std::move(object);
  return {};
}

bool Store::update(const Key& key, const std::function<void(Json&)>& change) {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return false;
  Json changed = found->second;
  change(changed);
  if (changed == found->second) return false;
  const auto done = put(std::move(changed));
  if (!done) spdlog::error("{}", done.error().text);
  return done.has_value();
}

void Store::remove(const Key& key) {
  if (objects_.erase(key) == 0) return;
  ++version_;
  if (!directory_.empty()) unlink(file_of(key).c_str());
}

std::string Store::file_of(const Key& key) const {
  return directory_ + "/" + key.kind + (key.ns.empty() ? "" : "_" + key.ns) + "_" + key.name +
         ".json";
}

Parsed<void> Store::write(const Key& key, const Json& object) const {
  if (directory_.empty()) return {};
  // Secrets are here too: root, the agents (root) and the control plane's group read them, nobody
  // else.
  return write_file(file_of(key), object.dump(1) + "\n", 0640, 0, kControlPlaneUid);
}

}  // namespace weft::sandbox
