// Bundle: what `install` applies, as this weftctl has it in it: the objects of deploy/daemonset by
// profile, with --set written into them. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace weft::cli {

// "default", "istio-compat", "minimal", "high-availability".
std::vector<std::string> profiles();

// The objects in the order in which they are applied: the namespace first. Refused: a profile that
// is none, a pair without "=", a key that is none, a value that a key cannot have; the text names
// what there is.
Parsed<std::vector<nlohmann::json>> bundle(const std::string& profile,
                                           const std::vector<std::string>& set);
// The DaemonSet that takes the mesh off the nodes. `node`: the DaemonSet weft-node as it runs,
// whose image and host paths it takes over; null: the built-in ones.
nlohmann::json uninstall_daemonset(const nlohmann::json& node);

// "KEY  what it does (default)" lines for --help.
std::string bundle_settings_help();

}  // namespace weft::cli
