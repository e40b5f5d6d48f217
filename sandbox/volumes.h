// Volumes of a container: configMap, secret, emptyDir, hostPath, as detached mounts that its first
// process puts in place.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "sandbox/layout.h"
#include "sandbox/store.h"

namespace weft::sandbox {

struct Mount {
  Fd tree;  // detached (open_tree)
  bool is_directory = true;
  bool read_only = false;
  std::string to;  // absolute, in the container
};

// Writes the files of ConfigMaps and Secrets below the pod's directory. Refused: an object, key or
// path that is not there, a volume kind that the sandbox does not have.
Parsed<std::vector<Mount>> prepare_volumes(const Layout& layout, const Store& store,
                                           const nlohmann::json& pod,
                                           const nlohmann::json& container);

// Writes them again, into the same directories: what runs sees the new files, each replaced at
// once. For a pod whose ConfigMaps or Secrets changed.
void refresh_volumes(const Layout& layout, const Store& store, const nlohmann::json& pod);
// resourceVersions of the ConfigMaps and Secrets that its volumes show, in one text.
std::string volume_versions(const Store& store, const nlohmann::json& pod);

// For `prepare`, inside the pod: a mount namespace of the container's own with `mounts` in it. A
// target that the machine has no place for gets one on a private copy of its nearest directory.
// Returns what failed, or "".
std::string mount_volumes(const std::vector<Mount>& mounts);

}  // namespace weft::sandbox
