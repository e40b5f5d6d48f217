// How a cluster is told that its mesh is being uninstalled.
#pragma once

#include <string_view>

namespace weft::mesh {

inline constexpr std::string_view kSystemNamespace = "weft-system";
// The annotation that `weftctl uninstall` sets to "true" on that namespace: every agent lets its
// pods go.
inline constexpr std::string_view kUninstalling = "weft.dev/uninstalling";

}  // namespace weft::mesh
