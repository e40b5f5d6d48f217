#include "controlplane/xds/cache.h"

namespace weft::controlplane::xds {
namespace {

void unname(TypeCache& cache, const Resource& resource) {
  for (const auto* list : {&resource.aliases, &resource.groups}) {
    for (const std::string& alias : *list) {
      const auto found = cache.names.find(alias);
      if (found == cache.names.end()) continue;
      found->second.erase(resource.name);
      if (found->second.empty()) cache.names.erase(found);
    }
  }
}

}  // namespace

std::uint64_t Cache::apply(const Update& update) {
  std::unique_lock lock(mutex_);
  for (const ResourcePtr& resource : update.upserts) upsert(resource);
  for (const auto& [type, name] : update.removes) remove(type, name);
  return generation_;
}

bool Cache::upsert(const ResourcePtr& resource) {
  TypeCache& cache = types_[resource->type];
  ResourcePtr& held = cache.resources[resource->name];
  if (held && held->version == resource->version) return false;
  if (held) unname(cache, *held);
  const auto known = cache.changed.find(resource->name);
  if (!held && known != cache.changed.end()) --cache.tombstones;  // it was removed and is back
  held = resource;
  for (const auto* list : {&resource->aliases, &resource->groups}) {
    for (const std::string& alias : *list) cache.names[alias].insert(resource->name);
  }
  record(cache, resource->name);
  return true;
}

bool Cache::remove(const std::string& type, const std::string& name) {
  TypeCache& cache = types_[type];
  const auto found = cache.resources.find(name);
  if (found == cache.resources.end()) return false;
  unname(cache, *found->second);
  cache.resources.erase(found);
  record(cache, name);
  ++cache.tombstones;
  forget(cache);
  return true;
}

void Cache::record(TypeCache& cache, const std::string& name) {
  std::uint64_t& at = cache.changed[name];
  if (at != 0) cache.log.erase(at);
  at = ++generation_;
  cache.log[at] = name;
}

void Cache::forget(TypeCache& cache) {
  auto entry = cache.log.begin();
  while (cache.tombstones > kTombstonesMax && entry != cache.log.end()) {
    if (cache.resources.contains(entry->second)) {
      ++entry;
      continue;
    }
    cache.forgotten = entry->first;
    cache.changed.erase(entry->second);
    entry = cache.log.erase(entry);
    --cache.tombstones;
  }
}

std::uint64_t Cache::generation() const {
  std::shared_lock lock(mutex_);
  return generation_;
}

std::size_t Cache::size(const std::string& type) const {
  std::shared_lock lock(mutex_);
  const auto found = types_.find(type);
  return found == types_.end() ? 0 : found->second.resources.size();
}

}  // namespace weft::controlplane::xds
