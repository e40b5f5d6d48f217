// hbone-bench: what one tunnel costs, without proxy and application around it. Prints JSON.
//   hbone-bench [epoll|uring] [seconds] [bytes per write…]     with sizes: throughput only
//   hbone-bench idle [epoll|uring] [tunnels]                   memory of idle ones
// Client and server run on a thread each, over TCP on the loopback device; CPU is of both.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "tests/tools/hbone_bench/idle.h"
#include "tests/unit/ztunnel/hbone/tunnel_world.h"
#include "ztunnel/io/make_loop.h"

namespace weft::hbone {
namespace {

struct Plan {
  io::LoopKind kind;
  Clock::duration length;
  std::vector<std::size_t> writes = {};
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

io::Spawned sink_or_echo(io::Scope&, IncomingStream incoming) {
  const bool echo = Authority::parse(incoming.request().authority)->port == 1;
  Stream stream = incoming.accept();
  for (;;) {
    auto got = co_await stream.read(Deadline::never());
    if (!got || got->empty()) break;
    if (!echo) continue;
    const iovec& piece = got->pieces().front();
    auto sent = co_await stream.write(
        {static_cast<const std::byte*>(piece.iov_base), piece.iov_len}, Deadline::never());
    if (!sent) break;
  }
  stream.finish();
}

io::Task<> serve_bench(io::Loop& loop, Fd fd) {
  io::Scope scope;
  auto tunnel = co_await ServerTunnel::accept(scope, loop, std::move(fd),
                                              World::credentials("server"), Deadline::never());
  WEFT_ASSERT(tunnel.has_value());
  for (;;) {
    auto next = co_await (*tunnel)->next_stream();
    if (!next) break;
    sink_or_echo(scope, *std::move(next));
  }
  co_await scope.join();
}

io::Task<> throughput(io::Loop& loop, ClientTunnel& tunnel, const Plan& plan, std::size_t chunk) {
  auto stream = co_await tunnel.open({.authority = "a:2"}, Deadline::never());
  const std::string text(chunk, 'x');
  const Clock::time_point begin = Clock::now();
  const double cpu = cpu_seconds();
  double bytes = 0;
  while (Clock::now() - begin < plan.length) {
    auto sent = co_await stream->write(bytes_of(text), Deadline::never());
    WEFT_ASSERT(sent.has_value());
    bytes += static_cast<double>(chunk);
  }
  stream->finish();
  auto end = co_await stream->read(Deadline::never());
  WEFT_ASSERT(end.has_value());
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("  \"write_%zu\": {\"gbit_s\": %.2f, \"cpu_s_per_gb\": %.3f},\n", chunk,
              bytes * 8e-9 / took, (cpu_seconds() - cpu) / (bytes * 1e-9));
}

io::Task<> round_trips(io::Loop& loop, ClientTunnel& tunnel, const Plan& plan) {
  auto stream = co_await tunnel.open({.authority = "a:1"}, Deadline::never());
  const std::string text(64, 'x');
  const Clock::time_point begin = Clock::now();
  const double cpu = cpu_seconds();
  double count = 0;
  for (; Clock::now() - begin < plan.length; ++count) {
    auto sent = co_await stream->write(bytes_of(text), Deadline::never());
    auto got = co_await stream->read(Deadline::never());
    WEFT_ASSERT(sent.has_value());
    WEFT_ASSERT(got.has_value());
  }
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("  \"round_trip_64\": {\"us\": %.1f, \"cpu_us\": %.1f},\n", took * 1e6 / count,
              (cpu_seconds() - cpu) * 1e6 / count);
}

io::Task<> opens(io::Loop& loop, ClientTunnel& tunnel, const Plan& plan) {
  const Clock::time_point begin = Clock::now();
  const double cpu = cpu_seconds();
  double count = 0;
  for (; Clock::now() - begin < plan.length; ++count) {
    auto stream = co_await tunnel.open(
        {.authority = "10.0.0.1:1",
         .baggage = "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.pod.name=web,"
                    "service.name=web",
         .forwarded = "for=\"10.244.1.7:40000\"",
         .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
        Deadline::never());
    WEFT_ASSERT(stream.has_value());
    stream->finish();
    auto end = co_await stream->read(Deadline::never());
    WEFT_ASSERT(end.has_value());
  }
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("  \"open_close\": {\"per_s\": %.0f, \"cpu_us\": %.1f}\n", count / took,
              (cpu_seconds() - cpu) * 1e6 / count);
}

io::Task<> client_bench(io::Loop& loop, Fd fd, const Plan& plan) {
  io::Scope scope;
  auto tunnel =
      co_await ClientTunnel::dial(scope, loop, std::move(fd), World::credentials("client"),
                                  {tls::test_identity("server")}, Deadline::never());
  WEFT_ASSERT(tunnel.has_value());
  std::printf("{\n  \"loop\": \"%s\",\n", loop.name());
  const std::vector<std::size_t> usual = {64 * 1024, 4 * 16375, 1024};
  for (const std::size_t bytes : plan.writes.empty() ? usual : plan.writes)
    co_await throughput(loop, **tunnel, plan, bytes);
  if (plan.writes.empty()) {
    co_await round_trips(loop, **tunnel, plan);
    co_await opens(loop, **tunnel, plan);
  }
  std::printf("}\n");
  tunnel->reset();
  co_await scope.join();
}

}  // namespace
}  // namespace weft::hbone

int main(int argc, char** argv) {
  using namespace weft;
  if (argc > 1 && std::strcmp(argv[1], "idle") == 0) {
    const auto kind = io::parse_loop_kind(argc > 2 ? argv[2] : "auto");
    return hbone::print_idle(kind.value_or(io::LoopKind::kAuto),
                             argc > 3 ? std::atoi(argv[3]) : 256);
  }
  hbone::Plan plan{io::parse_loop_kind(argc > 1 ? argv[1] : "auto").value_or(io::LoopKind::kAuto),
                   std::chrono::seconds(argc > 2 ? std::atoi(argv[2]) : 2)};
  for (int i = 3; i < argc; ++i)
    plan.writes.push_back(static_cast<std::size_t>(std::atoi(argv[i])));
  auto ends = hbone::tcp_pair();
  hbone::World::credentials("warm");
  std::thread server([fd = std::move(ends.second), &plan]() mutable {
    auto loop = io::make_loop(plan.kind);
    io::run_until_done(**loop, hbone::serve_bench(**loop, std::move(fd)));
  });
  auto loop = io::make_loop(plan.kind);
  io::run_until_done(**loop, hbone::client_bench(**loop, std::move(ends.first), plan));
  server.join();
  return 0;
}
