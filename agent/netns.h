// A pod's network namespace: a descriptor that keeps it, and work done inside it.
// Work runs on a thread of its own that enters and never comes back, so no thread of the agent can be left in the wrong place.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/net.h"
#include "base/result.h"

namespace weft::agent {

// Copies share the descriptor.
struct Netns {
  std::shared_ptr<const Fd> fd;
  std::uint64_t cookie = 0;  // never used twice while the machine is up; the key of weft_pods
  std::uint64_t inode = 0;   // the kernel uses these again

  bool valid() const { return fd != nullptr && fd->valid(); }
};

// True when `ip` is one of `list`.
bool contains(const std::vector<IpAddress>& list, const IpAddress& ip);

// Runs `work` in the namespace and waits for it. Needs CAP_SYS_ADMIN. Errors: kSystem with setns's errno.
Result<void> in_netns(int netns_fd, const std::function<void()>& work);

// The namespace behind an open nsfs descriptor. Errors: kSystem.
Result<Netns> identify_netns(Fd fd);

// The addresses of all its interfaces, without loopback and link-local ones. Errors: kSystem.
Result<std::vector<IpAddress>> addresses_in(int netns_fd);

}  // namespace weft::agent
