// The suite on the two kernel loops, over loopback TCP, and what only they can show: posts from other threads, spilling, choice.
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "tests/unit/ztunnel/io/loop_suite.h"
#include "ztunnel/io/make_loop.h"

namespace weft::io {
namespace {

Fd tcp_socket() { return Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

Fd tcp_listen(SocketAddress& address) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage raw{};
  socklen_t length = SocketAddress::parse("127.0.0.1:0")->to_sockaddr(raw);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), length), 0);
  EXPECT_EQ(::listen(fd.get(), 1024), 0);
  length = sizeof raw;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&raw), &length);
  address = *SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), length);
  return fd;
}

template <LoopKind kKind>
struct KernelNet {
  static constexpr std::size_t kBig = 8 << 20;
  static constexpr int kBuffers = 8;

  KernelNet() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    const LoopOptions options{.buffers = kBuffers, .buffer_size = 64 * 1024, .spill_max = 0};
    made_ = kKind == LoopKind::kUring ? make_uring_loop(options) : make_epoll_loop(options);
    listener_ = tcp_listen(address_);
  }
  ~KernelNet() {
    if (made_) EXPECT_EQ(loop().pending(), 0u);
  }
  bool ready() const { return made_.has_value(); }
  std::string why() const { return describe(made_.error()); }
  Loop& loop() { return **made_; }
  std::pair<Fd, Fd> pair() {
    Fd a = tcp_socket();
    sockaddr_storage raw{};
    const socklen_t length = address_.to_sockaddr(raw);
    EXPECT_EQ(::connect(a.get(), reinterpret_cast<sockaddr*>(&raw), length), 0);
    Fd b(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return {std::move(a), std::move(b)};
  }
  Fd listen(SocketAddress& address) { return tcp_listen(address); }
  Fd socket() { return tcp_socket(); }

  Result<std::unique_ptr<Loop>> made_ = fail(Code::kSystem, "");
  SocketAddress address_;
  Fd listener_;
};

struct Names {
  template <class Net>
  static std::string GetName(int) {
    return std::is_same_v<Net, KernelNet<LoopKind::kUring>> ? "Uring" : "Epoll";
  }
};
using KernelNets = ::testing::Types<KernelNet<LoopKind::kUring>, KernelNet<LoopKind::kEpoll>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Kernel, LoopSuite, KernelNets, Names);

template <class Net>
class KernelLoop : public LoopSuite<Net> {};
TYPED_TEST_SUITE(KernelLoop, KernelNets, Names);

TYPED_TEST(KernelLoop, APostFromAnotherThreadWakesAWaitingLoop) {
  Loop& loop = this->net_.loop();
  int count = 0;
  std::thread other([&] {
    for (int i = 0; i < 2000; ++i) {
      loop.post([&count] { ++count; });
      if (i % 100 == 0) std::this_thread::sleep_for(1ms);
    }
    loop.post([&loop] { loop.stop(); });
  });
  loop.run();
  other.join();
  EXPECT_EQ(count, 2000);
}

TYPED_TEST(KernelLoop, StopFromAnotherThreadEndsRun) {
  Loop& loop = this->net_.loop();
  std::thread other([&] {
    std::this_thread::sleep_for(5ms);
    loop.stop();
  });
  loop.run();
  other.join();
}

// The loop is made on one thread and runs on another, as the process does it.
TYPED_TEST(KernelLoop, RunsOnAnotherThreadThanTheOneThatMadeIt) {
  auto [a, b] = this->net_.pair();
  Loop& loop = this->net_.loop();
  std::thread runner([&] { run_until_done(loop, bytes_arrive(loop, a.get(), b.get())); });
  runner.join();
  loop.close(std::move(a));
  loop.close(std::move(b));
}

