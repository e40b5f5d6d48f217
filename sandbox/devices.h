// A pod's own /dev, as a container runtime makes it.
#pragma once

#include <string>

namespace weft::sandbox {

// Covers /dev in this mount namespace: the devices that every program may expect, a /dev/shm of
// its own, the machine's terminals (`exec` brings one of those). A pod's processes are root: in the
// machine's /dev an nginx with `pid /dev/null` would remove /dev/null for everybody as it ends.
// Returns what failed, or "".
std::string private_devices();

}  // namespace weft::sandbox
