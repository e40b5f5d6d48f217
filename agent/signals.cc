#include "agent/signals.h"

#include <signal.h>
#include <sys/signalfd.h>

#include <cerrno>

namespace weft::agent {

Result<Fd> stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0)
    return fail(Code::kSystem, "sigprocmask", errno);
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(Code::kSystem, "signalfd", errno);
  return fd;
}

}  // namespace weft::agent