Task<void> connect_mapped(Loop& loop, Fd fd, SocketAddress address) {
  Socket socket(loop, std::move(fd));
  auto connected = co_await connect(loop, socket.get(), address, loop.in(5s));
  EXPECT_TRUE(connected.has_value());
}
TYPED_TEST(KernelLoop, AV6SocketConnectsToAV4Address) {
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) GTEST_SKIP() << "no IPv6";
  run_until_done(this->net_.loop(), connect_mapped(this->net_.loop(), std::move(fd), address));
}

Task<void> connect_nowhere(Loop& loop, Fd fd, SocketAddress address, std::vector<Fd>& fillers) {
  Socket socket(loop, std::move(fd));
  auto connected = co_await connect(loop, socket.get(), address, loop.in(50ms));
  EXPECT_TRUE(!connected && connected.error().code == Code::kTimedOut && connected.error().os == 0);
}
TYPED_TEST(KernelLoop, AConnectThatNobodyAnswersGivesUpAtItsDeadline) {
  SocketAddress address;
  Fd listener = tcp_listen(address);
  ::listen(listener.get(), 0);  // a full backlog drops SYNs
  std::vector<Fd> fillers;
  sockaddr_storage raw{};
  const socklen_t length = address.to_sockaddr(raw);
  for (int i = 0; i < 8; ++i) {
    fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(fillers.back().get(), reinterpret_cast<sockaddr*>(&raw), length);
  }
  run_until_done(this->net_.loop(), connect_nowhere(this->net_.loop(), tcp_socket(), address, fillers));
}

TYPED_TEST(KernelLoop, ADescriptorNumberThatIsUsedAgainIsANewSocket) {
  Loop& loop = this->net_.loop();
  for (int i = 0; i < 50; ++i) {
    auto [a, b] = this->net_.pair();
    run_until_done(loop, receive_expires(loop, a.get()));
    run_until_done(loop, bytes_arrive(loop, a.get(), b.get()));
    loop.close(std::move(a));
    loop.close(std::move(b));
    if (i == 5) break;
  }
}

