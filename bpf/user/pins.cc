#include "bpf/user/pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "base/fd.h"

namespace weft::bpf {
namespace {

constexpr std::string_view kNetnsPrefix = "netns_";

struct DestroyLink {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }  // a pinned link lives on
};
using Link = std::unique_ptr<bpf_link, DestroyLink>;

std::unexpected<Problem> step_failed(std::string_view step, std::string_view what, int os) {
  return problem(fmt::format("{} {}: {}", step, what, std::strerror(os)));
}

std::optional<bpf_link_info> info_of(int link_fd) {
  bpf_link_info info{};
  std::uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(link_fd, &info, &length) != 0) return std::nullopt;
  return info;
}

std::optional<bpf_link_info> info_of(const std::string& pin) {
  const Fd fd(bpf_obj_get(pin.c_str()));
  if (!fd) return std::nullopt;
  return info_of(fd.get());
}

// Attached first, then the old pin goes, then the new one comes: while this runs the hook is never
// absent. What the old pin held is detached at once; left to itself it would go some moment later.
Parsed<void> pin_fresh(Link link, const std::string& pin) {
  if (const Fd old(bpf_obj_get(pin.c_str())); old) (void)bpf_link_detach(old.get());
  if (unlink(pin.c_str()) != 0 && errno != ENOENT)
    return step_failed("remove the stale pin", pin, errno);
  if (bpf_link__pin(link.get(), pin.c_str()) != 0) return step_failed("pin", pin, errno);
  return {};
}

bool update_in_place(const std::string& pin, bpf_program* program, std::uint64_t cgroup_id) {
  const Link link(bpf_link__open(pin.c_str()));
  if (!link) return false;
  const auto info = info_of(bpf_link__fd(link.get()));
  if (!info || info->type != BPF_LINK_TYPE_CGROUP || info->cgroup.cgroup_id != cgroup_id)
    return false;
  return bpf_link__update_program(link.get(), program) == 0;
}

}  // namespace

std::string link_pin(std::string_view pin_dir, std::string_view program) {
  return fmt::format("{}/link_{}", pin_dir, program);
}

std::string netns_pin(std::string_view pin_dir, std::uint64_t netns_inode) {
  return fmt::format("{}/{}{}", pin_dir, kNetnsPrefix, netns_inode);
}

Parsed<void> prepare_pin_dir(const std::string& pin_dir) {
  const std::string parent = pin_dir.substr(0, pin_dir.find_last_of('/'));
  struct statfs fs{};
  if (statfs(parent.c_str(), &fs) != 0 && errno == ENOENT) {
    // One level may be ours to make (/sys/fs/bpf/weft); what is above it is a mount that somebody else owns.
    const std::string mount = parent.substr(0, parent.find_last_of('/'));
    if (statfs(mount.c_str(), &fs) == 0 && fs.f_type == BPF_FS_MAGIC) mkdir(parent.c_str(), 0700);
  }
  if (statfs(parent.c_str(), &fs) != 0) return step_failed("pin directory: open", parent, errno);
  if (fs.f_type != BPF_FS_MAGIC)
    return problem(
        fmt::format("pin directory: {} is not on a bpffs (mount -t bpf bpf /sys/fs/bpf, and mount "
                    "it into the container)",
                    parent));
  if (mkdir(pin_dir.c_str(), 0700) != 0 && errno != EEXIST)
    return step_failed("pin directory: make", pin_dir, errno);
  return {};
}

Parsed<void> keep_cgroup_link(const std::string& pin, bpf_program* program, int cgroup_fd,
                              std::uint64_t cgroup_id) {
  if (update_in_place(pin, program, cgroup_id)) return {};
  Link link(bpf_program__attach_cgroup(program, cgroup_fd));
  if (!link) return step_failed("attach", bpf_program__name(program), errno);
  return pin_fresh(std::move(link), pin);
}

Parsed<void> keep_netns_links(const std::string& pin_dir, bpf_program* program) {
  for (const std::uint64_t inode : netns_pins(pin_dir)) {
    const std::string pin = netns_pin(pin_dir, inode);
    const Link link(bpf_link__open(pin.c_str()));
    const bool alive = link && live_netns_of(pin) != 0;
    if (alive && bpf_link__update_program(link.get(), program) == 0) continue;
    if (alive && errno != ENOLINK) return step_failed("update the inbound program in", pin, errno);
    unlink(pin.c_str());
  }
  return {};
}

Result<std::uint64_t> attach_netns(const std::string& pin_dir, bpf_program* program, int netns_fd) {
  struct stat netns{};
  if (fstat(netns_fd, &netns) != 0) return fail(Code::kSystem, "stat the netns", errno);
  const std::string pin = netns_pin(pin_dir, netns.st_ino);
  if (live_netns_of(pin) == netns.st_ino) {
    const Link link(bpf_link__open(pin.c_str()));
    if (link && bpf_link__update_program(link.get(), program) == 0) return netns.st_ino;
  }
  Link link(bpf_program__attach_netns(program, netns_fd));
  if (!link) return fail(Code::kSystem, "attach sk_lookup to the netns", errno);
  if (!pin_fresh(std::move(link), pin)) return fail(Code::kSystem, "pin the sk_lookup link", errno);
  return netns.st_ino;
}

Result<void> drop_link(const std::string& pin) {
  const Fd fd(bpf_obj_get(pin.c_str()));
  if (!fd && errno == ENOENT) return {};
  if (!fd) return fail(Code::kSystem, "open the pinned link", errno);
  // Detached even while another process still holds the link. A link that is gone by itself answers
  // ENOLINK, an old kernel EOPNOTSUPP.
  if (bpf_link_detach(fd.get()) != 0 && errno != ENOLINK && errno != EOPNOTSUPP)
    return fail(Code::kSystem, "detach the link", errno);
  if (unlink(pin.c_str()) != 0 && errno != ENOENT)
    return fail(Code::kSystem, "unpin the link", errno);
  return {};
}

std::vector<std::uint64_t> netns_pins(const std::string& pin_dir) {
  std::vector<std::uint64_t> inodes;
  DIR* dir = opendir(pin_dir.c_str());
  if (dir == nullptr) return inodes;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name = entry->d_name;
    std::uint64_t inode = 0;
    if (!name.starts_with(kNetnsPrefix)) continue;
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + kNetnsPrefix.size(), end, inode);
    if (error == std::errc{} && rest == end) inodes.push_back(inode);
  }
  closedir(dir);
  return inodes;
}

std::uint64_t live_netns_of(const std::string& pin) {
  const auto info = info_of(pin);
  return info && info->type == BPF_LINK_TYPE_NETNS ? info->netns.netns_ino : 0;
}

std::uint32_t link_id_of(const std::string& pin) {
  const auto info = info_of(pin);
  return info ? info->id : 0;
}

}  // namespace weft::bpf
