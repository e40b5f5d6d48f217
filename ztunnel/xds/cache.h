// Cache: the last good xDS state on disk, so that a ztunnel that restarts while the control plane is away works as before.
// One file, 0600, replaced atomically. A file that is damaged, or of another version, is ignored with a warning.
//
//   "weft-xds-1\n"  { u32 little-endian length, serialised DeltaDiscoveryResponse }*  32 bytes SHA-256 of all before
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ztunnel/xds/session.h"

namespace weft::xds {

// Errors: kNotFound (no file), kMalformed, kSystem.
Result<std::vector<Response>> read_cache(const std::string& path);
// Errors: kSystem.
Result<void> write_cache(const std::string& path, const std::vector<Response>& responses);

}  // namespace weft::xds
