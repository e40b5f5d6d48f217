#include "sandbox/volumes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "sandbox/environment.h"
#include "sandbox/file.h"
#include "sandbox/json.h"
#include "sandbox/world.h"

namespace weft::sandbox {
namespace fs = std::filesystem;
namespace {

std::string failed(std::string_view step) {
  return fmt::format("{}: {}", step, std::strerror(errno));
}

// Mode as the volume says, else 0600 for secrets; fsGroup may read.
Parsed<void> write_data(const Json& pod, const Json& source,
                        const std::map<std::string, std::string>& data, const std::string& dir,
                        bool secret) {
  const auto group = number(pod, {"spec", "securityContext", "fsGroup"}, -1);
  const auto mode = static_cast<unsigned>(number(source, {"defaultMode"}, secret ? 0600 : 0644)) |
                    (group >= 0 ? 0040U : 0U);
  std::map<std::string, std::string> files;
  const auto& items = list(source, {"items"});
  for (const auto& item : items) {
    const auto found = data.find(str(item, {"key"}));
    if (found == data.end())
      return problem(fmt::format("references non-existent key: {}", str(item, {"key"})));
    files[str(item, {"path"})] = found->second;
  }
  if (items.empty()) files = data;
  for (const auto& [name, text] : files) {
    std::error_code error;
    fs::create_directories(fs::path(dir + "/" + name).parent_path(), error);
    if (auto written = write_file(dir + "/" + name, text, mode, -1, group); !written)
      return written;
  }
  return {};
}

struct Source {
  const char* field;
  const char* kind;
  const char* name;
  const char* resource;
};
constexpr Source kSources[] = {{"configMap", "ConfigMap", "name", "configmap"},
                               {"secret", "Secret", "secretName", "secret"}};

// The host directory that a volume shows.
Parsed<std::string> volume_directory(const Layout& layout, const Store& store, const Json& pod,
                                     const Json& volume) {
  const auto name = str(volume, {"name"});
  if (const auto* host = at(volume, {"hostPath"})) return str(*host, {"path"});
  const auto dir = fmt::format("{}/{}/volumes/{}", layout.pods(), uid_of(pod), name);
  std::error_code error;
  fs::create_directories(dir, error);
  if (at(volume, {"emptyDir"}) != nullptr) {
    chmod(dir.c_str(), 0777);
    return dir;
  }
  for (const Source& s : kSources) {
    const auto* source = at(volume, {s.field});
    if (source == nullptr) continue;
    const auto* object = store.find(s.kind, ns_of(pod), str(*source, {s.name}));
    if (object == nullptr && truth(*source, {"optional"})) return dir;
    if (object == nullptr) {
      return problem(fmt::format("MountVolume.SetUp failed for volume \"{}\": {} \"{}\" not found",
                                 name, s.resource, str(*source, {s.name})));
    }
    if (auto written =
            write_data(pod, *source, data_of(*object), dir, s.kind == std::string_view("Secret"));
        !written) {
      return problem(written.error().text);
    }
    return dir;
  }
  return problem(fmt::format(
      "volume \"{}\": the sandbox has configMap, secret, emptyDir and hostPath volumes only",
      name));
}

int open_tree(const std::string& path) {
  return static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
}

// Copies one directory level of `from` into the empty `to`: directories and files by bind, links as
// links.
std::string mirror(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const auto target = to / entry.path().filename();
    std::error_code ignored;
    if (target == to || entry.path() == to) continue;
    if (entry.is_symlink(ignored)) {
      fs::create_symlink(fs::read_symlink(entry.path(), ignored), target, ignored);
      continue;
    }
    if (entry.is_directory(ignored))
      fs::create_directory(target, ignored);
    else
      close(open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    if (mount(entry.path().c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
      return failed("bind " + entry.path().string());
  }
  return {};
}

// Makes `directory` writable in this mount namespace only: a tmpfs that shows what was there.
std::string make_private(const fs::path& directory) {
  const fs::path staging = "/run/.weft-stage";
  std::error_code error;
  fs::create_directory(staging, error);
  if (mount("tmpfs", staging.c_str(), "tmpfs", 0, "mode=755") != 0) return failed("mount tmpfs");
  if (auto text = mirror(directory, staging); !text.empty()) return text;
  if (directory != "/") {
    if (mount(staging.c_str(), directory.c_str(), nullptr, MS_MOVE, nullptr) != 0)
      return failed("move mount to " + directory.string());
    return {};
  }
  const auto old = staging / ".old";
  fs::create_directory(old, error);
  if (syscall(SYS_pivot_root, staging.c_str(), old.c_str()) != 0) return failed("pivot_root");
  if (chdir("/") != 0 || umount2("/.old", MNT_DETACH) != 0) return failed("leave the old root");
  fs::remove("/.old", error);
  return {};
}

std::string make_target(const Mount& mount) {
  struct stat info;
  if (stat(mount.to.c_str(), &info) == 0) return {};
  fs::path parent = fs::path(mount.to).parent_path();
  while (stat(parent.c_str(), &info) != 0) parent = parent.parent_path();
  if (auto text = make_private(parent); !text.empty()) return text;
  std::error_code error;
  fs::create_directories(mount.is_directory ? fs::path(mount.to) : fs::path(mount.to).parent_path(),
                         error);
  if (!mount.is_directory) close(open(mount.to.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  return stat(mount.to.c_str(), &info) == 0 ? std::string()
                                            : failed("make mount point " + mount.to);
}

}  // namespace

Parsed<std::vector<Mount>> prepare_volumes(const Layout& layout, const Store& store,
                                           const Json& pod, const Json& container) {
  std::vector<Mount> mounts;
  for (const auto& wanted : list(container, {"volumeMounts"})) {
    const Json* volume = nullptr;
    for (const auto& candidate : list(pod, {"spec", "volumes"})) {
      if (str(candidate, {"name"}) == str(wanted, {"name"})) volume = &candidate;
    }
    if (volume == nullptr)
      return problem(fmt::format("volumeMounts: no volume is named \"{}\"", str(wanted, {"name"})));
    auto directory = volume_directory(layout, store, pod, *volume);
    if (!directory) return problem(directory.error().text);
    const auto sub = str(wanted, {"subPath"});
    const auto from = sub.empty() ? *directory : *directory + "/" + sub;
    Mount mount;
    mount.tree = Fd(open_tree(from));
    if (!mount.tree) return problem(failed("volume path " + from));
    std::error_code error;
    mount.is_directory = fs::is_directory(from, error);
    mount.read_only = truth(wanted, {"readOnly"});
    mount.to = str(wanted, {"mountPath"});
    if (!mount.to.starts_with("/"))
      return problem(fmt::format("volumeMounts: mountPath \"{}\" must be absolute", mount.to));
    while (mount.to.size() > 1 && mount.to.back() == '/') mount.to.pop_back();
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

void refresh_volumes(const Layout& layout, const Store& store, const Json& pod) {
  for (const auto& volume : list(pod, {"spec", "volumes"})) {
    if (auto done = volume_directory(layout, store, pod, volume); !done)
      spdlog::warn("pod {}: {}", name_of(pod), done.error().text);
  }
}

std::string volume_versions(const Store& store, const Json& pod) {
  std::string text;
  for (const auto& volume : list(pod, {"spec", "volumes"})) {
    for (const Source& s : kSources) {
      const auto* object = store.find(s.kind, ns_of(pod), str(volume, {s.field, s.name}));
      if (object != nullptr) text += str(*object, {"metadata", "resourceVersion"}) + " ";
    }
  }
  return text;
}

std::string mount_volumes(const std::vector<Mount>& mounts) {
  if (unshare(CLONE_NEWNS) != 0) return failed("unshare mount namespace");
  if (auto text = make_private_mounts(); !text.empty()) return text;
  for (const auto& mount : mounts) {
    if (auto text = make_target(mount); !text.empty()) return text;
    if (mount.read_only) {
      mount_attr attr{};
      attr.attr_set = MOUNT_ATTR_RDONLY;
      syscall(SYS_mount_setattr, mount.tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
              sizeof attr);
    }
    if (syscall(SYS_move_mount, mount.tree.get(), "", AT_FDCWD, mount.to.c_str(),
                MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return failed("mount volume on " + mount.to);
    }
  }
  return {};
}

}  // namespace weft::sandbox
