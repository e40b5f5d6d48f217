// Resource: one named thing that clients subscribe to, already in wire bytes. Immutable; shared by
// the cache and all streams.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weft::controlplane::xds {

struct Resource {
  std::string type;                  // type URL
  std::string name;                  // canonical
  std::string version;               // hash of body
  std::vector<std::string> aliases;  // other names that it is asked by
  std::vector<std::string> groups;   // "node:NAME", "service:NS/HOST": what it comes along with
  std::string body;                  // serialized message
};
using ResourcePtr = std::shared_ptr<const Resource>;

// One change of the cache. A resource whose version is what the cache holds is no change.
struct Update {
  std::vector<ResourcePtr> upserts;
  std::vector<std::pair<std::string, std::string>> removes;  // type, name
};

}  // namespace weft::controlplane::xds
