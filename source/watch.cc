#include "source/watch.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace weft::source {
namespace {

constexpr std::uint32_t kMask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR |
                                IN_EXCL_UNLINK;

// A new plain file is read when its writer closes it; links are complete from the start and are
// never closed.
bool is_being_written(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1;
}

}  // namespace

bool is_manifest_name(std::string_view name) {
  if (name.starts_with(".")) return false;
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

Parsed<std::unique_ptr<Watch>> Watch::open(std::string directory, Timing timing) {
  std::unique_ptr<Watch> watch(new Watch(timing));
  watch->inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  watch->timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  watch->poll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!watch->inotify_ || !watch->timer_ || !watch->poll_)
    return problem("inotify: " + std::string(std::strerror(errno)));
  for (const int fd : {watch->inotify_.get(), watch->timer_.get()}) {
    epoll_event interest{.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(watch->poll_.get(), EPOLL_CTL_ADD, fd, &interest) != 0)
      return problem("epoll: " + std::string(std::strerror(errno)));
  }
  if (!watch->add(directory))
    return problem("cannot watch " + directory + ": " + std::strerror(errno));
  watch->next_resync_ = Clock::now() + timing.resync;
  watch->wake();
  return watch;
}

bool Watch::add(const std::string& directory) {
  const int watch = ::inotify_add_watch(inotify_.get(), directory.c_str(), kMask);
  if (watch < 0) return false;
  directories_[watch] = directory;
  return true;
}

void Watch::wake() { arm(Clock::now()); }

void Watch::arm(Clock::time_point at) {
  const auto wait =
      std::max<std::chrono::nanoseconds>(at - Clock::now(), std::chrono::nanoseconds(1));
  itimerspec when{};
  when.it_value.tv_sec = wait.count() / 1'000'000'000;
  when.it_value.tv_nsec = wait.count() % 1'000'000'000;
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

bool Watch::take(Changes& out) {
  std::uint64_t expirations = 0;
  (void)!::read(timer_.get(), &expirations, sizeof expirations);
  const bool was_dirty = dirty_;
  read_events();
  const auto now = Clock::now();
  if (dirty_ && !was_dirty) first_ = now;
  if (now >= next_resync_) {
    next_resync_ = now + timing_.resync;
    pending_.everything = true;
    dirty_ = true;
    first_ = last_ = now - timing_.cap;
  }
  const auto ripe = std::min(last_ + timing_.quiet, first_ + timing_.cap);
  if (!dirty_ || now < ripe) {
    arm(dirty_ ? std::min(ripe, next_resync_) : next_resync_);
    return false;
  }
  dirty_ = false;
  out = std::exchange(pending_, {});
  arm(next_resync_);
  return true;
}

void Watch::read_events() {
  alignas(inotify_event) char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(inotify_.get(), buffer, sizeof buffer);
    if (got <= 0) return;
    for (const char* at = buffer; at < buffer + got;) {
      const auto* one = reinterpret_cast<const inotify_event*>(at);
      event(one->wd, one->mask, one->len > 0 ? one->name : "");
      at += sizeof(inotify_event) + one->len;
    }
  }
}

void Watch::event(int watch, std::uint32_t mask, const char* name) {
  const auto found = directories_.find(watch);
  const std::string directory = found == directories_.end() ? "" : found->second;
  if ((mask & IN_IGNORED) != 0 && found != directories_.end()) directories_.erase(found);
  const std::string_view base = name;
  const bool in_directory = !base.empty() && (mask & IN_ISDIR) == 0 && !directory.empty();
  // "..data" is how a ConfigMap volume swaps all its files at once.
  if (in_directory && !base.starts_with("..")) {
    if (!is_manifest_name(base)) return;
    if ((mask & IN_CREATE) != 0 && is_being_written(directory + "/" + name)) return;
    pending_.files.insert(directory + "/" + name);
  } else {
    pending_.everything = true;
  }
  dirty_ = true;
  last_ = Clock::now();
}

}  // namespace weft::source
