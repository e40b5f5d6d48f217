#include "agent/discovery.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <utility>

#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

namespace weft::agent {

namespace {

constexpr std::size_t kProcessesTried = 8;
constexpr int kCgroupDepthMost = 6;

void each_entry(const std::string& directory, const std::function<void(const dirent&)>& visit) {
  DIR* dir = ::opendir(directory.c_str());
  if (dir == nullptr) return;
  while (const dirent* entry = ::readdir(dir)) {
    if (entry->d_name[0] != '.') visit(*entry);
  }
  ::closedir(dir);
}

// Opens `path` if it is a namespace: a plain file is an unmounted leftover.
Fd open_netns(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct statfs filesystem {};
  if (fd && (::fstatfs(fd.get(), &filesystem) != 0 || filesystem.f_type != NSFS_MAGIC)) return Fd();
  return fd;
}

bool holds(const std::vector<IpAddress>& addresses, const std::vector<IpAddress>& wanted) {
  return std::ranges::all_of(wanted, [&](const IpAddress& ip) { return contains(addresses, ip); });
}

}  // namespace

Result<Netns> open_if_holds(const std::string& path, const std::vector<IpAddress>& ips) {
  Fd fd = open_netns(path);
  if (!fd) return fail(Code::kNotFound, "no network namespace at that path");
  auto addresses = addresses_in(fd.get());
  if (!addresses) return std::unexpected(addresses.error());
  if (!holds(*addresses, ips)) return fail(Code::kNotFound, "the network namespace does not hold the pod's addresses");
  return identify_netns(std::move(fd));
}

void DirectoryFinder::refresh(bool everything) {
  std::map<std::string, Seen> now;
  each_entry(directory_, [&](const dirent& entry) {
    const std::string path = directory_ + "/" + entry.d_name;
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    const std::int64_t changed_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
    Seen seen{info.st_ino, changed_ns, {}};
    const auto before = seen_.find(path);
    const bool same = before != seen_.end() && before->second.inode == seen.inode && before->second.changed_ns == changed_ns;
    if (same && !everything) seen.addresses = std::move(before->second.addresses);
    if (seen.addresses.empty()) {
      const Fd fd = open_netns(path);
      auto addresses = fd ? addresses_in(fd.get()) : Result<std::vector<IpAddress>>();
      if (addresses) seen.addresses = std::move(*addresses);
    }
    now.emplace(path, std::move(seen));
  });
  seen_ = std::move(now);
}

Result<Netns> DirectoryFinder::match(const DesiredPod& pod) {
  Error worst{Code::kNotFound, 0, "no network namespace holds the pod's addresses"};
  // A dead pod's namespace may linger with the same address: the youngest is the living one's.
  std::multimap<std::int64_t, std::string, std::greater<>> candidates;
  for (const auto& [path, seen] : seen_) {
    if (holds(seen.addresses, pod.ips)) candidates.emplace(seen.changed_ns, path);
  }
  for (const auto& [changed_ns, path] : candidates) {
    Fd fd = open_netns(path);
    auto addresses = fd ? addresses_in(fd.get()) : Result<std::vector<IpAddress>>(fail(Code::kNotFound, "network namespace"));
    if (addresses && holds(*addresses, pod.ips)) return identify_netns(std::move(fd));
    if (addresses) seen_[path].addresses = std::move(*addresses);
    if (!addresses) worst = addresses.error();
  }
  return std::unexpected(worst);
}

Result<Netns> DirectoryFinder::find(const DesiredPod& pod) {
  refresh(false);
  auto found = match(pod);
  if (found || Clock::now() - looked_at_ < kLookAgain) return found;
  looked_at_ = Clock::now();
  refresh(true);
  return match(pod);
}

bool is_pod_cgroup(std::string_view directory, std::string_view uid) {
  if (uid.empty()) return false;
  if (directory.starts_with("pod") && directory.substr(3) == uid) return true;
  if (!directory.starts_with("kubepods") || !directory.ends_with(".slice")) return false;
  directory.remove_suffix(std::string_view(".slice").size());
  const auto at = directory.rfind("-pod");
  if (at == std::string_view::npos) return false;
  std::string spelled(directory.substr(at + 4));
  std::ranges::replace(spelled, '_', '-');
  return spelled == uid;
}

std::string top_of_cgroups(const std::string& cgroup) {
  std::string top = cgroup;
  for (std::string above = cgroup; above.find_last_of('/') != std::string::npos;) {
    above.erase(above.find_last_of('/'));
    struct statfs filesystem {};
    if (above.empty() || ::statfs(above.c_str(), &filesystem) != 0 || filesystem.f_type != CGROUP2_SUPER_MAGIC) break;
    top = above;
  }
  return top;
}

std::string find_pods_cgroup(const std::string& root) {
  for (const char* place :
       {"/kubepods", "/kubepods.slice", "/unified/kubepods", "/unified/kubepods.slice"}) {
    const std::string path = root + place;
    struct statfs filesystem{};
    if (::statfs(path.c_str(), &filesystem) == 0 && filesystem.f_type == CGROUP2_SUPER_MAGIC)
      return path;
  }
  return {};
}

std::string CgroupFinder::directory_of(std::string_view uid) const {
  std::string found;
  const std::function<void(const std::string&, int)> search = [&](const std::string& directory, int depth) {
    each_entry(directory, [&](const dirent& entry) {
      if (!found.empty() || entry.d_type != DT_DIR) return;
      const std::string_view name = entry.d_name;
      const std::string path = directory + "/" + entry.d_name;
      if (is_pod_cgroup(name, uid)) {
        found = path;
      } else if (depth > 0 && !name.starts_with("pod") && name.find("-pod") == std::string_view::npos) {
        search(path, depth - 1);  // the quality-of-service levels between kubepods and the pods
      }
    });
  };
  search(cgroup_, 1);
  return found;
}

std::vector<int> CgroupFinder::processes_below(const std::string& directory, std::size_t most) {
  std::vector<int> pids;
  const std::function<void(const std::string&, int)> collect = [&](const std::string& at, int depth) {
    std::ifstream processes(at + "/cgroup.procs");
    for (int pid = 0; pids.size() < most && processes >> pid;) {
      if (pid > 0) pids.push_back(pid);  // 0: a process of another pid namespace
    }
    each_entry(at, [&](const dirent& entry) {
      if (entry.d_type == DT_DIR && depth > 0 && pids.size() < most) collect(at + "/" + entry.d_name, depth - 1);
    });
  };
  collect(directory, kCgroupDepthMost);
  return pids;
}

Result<Netns> CgroupFinder::find(const DesiredPod& pod) {
  const std::string directory = directory_of(pod.uid);
  if (directory.empty()) return fail(Code::kNotFound, "the pod has no cgroup");
  Error last{Code::kNotFound, 0, "the pod's cgroup has no process"};
  for (const int pid : processes_below(directory, kProcessesTried)) {
    Fd fd(::open((proc_ + "/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (fd) return identify_netns(std::move(fd));
    last = errno == ENOENT ? Error{Code::kNotFound, errno, "the pod's process ended"}
                           : Error{Code::kDenied, errno, "/proc/<pid>/ns/net"};
  }
  return std::unexpected(last);
}

Result<Netns> EitherFinder::find(const DesiredPod& pod) {
  auto found = first_->find(pod);
  if (found) return found;
  auto second = second_->find(pod);
  if (second || found.error().code != Code::kNotFound) return second ? second : found;
  if (second.error().code != Code::kDenied) return second;
  // It may be bind-mounted any moment: absent, not denied.
  return fail(Code::kNotFound, "no network namespace in --netns-dir holds the pod's addresses, and its processes' are not for us to open");
}

}  // namespace weft::agent
