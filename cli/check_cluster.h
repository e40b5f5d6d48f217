// check, of a cluster: can it carry a mesh (--pre), and does the one that it has work?
#pragma once

#include <string>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/findings.h"

namespace weft::cli {

int check_cluster(const Context& context, const CheckArguments& arguments);

// Why `install` cannot work there, one line each; empty: nothing is known against it.
std::string what_forbids(Cluster& cluster);

// Of a Node object. Pure.
std::vector<Finding> node_findings(const nlohmann::json& node);
// "v1.34.4" and the like. Pure.
Finding version_finding(const nlohmann::json& version);

}  // namespace weft::cli
