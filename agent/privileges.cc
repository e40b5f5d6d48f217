#include "agent/privileges.h"

#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <type_traits>

namespace weft::agent {

namespace {

constexpr std::array<cap_value_t, 3> kNeeded = {CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN};
using Caps = std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)>;

Result<void> trim_bounding_set() {
  // Without CAP_SETPCAP it cannot be changed: then NoNewPrivs alone has to do.
  cap_flag_value_t may = CAP_CLEAR;
  const Caps now(::cap_get_proc(), ::cap_free);
  if (!now || ::cap_get_flag(now.get(), CAP_SETPCAP, CAP_EFFECTIVE, &may) != 0) return fail(Code::kSystem, "cap_get_proc", errno);
  if (may != CAP_SET) return {};
  for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; ++cap) {
    if (std::ranges::find(kNeeded, cap) != kNeeded.end() || ::cap_get_bound(cap) <= 0) continue;
    if (::cap_drop_bound(cap) != 0) return fail(Code::kSystem, "cap_drop_bound", errno);
  }
  return {};
}

void raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Result<void> keep_only_needed_privileges() {
  raise_file_limit();
  if (auto trimmed = trim_bounding_set(); !trimmed) return trimmed;
  ::cap_reset_ambient();
  const Caps wanted(::cap_init(), ::cap_free);
  if (!wanted) return fail(Code::kSystem, "cap_init", errno);
  for (const cap_flag_t flag : {CAP_PERMITTED, CAP_EFFECTIVE}) {
    if (::cap_set_flag(wanted.get(), flag, kNeeded.size(), kNeeded.data(), CAP_SET) != 0) return fail(Code::kSystem, "cap_set_flag", errno);
  }
  if (::cap_set_proc(wanted.get()) != 0) {
    return fail(Code::kDenied, "the agent needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN", errno);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(Code::kSystem, "PR_SET_NO_NEW_PRIVS", errno);
  return {};
}

}  // namespace weft::agent
