#include <fmt/format.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <vector>

#include "tests/bench/bench.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/socket.h"

namespace weft::bench {
namespace {

constexpr std::chrono::seconds kPatience{10};

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// One run: from `start` to `end` counts. CPU is read at both moments.
struct Window {
  Clock::time_point start, end;
  double busy_before = 0, busy_after = 0;
  bool holds(Clock::time_point at) const { return at >= start && at < end; }
};

struct Result {
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  std::string error;
  std::vector<float> micros;  // of each request or connection in the window
  void failed(const Error& why) {
    ++errors;
    if (error.empty()) error = describe(why);
  }
};

// When a worker that began one thing `before` begins the next.
Clock::time_point next_start(const Load& load, Clock::time_point before) {
  if (load.rate <= 0) return before;
  return before + std::chrono::duration_cast<Clock::duration>(
                      std::chrono::duration<double>(load.connections / load.rate));
}

io::Spawned watch(io::Scope&, io::Loop& loop, Window& window) {
  co_await io::sleep_until(loop, window.start);
  window.busy_before = busy_seconds();
  co_await io::sleep_until(loop, window.end);
  window.busy_after = busy_seconds();
}

io::Task<weft::Result<io::Socket>> dial(io::Loop& loop, SocketAddress to) {
  io::Socket socket(loop, Fd(::socket(to.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  if (!socket.valid()) co_return fail(Code::kExhausted, "socket", errno);
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto connected = co_await io::connect(loop, socket.get(), to, loop.in(kPatience));
  if (!connected) co_return std::unexpected(connected.error());
  co_return std::move(socket);
}

io::Task<weft::Result<void>> receive_exactly(io::Loop& loop, int fd, std::span<std::byte> into) {
  while (!into.empty()) {
    auto got = co_await io::recv_some(loop, fd, into, loop.in(kPatience));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Code::kClosed, "early end");
    into = into.subspan(*got);
  }
  co_return weft::Result<void>();
}

io::Spawned pour(io::Scope&, io::Loop& loop, const Load& load, const Window& window, Result& result) {
  auto socket = co_await dial(loop, load.to);
  if (!socket) co_return result.failed(socket.error());
  const std::vector<std::byte> bytes(load.size, std::byte{'T'});
  std::uint64_t sent = 0;
  while (Clock::now() < window.end) {
    auto done = co_await io::send_all(loop, socket->get(), bytes, loop.in(kPatience));
    if (!done) co_return result.failed(done.error());
    sent += bytes.size();
    if (window.holds(Clock::now())) result.bytes += bytes.size();
  }
  loop.shutdown_write(socket->get());
  std::uint64_t counted = 0;
  auto told = co_await receive_exactly(loop, socket->get(), std::as_writable_bytes(std::span(&counted, 1)));
  if (!told) co_return result.failed(told.error());
  if (counted != sent) result.failed(Error{Code::kMalformed, 0, "the server counted other bytes"});
}

io::Spawned ask(io::Scope&, io::Loop& loop, const Load& load, const Window& window, Result& result) {
  auto socket = co_await dial(loop, load.to);
  if (!socket) co_return result.failed(socket.error());
  const std::vector<std::byte> question(load.size, std::byte{'L'});
  std::vector<std::byte> answer(load.size);
  for (;;) {
    const auto before = Clock::now();
    if (before >= window.end) break;
    auto sent = co_await io::send_all(loop, socket->get(), question, loop.in(kPatience));
    if (!sent) co_return result.failed(sent.error());
    auto got = co_await receive_exactly(loop, socket->get(), answer);
    if (!got) co_return result.failed(got.error());
    const auto after = Clock::now();
    if (window.holds(before)) result.micros.push_back(static_cast<float>(seconds(after - before) * 1e6));
    if (load.rate > 0)
      co_await io::sleep_until(loop, std::min(next_start(load, before), window.end));
  }
}

io::Spawned knock(io::Scope&, io::Loop& loop, const Load& load, const Window& window, Result& result) {
  for (;;) {
    const auto before = Clock::now();
    if (before >= window.end) break;
    auto socket = co_await dial(loop, load.to);
    if (!socket) {
      result.failed(socket.error());
      co_await io::sleep_for(loop, std::chrono::milliseconds(1));
      continue;
    }
    std::byte byte{'C'};
    auto sent = co_await io::send_all(loop, socket->get(), {&byte, 1}, loop.in(kPatience));
    auto got = co_await receive_exactly(loop, socket->get(), {&byte, 1});
    if (!sent || !got) {
      result.failed(sent ? got.error() : sent.error());
      continue;
    }
    socket->close();
    if (window.holds(before)) result.micros.push_back(static_cast<float>(seconds(Clock::now() - before) * 1e6));
    if (load.rate > 0)
      co_await io::sleep_until(loop, std::min(next_start(load, before), window.end));
  }
}

io::Spawned hold(io::Scope&, io::Loop& loop, const Load& load, const Window& window, Result& result) {
  auto socket = co_await dial(loop, load.to);
  if (!socket) co_return result.failed(socket.error());
  for (const auto at : {window.start, window.end}) {
    std::byte byte{'L'};
    auto sent = co_await io::send_all(loop, socket->get(), {&byte, 1}, loop.in(kPatience));
    auto got = co_await receive_exactly(loop, socket->get(), {&byte, 1});
    if (!sent || !got) co_return result.failed(sent ? got.error() : sent.error());
    co_await io::sleep_until(loop, at);
  }
  ++result.bytes;  // connections that lived to the end
}

using Worker = io::Spawned (*)(io::Scope&, io::Loop&, const Load&, const Window&, Result&);
io::Task<Window> run(io::Loop& loop, const Load& load, Worker worker, Result& result) {
  Window window{loop.now() + load.warm_up, loop.now() + load.warm_up + load.time};
  io::Scope scope;
  watch(scope, loop, window);
  for (int i = 0; i < load.connections; ++i) worker(scope, loop, load, window, result);
  co_await scope.join();
  co_return window;
}

float percentile(std::vector<float>& sorted, double part) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(part * static_cast<double>(sorted.size())))];
}
std::string tail(const Result& result) {
  return fmt::format("\"errors\":{},\"error\":\"{}\"}}", result.errors, result.error);
}
std::string timings(const char* mode, const Load& load, const Window& window, Result& result) {
  std::sort(result.micros.begin(), result.micros.end());
  const double count = static_cast<double>(result.micros.size());
  return fmt::format(
             "{{\"mode\":\"{}\",\"connections\":{},\"size\":{},\"seconds\":{:.3f},\"count\":{},"
             "\"per_s\":{:.0f},\"p50_us\":{:.1f},"
             "\"p90_us\":{:.1f},\"p99_us\":{:.1f},\"p999_us\":{:.1f},\"max_us\":{:.1f},\"cpu_s\":{:"
             ".3f},\"cpu_us_each\":{:.2f},",
             mode, load.connections, load.size, seconds(load.time), result.micros.size(),
             count / seconds(load.time), percentile(result.micros, 0.5),
             percentile(result.micros, 0.9), percentile(result.micros, 0.99),
             percentile(result.micros, 0.999), percentile(result.micros, 1),
             window.busy_after - window.busy_before,
             count > 0 ? (window.busy_after - window.busy_before) * 1e6 / count : 0) +
         tail(result);
}

}  // namespace

