// How commands name objects (KIND NAME, KIND/NAME) and ask the sandbox for them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace weft::cli {

struct Target {
  std::string kind, name;
};

// KIND NAME…, KIND/NAME…, or KIND alone (name empty). KIND may be several with commas, or `all`.
// Pure.
Parsed<std::vector<Target>> targets(const std::vector<std::string>& names);

nlohmann::json request_for(const char* command, const Target& target,
                           const ObjectArguments& arguments);

// `get` at the daemon. What the control plane says about mesh objects is in their
// status.conditions.
Parsed<nlohmann::json> fetch(const Context& context, const nlohmann::json& request);

// The pod that POD, pod/POD, deployment/NAME, service/NAME … means: of several the first, which is
// said on stderr.
Parsed<std::string> pod_named(const Context& context, const std::string& word,
                              const std::string& ns);

bool is_not_found(const std::string& error);

// Does the object satisfy --for? "Ready", "condition=Ready=False",
// "jsonpath={.status.phase}=Running". A condition of an older generation of the object does not
// count. Pure.
Parsed<bool> satisfies(const nlohmann::json& object, const std::string& wanted);

}  // namespace weft::cli
