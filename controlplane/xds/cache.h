// Cache: what every client should have, with a log of what changed when. Any thread; one lock.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "controlplane/xds/resource.h"

namespace weft::controlplane::xds {

// One type's resources and their history. Guarded by the cache's lock.
struct TypeCache {
  std::map<std::string, ResourcePtr> resources;                  // by name
  std::unordered_map<std::string, std::set<std::string>> names;  // alias or group → names
  std::map<std::uint64_t, std::string>
      log;  // generation of the last change → name; one entry a name
  std::unordered_map<std::string, std::uint64_t>
      changed;                  // name → its key in `log`, tombstones included
  std::uint64_t forgotten = 0;  // changes up to here are no longer all in the log
  std::size_t tombstones = 0;
};

class Cache {
 public:
  // Removed names that are remembered for clients that lag behind; one that lags further has to
  // reconnect.
  static constexpr std::size_t kTombstonesMax = 20'000;

  // The new generation, or the old one when nothing changed. Every change has a generation of its
  // own; within one update policies come in the order given.
  std::uint64_t apply(const Update& update);
  std::uint64_t generation() const;
  std::size_t size(const std::string& type) const;

  // Reads under the lock: `read(const TypeCache&, generation)`.
  template <class Read>
  auto read(Read read) const {
    std::shared_lock lock(mutex_);
    return read(types_, generation_);
  }
  using Types = std::map<std::string, TypeCache>;

 private:
  bool upsert(const ResourcePtr& resource);
  bool remove(const std::string& type, const std::string& name);
  void record(TypeCache& cache, const std::string& name);
  void forget(TypeCache& cache);

  mutable std::shared_mutex mutex_;
  Types types_;
  std::uint64_t generation_ = 1;
};

}  // namespace weft::controlplane::xds
