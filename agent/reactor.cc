#include "agent/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weft::agent {

namespace {
constexpr int kEventsPerTurn = 64;
}

Result<std::unique_ptr<Reactor>> Reactor::make() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail(Code::kSystem, "epoll_create1", errno);
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(Code::kSystem, "eventfd", errno);
  std::unique_ptr<Reactor> reactor(new Reactor(std::move(epoll), std::move(wake)));
  Reactor* self = reactor.get();
  auto watched = self->watch(self->wake_.get(), EPOLLIN, [self](std::uint32_t) {
    std::uint64_t count = 0;
    [[maybe_unused]] auto got = ::read(self->wake_.get(), &count, sizeof count);
    self->run_posted();
  });
  if (!watched) return std::unexpected(watched.error());
  return reactor;
}

Result<void> Reactor::watch(int fd, std::uint32_t events, Callback callback) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail(Code::kSystem, "epoll_ctl add", errno);
  watches_[fd] = std::make_shared<Watch>(Watch{std::move(callback), next_number_++});
  return {};
}

Result<void> Reactor::change(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) return fail(Code::kSystem, "epoll_ctl mod", errno);
  return {};
}

void Reactor::forget(int fd) {
  if (watches_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

std::uint64_t Reactor::at(Clock::time_point when, Work work) {
  const std::uint64_t number = next_number_++;
  timers_.emplace(Timer{when, number}, std::move(work));
  return number;
}

void Reactor::cancel(std::uint64_t timer) {
  std::erase_if(timers_, [timer](const auto& entry) { return entry.first.number == timer; });
}

void Reactor::post(Work work) {
  {
    std::scoped_lock lock(mutex_);
    posted_.push_back(std::move(work));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] auto put = ::write(wake_.get(), &one, sizeof one);
}

void Reactor::stop() {
  post([this] { stopping_ = true; });
}

void Reactor::run() {
  while (!stopping_) turn(std::chrono::milliseconds(60'000));
}

void Reactor::turn(std::chrono::milliseconds wait) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, wait_ms(wait));
  // A callback may forget any descriptor and even watch a new one under the same number: what was watched before this turn
  // is told from what came later by its serial.
  const std::uint64_t turn_began = next_number_;
  for (int i = 0; i < count; ++i) {
    const auto found = watches_.find(events[i].data.fd);
    if (found == watches_.end() || found->second->serial >= turn_began) continue;
    const std::shared_ptr<Watch> keep = found->second;  // lives through its own forget()
    keep->callback(events[i].events);
  }
  run_timers();
  if (after_turn_) after_turn_();
}

int Reactor::wait_ms(std::chrono::milliseconds most) const {
  auto wait = most;
  if (!timers_.empty()) {
    const auto left = timers_.begin()->first.when - Clock::now();
    wait = std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(left));
  }
  return static_cast<int>(std::max<std::int64_t>(wait.count(), 0));
}

void Reactor::run_timers() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.when <= now) {
    auto node = timers_.extract(timers_.begin());
    node.mapped()();
  }
}

void Reactor::run_posted() {
  std::vector<Work> batch;
  {
    std::scoped_lock lock(mutex_);
    batch.swap(posted_);
  }
  for (auto& work : batch) work();
}

}  // namespace weft::agent
