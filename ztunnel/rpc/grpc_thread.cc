#include "ztunnel/rpc/grpc_thread.h"

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

namespace weft::rpc {

struct GrpcThread::Timer {
  grpc::Alarm alarm;
  Tag tag;
};

GrpcThread::GrpcThread() : queue_(std::make_unique<grpc::CompletionQueue>()), thread_([this] { run(); }) {}

GrpcThread::~GrpcThread() { stop(); }

void GrpcThread::run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Tag*>(tag)->act(ok);
}

void GrpcThread::after(Clock::duration wait, std::function<void()> act) {
  auto* timer = new Timer;
  timer->tag.act = [this, timer, act = std::move(act)](bool ok) {
    {
      const std::lock_guard guard(lock_);
      timers_.erase(timer);
      ok = ok && !stopping_;
    }
    if (ok) act();
    delete timer;
  };
  const std::lock_guard guard(lock_);
  if (stopping_) {
    delete timer;
    return;
  }
  timers_.insert(timer);
  timer->alarm.Set(queue_.get(), WallClock::now() + wait, &timer->tag);
}

void GrpcThread::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard guard(lock_);
    stopping_ = true;
    for (auto* timer : timers_) timer->alarm.Cancel();
  }
  queue_->Shutdown();
  thread_.join();
}

}  // namespace weft::rpc
