// The sandbox's daemon (process weft-sandbox): API store, kubelet, kube-proxy, DNS and supervisor
// of one sandbox in one thread.
#pragma once

#include <string>

#include "base/result.h"
#include "sandbox/layout.h"
#include "sandbox/settings.h"

namespace weft::sandbox {

struct DaemonOptions {
  Layout layout;
  int nodes = 2;
  Settings settings;
  bool mesh = true;   // start agents, ztunnels and the control plane
  std::string bin;    // directory of the components' programs
  int progress = -1;  // lines about the start; the last is "ready" or "error: …"
};

// Runs until SIGTERM, which removes the sandbox. REQUIRES: root, single-threaded, in no sandbox's
// cgroup yet. Returns the exit code.
int run_daemon(DaemonOptions options);

}  // namespace weft::sandbox
