// SimLoop: a Loop whose network and clock are played. One seed is one history: chunk sizes, delays, resets and order come from it.
// Time jumps to the next deadline or delivery when nothing is runnable; an idle hour costs nothing. Sockets behave as Linux TCP
// does: bounded buffers (send waits for the peer's reader), FIN is ordered after data and half-close works, close() with unread
// data sends RST, data to a closed socket comes back as RST, an arriving RST is told once (ECONNRESET) and then reads give 0 and
// sends EPIPE. Thread: one.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "base/net.h"
#include "ztunnel/io/buffer.h"
#include "ztunnel/io/loop.h"

namespace weft::io {

struct SimOptions {
  std::uint64_t seed = 1;
  double short_read = 0.3;                           // chance that a receive gives less than there is
  double short_write = 0.3;                          // chance that the kernel takes less than there is room for
  double reset = 0;                                  // chance, per send, that the connection is reset instead
  Clock::duration delay_max = std::chrono::milliseconds(2);  // of a delivery; uniform, order within a direction is kept
  std::size_t socket_buffer = 16 * 1024;             // bytes under way and unread, per direction
  std::uint32_t buffers = 64;                        // of recv_buffer
  std::uint32_t buffer_size = 64 * 1024;
};

class SimLoop final : public Loop, public BufferOwner {
 public:
  explicit SimLoop(SimOptions options = {});
  ~SimLoop() override;

  // Simulated descriptors are numbers that no process has (from 1 << 28): closing one by accident does nothing.
  std::pair<Fd, Fd> pair();
  Fd socket();                              // for connect()
  Fd listen(const SocketAddress& address);  // for accept(); connect() to an address without listener is refused
  // What connect() to `address` does from now on: answer never (a black hole), or again.
  void drop_connects_to(const SocketAddress& address, bool drop);
  // Both ends of the connection see ECONNRESET, as when a middlebox ends it.
  void inject_reset(int fd);

  std::size_t open_sockets() const { return sockets_.size(); }
  std::size_t buffers_free() const { return free_buffers_.size(); }
  // Uniform in [0, bound); from the seed. For the tests' own choices.
  std::uint64_t random(std::uint64_t bound);

  void cancel(int fd) override;
  void shutdown_write(int fd) override;
  void close(Fd fd) override;
  void reset(Fd fd) override;
  const char* name() const override { return "simulated"; }
  void give_back(std::byte* base, std::uint32_t id) override;

 private:
  struct SimSocket;
  struct Delivery;
  struct LaterFirst {
    bool operator()(const Delivery& a, const Delivery& b) const;
  };

  void submit(Op& op) override;
  void abort(Op& op) override;
  bool wait(Clock::time_point until) override;
  void wake() override {}
  Clock::time_point read_clock() const override { return now(); }

  SimOptions options_;
  std::mt19937_64 engine_;
  int next_fd_;
  std::uint64_t next_sequence_ = 0;
  std::map<int, std::unique_ptr<SimSocket>> sockets_;
  std::map<SocketAddress, int> listeners_;
  std::map<SocketAddress, bool> dropped_;
  std::vector<Delivery> deliveries_;  // a heap
  std::vector<std::unique_ptr<std::byte[]>> buffer_memory_;
  std::vector<std::uint32_t> free_buffers_;
  OpList starved_;
};

}  // namespace weft::io