Task<void> brief_read(Loop& loop, int from, int to) {
  auto sent = co_await send_all(loop, from, as_bytes("brief"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  auto got = co_await recv_buffer(loop, to, loop.in(5s));
  EXPECT_TRUE(got.has_value() && as_text(got->bytes()) == "brief");
}
Task<void> spill(Loop& loop, std::vector<std::pair<Fd, Fd>>& pairs, int from, int to) {
  Scope scope;
  Event release(loop);
  int held = 0;
  int cancelled = 0;
  for (auto& [a, b] : pairs) {
    auto sent = co_await send_all(loop, a.get(), as_bytes("x"), loop.in(5s));
    EXPECT_TRUE(sent.has_value());
    hold_or_cancel(scope, loop, b.get(), release, held, cancelled);
  }
  co_await sleep_for(loop, 50ms);
  EXPECT_EQ(held, 2 + 4);  // two buffers, four on the heap; the rest waits
  co_await brief_read(loop, from, to);  // a brief reader is served all the while
  release.set();
  co_await scope.join();
  EXPECT_EQ(held, static_cast<int>(pairs.size()));
}
// Runs `work` on a loop of its own over twenty connections that may stall, and one more.
template <class Net, class Work>
void on_twenty_pairs(Net& net, const LoopOptions& options, Work work) {
  const bool uring = std::string(net.loop().name()) == "io_uring";
  auto loop = uring ? make_uring_loop(options) : make_epoll_loop(options);
  ASSERT_TRUE(loop.has_value());
  std::vector<std::pair<Fd, Fd>> pairs;
  for (int i = 0; i < 20; ++i) pairs.push_back(net.pair());
  auto [from, to] = net.pair();
  run_until_done(**loop, work(**loop, pairs, from.get(), to.get()));
  (*loop)->close(std::move(from));
  (*loop)->close(std::move(to));
  for (auto& [a, b] : pairs) {
    (*loop)->close(std::move(a));
    (*loop)->close(std::move(b));
  }
}

TYPED_TEST(KernelLoop, AnEmptyPoolSpillsUpToItsMaximumAndStillServesBriefReaders) {
  const LoopOptions options{.buffers = 2, .buffer_size = 64 * 1024, .spill_max = 4 * 16 * 1024};
  on_twenty_pairs(this->net_, options, spill);
}

// Who lets connections stall holds no more than is left for all others, and waits himself.
Task<void> shares(Loop& loop, std::vector<std::pair<Fd, Fd>>& pairs, int from, int to) {
  Scope scope;
  Event release(loop);
  Share greedy, modest;
  int held = 0;
  int cancelled = 0;
  for (auto& [a, b] : pairs) {
    auto sent = co_await send_all(loop, a.get(), as_bytes("x"), loop.in(5s));
    EXPECT_TRUE(sent.has_value());
    hold_or_cancel(scope, loop, b.get(), release, held, cancelled, nullptr, &greedy);
  }
  co_await sleep_for(loop, 50ms);
  EXPECT_EQ(held, 2 + 4);  // two buffers, half of what the heap has
  EXPECT_EQ(greedy.held, 4u * 16 * 1024);
  int others = 0;
  auto sent = co_await send_all(loop, from, as_bytes("x"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  hold_or_cancel(scope, loop, to, release, others, cancelled, nullptr, &modest);
  co_await sleep_for(loop, 50ms);
  EXPECT_EQ(others, 1) << "somebody else is served";
  EXPECT_EQ(modest.held, 16u * 1024);
  loop.cancel(pairs.back().second.get());
  co_await sleep_for(loop, 1ms);
  EXPECT_EQ(cancelled, 1) << "one that waits for its share can be ended";
  release.set();
  co_await scope.join();
  EXPECT_EQ(held, static_cast<int>(pairs.size()) - 1);
  EXPECT_EQ(greedy.held + modest.held, 0u);
}
TYPED_TEST(KernelLoop, AShareHoldsNoMoreThanItLeaves) {
  const LoopOptions options{.buffers = 2, .buffer_size = 64 * 1024, .spill_max = 8 * 16 * 1024};
  on_twenty_pairs(this->net_, options, shares);
}

// A receive is started and its descriptor closed before the loop gets to the kernel; the number belongs to a new socket at once.
Task<void> reuse_in_one_turn(Loop& loop, Fd old, Fd& fresh, const SocketAddress& address, int listener) {
  const int number = old.get();
  Scope scope;
  int cancelled = 0;
  wait_for_cancel(scope, loop, number, cancelled);
  loop.close(std::move(old));
  fresh = tcp_socket();
  EXPECT_EQ(fresh.get(), number);
  std::string heard;
  serve_one(scope, loop, listener, heard);
  auto connected = co_await connect(loop, number, address, loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  auto sent = co_await send_all(loop, number, as_bytes("ping"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  auto got = co_await read_exactly(loop, number, 4);
  EXPECT_EQ(got.value_or("?"), "pong");
  co_await scope.join();
  EXPECT_EQ(cancelled, 1);
}
TYPED_TEST(KernelLoop, AClosedDescriptorsOperationNeverTouchesTheNextSocketOfThatNumber) {
  auto [a, b] = this->net_.pair();
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  Fd fresh;
  run_until_done(this->net_.loop(), reuse_in_one_turn(this->net_.loop(), std::move(a), fresh, address, listener.get()));
  for (Fd* fd : {&b, &listener, &fresh}) this->net_.loop().close(std::move(*fd));
}

TEST(MakeLoop, AutoAlwaysGivesALoop) {
  auto loop = make_loop(LoopKind::kAuto);
  ASSERT_TRUE(loop.has_value());
  EXPECT_EQ(parse_loop_kind("auto"), LoopKind::kAuto);
  EXPECT_EQ(parse_loop_kind("kqueue"), std::nullopt);
}

}  // namespace
}  // namespace weft::io
