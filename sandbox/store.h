// Store: the API objects of a sandbox, in memory and as one JSON file each in the object directory
// that agents and the control plane watch. Owned by the daemon's thread. Knows nothing about what
// objects mean.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "source/object.h"

namespace weft::sandbox {

using Key = source::ObjectKey;

Key key_of(const nlohmann::json& object);

class Store {
 public:
  // `directory` exists. Empty: objects live in memory only (tests).
  explicit Store(std::string directory);
  ~Store();

  // Null when there is none. Valid until the next change of the store.
  const nlohmann::json* find(const Key& key) const;
  const nlohmann::json* find(std::string_view kind, std::string_view ns,
                             std::string_view name) const;
  // Every object of a kind ("Pod", "Deployment.apps"), ordered by namespace and name; `ns` empty:
  // all namespaces.
  std::vector<const nlohmann::json*> list(std::string_view kind, std::string_view ns = "") const;
  std::vector<Key> keys(std::string_view kind) const;
  std::vector<std::string> kinds() const;
  // Everything in a namespace.
  std::vector<Key> keys_in(std::string_view ns) const;

  // Adds or replaces. Sets metadata.resourceVersion.
  Parsed<void> put(nlohmann::json object);
  // Changes the object in place; false if it is not there or `change` changed nothing.
  bool update(const Key& key, const std::function<void(nlohmann::json&)>& change);
  void remove(const Key& key);

  // Grows with every change.
  std::uint64_t version() const { return version_; }

 private:
  std::string file_of(const Key& key) const;
  Parsed<void> write(const Key& key, const nlohmann::json& object) const;

  std::string directory_;
  std::map<Key, nlohmann::json> objects_;
  std::uint64_t version_ = 0;
};

}  // namespace weft::sandbox
