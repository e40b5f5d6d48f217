#include "sandbox/devices.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace weft::sandbox {
namespace {

struct Device {
  const char* path;
  unsigned major, minor;
};
constexpr Device kDevices[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                               {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
                               {"/dev/ptmx", 5, 2}};

constexpr std::pair<const char*, const char*> kLinks[] = {{"/proc/self/fd", "/dev/fd"},
                                                          {"fd/0", "/dev/stdin"},
                                                          {"fd/1", "/dev/stdout"},
                                                          {"fd/2", "/dev/stderr"}};

std::string failed(std::string_view step) {
  return fmt::format("{}: {}", step, std::strerror(errno));
}

}  // namespace

std::string private_devices() {
  const Fd terminals(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, "/dev/pts", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755") != 0)
    return failed("mount tmpfs on /dev");
  for (const auto& device : kDevices) {
    if (mknod(device.path, S_IFCHR | 0666, makedev(device.major, device.minor)) != 0 ||
        chmod(device.path, 0666) != 0)
      return failed(fmt::format("make {}", device.path));
  }
  for (const auto& [to, path] : kLinks) {
    if (symlink(to, path) != 0) return failed(fmt::format("link {}", path));
  }
  if (mkdir("/dev/shm", 0755) != 0 ||
      mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0)
    return failed("mount tmpfs on /dev/shm");
  if (mkdir("/dev/pts", 0755) != 0) return failed("make /dev/pts");
  if (terminals && syscall(SYS_move_mount, terminals.get(), "", AT_FDCWD, "/dev/pts",
                           MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return failed("move mount to /dev/pts");
  return {};
}

}  // namespace weft::sandbox
