#include "source/object.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace weft::source {

std::string ObjectKey::str() const {
  return ns.empty() ? kind + " " + name : kind + " " + ns + "/" + name;
}

std::string Object::group() const {
  const std::size_t slash = api_version.find('/');
  return slash == std::string::npos ? "" : api_version.substr(0, slash);
}

ObjectKey Object::key() const {
  const std::string api_group = group();
  return {api_group.empty() ? kind : kind + "." + api_group, ns, name};
}

std::string Object::at(std::string_view field_path) const {
  const std::size_t colon = origin.rfind(':');
  while (!lines.empty() && !field_path.empty()) {
    const std::uint64_t wanted = path_hash(field_path);
    auto found = std::lower_bound(lines.begin(), lines.end(), std::pair{wanted, 0u});
    if (found != lines.end() && found->first == wanted)
      return origin.substr(0, colon) + ":" + std::to_string(found->second);
    const std::size_t parent = field_path.find_last_of(".[");
    field_path =
        parent == std::string_view::npos ? std::string_view() : field_path.substr(0, parent);
  }
  return origin;
}

std::uint64_t path_hash(std::string_view field_path) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : field_path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string member_path(std::string_view parent, std::string_view key) {
  std::string path(parent);
  if (key.find_first_of(".[") != std::string_view::npos)
    return path.append("[\"").append(key).append("\"]");
  if (!path.empty()) path += '.';
  return path.append(key);
}

std::string element_path(std::string_view parent, std::size_t index) {
  return std::string(parent).append("[").append(std::to_string(index)).append("]");
}

bool is_cluster_scoped(std::string_view kind) {
  static constexpr std::array<std::string_view, 14> kKinds = {"ClusterRole",
                                                              "ClusterRoleBinding",
                                                              "ClusterTrustBundle",
                                                              "CSIDriver",
                                                              "CustomResourceDefinition",
                                                              "GatewayClass",
                                                              "IngressClass",
                                                              "MutatingWebhookConfiguration",
                                                              "Namespace",
                                                              "Node",
                                                              "PersistentVolume",
                                                              "PriorityClass",
                                                              "StorageClass",
                                                              "ValidatingWebhookConfiguration"};
  return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

}  // namespace weft::source
