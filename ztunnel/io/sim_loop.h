// SimLoop: a Loop whose network and clock are played. One seed is one history: chunk sizes, delays,
// resets and order come from it. Time jumps to the next deadline or delivery when nothing is
// runnable; an idle hour costs nothing. Sockets behave as Linux TCP does: bounded buffers (send
// waits for the peer's reader), FIN is ordered after data and half-close works, close() with unread
// data sends RST, data to a closed socket comes back as RST, an arriving RST is told once
// (ECONNRESET; to a send only, as EPIPE, when FIN had come) and then reads give 0 and sends EPIPE.
// Thread: one.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "base/net.h"
#include "ztunnel/io/buffer.h"
#include "ztunnel/io/buffer_pool.h"
#include "ztunnel/io/loop.h"

namespace weft::io {

struct SimOptions {
  std::uint64_t seed = 1;
  double short_read = 0.3;   // chance that a receive gives less than there is
  double short_write = 0.3;  // chance that the kernel takes less than there is room for
  double reset = 0;          // chance, per send, that the connection is reset instead
  Clock::duration delay_max =
      std::chrono::milliseconds(2);  // of a delivery; uniform, order within a direction is kept
  std::size_t socket_buffer = 16 * 1024;  // bytes under way and unread, per direction
  std::uint32_t buffers = 16;             // of recv_buffer; no heap behind them
  std::uint32_t buffer_size = 16 * 1024;
};

class SimLoop final : public Loop, public BufferOwner {
 public:
  explicit SimLoop(SimOptions options = {});
  ~SimLoop() override;

  // Simulated descriptors are numbers that no process has (from 1 << 28): closing one by accident
  // does nothing.
  std::pair<Fd, Fd> pair();
  Fd socket();  // for connect()
  Fd listen(const SocketAddress&
                address);  // for accept(); connect() to an address without listener is refused
  // What connect() to `address` does from now on: answer never (a black hole), or again.
  void drop_connects_to(const SocketAddress& address, bool drop);
  // Both ends of the connection see ECONNRESET, as when a middlebox ends it.
  void inject_reset(int fd);

  std::size_t open_sockets() const { return sockets_.size(); }
  std::size_t buffers_lent() const { return lent_; }
  // Uniform in [0, bound); from the seed. For the tests' own choices.
  std::uint64_t random(std::uint64_t bound);

  void shutdown_write(int fd) override;
  bool is_broken(int fd) override;
  void close(Fd fd) override;
  void reset(Fd fd) override;
  const char* name() const override { return "simulated"; }
  void give_back(std::byte* base, std::uint32_t id) override;
  BufferOwner& buffer_owner() override { return *this; }

 private:
  struct SimSocket;
  struct Delivery;
  static bool later(const Delivery& a, const Delivery& b);

  OpChain& chain_of(int fd) override;
  void submit(Op& op) override;
  void abort(Op& op) override;
  bool wait(Clock::time_point until) override;
  void wake() override {}
  Clock::time_point read_clock() const override { return now(); }

  SimSocket* find(int fd);
  SimSocket& at(int fd);
  int add_socket();
  bool chance(double probability);
  std::size_t shorten(std::size_t count, double probability);

  // Each tries once; the result, or -EAGAIN.
  int attempt(Op& op);
  int try_accept(SimSocket& socket);
  int try_connect(Op& op, SimSocket& socket);
  int try_receive(std::byte* into, std::size_t size, SimSocket& socket);
  int try_receive_buffer(Op& op, SimSocket& socket);
  int try_send(Op& op, SimSocket& socket);

  void deliver(Delivery& delivery);
  void deliver_connect(Delivery& delivery);
  void send_to_peer(SimSocket& from, Delivery delivery);
  void schedule(Clock::time_point when, Delivery delivery);
  // `running` is the operation that is being tried now: it sees the change by itself.
  void break_connection(SimSocket& socket, const Op* running);
  void wake_ops(SimSocket& socket, const Op* running = nullptr);
  bool wake_parked();

  SimOptions options_;
  std::mt19937_64 engine_;
  int next_fd_;
  std::uint64_t next_sequence_ = 0;
  std::map<int, std::unique_ptr<SimSocket>> sockets_;
  std::map<SocketAddress, int> listeners_;
  std::set<SocketAddress> black_holes_;
  std::vector<Delivery> deliveries_;  // a heap, earliest first
  BufferPool pool_;
  std::size_t lent_ = 0;
};

}  // namespace weft::io
