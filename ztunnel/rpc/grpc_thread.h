// GrpcThread: the one thread on which everything of gRPC happens (xDS, CA): a completion queue, posted acts and timers.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "ztunnel/rpc/executor.h"

namespace grpc {
class CompletionQueue;
}

namespace weft::rpc {

class GrpcThread final : public Executor {
 public:
  // An operation's tag; lives until its event came. Acts run on the thread.
  struct Tag {
    std::function<void(bool ok)> act;
  };

  GrpcThread();
  ~GrpcThread() override;  // REQUIRES: stop() returned

  void post(std::function<void()> act) override { after({}, std::move(act)); }
  void after(Clock::duration wait, std::function<void()> act) override;

  // Timers are dropped, the queue is drained and the thread joined. REQUIRES: no call is in flight or can start any more.
  void stop();

  grpc::CompletionQueue& queue() { return *queue_; }

 private:
  struct Timer;
  void run();

  std::unique_ptr<grpc::CompletionQueue> queue_;
  std::mutex lock_;
  std::set<Timer*> timers_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weft::rpc
