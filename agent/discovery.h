// Finding a pod's network namespace, behind one interface with two ways of doing it.
//
// In the directory: runtimes keep a bind mount of each pod's namespace (/var/run/netns/cni-…). Which is whose is told by looking inside:
// the pod's is the one that holds the pod's address. Needs CAP_SYS_ADMIN only.
// By cgroup: any process below the pod's cgroup directory has it at /proc/<pid>/ns/net. The kernel shows that link only to a reader whose
// capabilities include the process's (ptrace_may_access), so it works for processes that hold no more than the agent does.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/enroll.h"
#include "agent/netns.h"
#include "base/clock.h"

namespace weft::agent {

class NetnsFinder {
 public:
  virtual ~NetnsFinder() = default;
  // Errors: kNotFound (not there yet, or gone), kDenied (there, but not for us), kSystem.
  virtual Result<Netns> find(const DesiredPod& pod) = 0;
};

// The namespace at `path`, if it is one and holds all of `ips`. Errors: kNotFound, kSystem.
Result<Netns> open_if_holds(const std::string& path, const std::vector<IpAddress>& ips);

// Remembers which addresses it saw where, so that a hundred pods cost a hundred looks; what it answers is checked anew each time.
class DirectoryFinder : public NetnsFinder {
 public:
  // Nothing matched: everything is looked at again, but not more often than this.
  static constexpr auto kLookAgain = std::chrono::milliseconds(250);

  explicit DirectoryFinder(std::string directory) : directory_(std::move(directory)) {}
  Result<Netns> find(const DesiredPod& pod) override;

 private:
  struct Seen {
    std::uint64_t inode = 0;
    std::int64_t changed_ns = 0;
    std::vector<IpAddress> addresses;
  };
  void refresh(bool everything);
  Result<Netns> match(const DesiredPod& pod);

  std::string directory_;
  std::map<std::string, Seen> seen_;  // by path
  Clock::time_point looked_at_{};     // at everything
};

// True when a directory below the pods' cgroup is that of `uid`, in any spelling kubelet and its runtimes use:
// "pod<uid>" (cgroupfs driver) or "kubepods[-besteffort|-burstable]-pod<uid_with_underscores>.slice" (systemd driver).
bool is_pod_cgroup(std::string_view directory, std::string_view uid);

// The highest directory above `cgroup` that is cgroup2 still: what the node's own processes are below.
std::string top_of_cgroups(const std::string& cgroup);

// The directory above every pod's, as kubelet makes it: kubepods (cgroupfs driver) or
// kubepods.slice (systemd's), on a pure cgroup2 host at `root` itself, on a hybrid one below its
// "unified". Empty: there is none (yet).
std::string find_pods_cgroup(const std::string& root);

class CgroupFinder : public NetnsFinder {
 public:
  CgroupFinder(std::string cgroup, std::string proc) : cgroup_(std::move(cgroup)), proc_(std::move(proc)) {}
  Result<Netns> find(const DesiredPod& pod) override;
  // The pod's cgroup directory, or empty.
  std::string directory_of(std::string_view uid) const;
  // Process ids below a cgroup directory, at most `most`.
  static std::vector<int> processes_below(const std::string& directory, std::size_t most);

 private:
  std::string cgroup_;
  std::string proc_;
};

// Asks the directory first, then the cgroup. Of two failures it reports the more telling one.
class EitherFinder : public NetnsFinder {
 public:
  EitherFinder(std::unique_ptr<NetnsFinder> first, std::unique_ptr<NetnsFinder> second)
      : first_(std::move(first)), second_(std::move(second)) {}
  Result<Netns> find(const DesiredPod& pod) override;

 private:
  std::unique_ptr<NetnsFinder> first_;
  std::unique_ptr<NetnsFinder> second_;
};

}  // namespace weft::agent
