#include "agent/lease.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace weft::agent {

Parsed<Lease> Lease::of(const std::string& pin_directory) {
  if (::mkdir(pin_directory.c_str(), 0700) != 0 && errno != EEXIST)
    return problem(fmt::format("--bpffs: {}: {}", pin_directory, std::strerror(errno)));
  Fd directory(::open(pin_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory)
    return problem(fmt::format("--bpffs: {}: {}", pin_directory, std::strerror(errno)));
  return Lease(std::move(directory));
}

Result<bool> Lease::take() {
  if (held_) return true;
  if (::flock(directory_.get(), LOCK_EX | LOCK_NB) == 0) return held_ = true;
  if (errno == EWOULDBLOCK) return false;
  return fail(Code::kSystem, "flock", errno);
}

void Lease::give_up() {
  if (held_) ::flock(directory_.get(), LOCK_UN);
  held_ = false;
}

}  // namespace weft::agent