io::Task<std::string> throughput(io::Loop& loop, Load load) {
  Result result;
  auto window = co_await run(loop, load, pour, result);
  const double cpu = window.busy_after - window.busy_before;
  const double bytes = static_cast<double>(result.bytes);
  co_return fmt::format(
      "{{\"mode\":\"throughput\",\"streams\":{},\"write\":{},\"seconds\":{:.3f},\"bytes\":{},\"gbit_s\":{:.3f},\"cpu_s\":{:.3f},"
      "\"cpu_s_per_gb\":{:.3f},",
      load.connections, load.size, seconds(load.time), result.bytes, bytes * 8e-9 / seconds(load.time), cpu,
      bytes > 0 ? cpu / (bytes * 1e-9) : 0) +
      tail(result);
}
io::Task<std::string> latency(io::Loop& loop, Load load) {
  Result result;
  auto window = co_await run(loop, load, ask, result);
  co_return timings("latency", load, window, result);
}
io::Task<std::string> connects(io::Loop& loop, Load load) {
  load.size = 1;
  Result result;
  auto window = co_await run(loop, load, knock, result);
  co_return timings("connect", load, window, result);
}
io::Task<std::string> idle(io::Loop& loop, Load load) {
  Result result;
  auto window = co_await run(loop, load, hold, result);
  (void)window;
  co_return fmt::format("{{\"mode\":\"idle\",\"connections\":{},\"lived\":{},", load.connections, result.bytes) + tail(result);
}

}  // namespace weft::bench
