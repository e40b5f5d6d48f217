#include "sandbox/loop.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "base/assert.h"

namespace weft::sandbox {

void Loop::watch(int fd, short events, std::function<void(short)> ready) {
  watches_[fd] = Watch{events, std::move(ready), next_id_++};
}

void Loop::unwatch(int fd) { watches_.erase(fd); }

Loop::Timer Loop::after(Clock::duration wait, std::function<void()> fire) {
  const Timer timer = next_id_++;
  const auto at = Clock::now() + wait;
  timers_.emplace(std::pair(at, timer), std::move(fire));
  timer_at_[timer] = at;
  return timer;
}

void Loop::cancel(Timer timer) {
  const auto found = timer_at_.find(timer);
  if (found == timer_at_.end()) return;
  timers_.erase({found->second, timer});
  timer_at_.erase(found);
}

void Loop::on_exit(pid_t pid, std::function<void(int)> done) {
  auto handle = std::make_shared<Fd>(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  WEFT_ASSERT(handle->valid());
  watch(handle->get(), POLLIN, [this, handle, pid, done = std::move(done)](short) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != pid) return;
    const auto finished = done;  // unwatch() destroys this closure
    const auto keep = handle;
    unwatch(handle->get());
    finished(status);
  });
}

void Loop::fire_timers() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_at_.erase(node.key().second);
    node.mapped()();
  }
}

void Loop::wait_once() {
  std::vector<pollfd> fds;
  std::vector<std::uint64_t> ids;
  for (const auto& [fd, watch] : watches_) {
    fds.push_back({fd, watch.events, 0});
    ids.push_back(watch.id);
  }
  int timeout_ms = -1;
  if (!timers_.empty()) {
    const auto left = timers_.begin()->first.first - Clock::now();
    timeout_ms = left.count() <= 0
                     ? 0
                     : static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
  }
  if (poll(fds.data(), fds.size(), timeout_ms) <= 0) return;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (fds[i].revents == 0) continue;
    const auto found = watches_.find(fds[i].fd);
    if (found == watches_.end() || found->second.id != ids[i])
      continue;  // gone, or another one by now
    const auto ready = found->second.ready;
    ready(fds[i].revents);
  }
}

void Loop::run() {
  running_ = true;
  while (running_) {
    if (turn_) turn_();
    wait_once();
    fire_timers();
  }
}

}  // namespace weft::sandbox
