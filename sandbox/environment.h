// A container's environment and command line from its manifest: env, envFrom, fieldRef, $(NAME)
// references. Reads the store only.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/store.h"

namespace weft::sandbox {

// KEY=VALUE lines, PATH, HOME and HOSTNAME included. Refused: a ConfigMap, Secret or key that is
// not there.
Parsed<std::vector<std::string>> container_environment(const Store& store,
                                                       const nlohmann::json& pod,
                                                       const nlohmann::json& container);

// command + args with $(NAME) replaced and $$( unescaped. Refused: no command (images are not
// looked at).
Parsed<std::vector<std::string>> container_command(const nlohmann::json& container,
                                                   const std::vector<std::string>& environment);

// The value of metadata.name, metadata.labels['x'], spec.nodeName, status.podIP …; nothing for what
// it does not know.
std::string field_value(const nlohmann::json& pod, const std::string& path);

// The entries of a ConfigMap or Secret, decoded.
std::map<std::string, std::string> data_of(const nlohmann::json& object);

}  // namespace weft::sandbox
