// weft-bench: see README.md.
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/bench/bench.h"
#include "ztunnel/io/make_loop.h"
#include "ztunnel/io/run.h"

namespace {

using namespace weft;

struct Options {
  std::string to, listen, io = "epoll";
  int connections = 1;
  io::LoopOptions loop;
  std::size_t size = 0;
  double seconds = 5, warm_up = 0.5, rate = 0;
};

std::optional<SocketAddress> address(const std::string& text) {
  auto parsed = SocketAddress::parse(text);
  if (!parsed) std::fprintf(stderr, "weft-bench: not an address and port: %s\n", text.c_str());
  return parsed;
}

Clock::duration duration(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

int run(const std::string& mode, const Options& options) {
  const auto kind = io::parse_loop_kind(options.io);
  if (!kind) return 64;
  auto loop = io::make_loop(*kind, options.loop);
  if (!loop) return std::fprintf(stderr, "weft-bench: %s\n", describe(loop.error()).c_str()), 1;
  const bool listens = mode == "serve" || mode == "relay";
  const auto to = mode == "serve" ? SocketAddress{} : address(options.to);
  if (!to) return 64;
  if (listens) {
    const auto at = address(options.listen);
    if (!at) return 64;
    const Fd listener = bench::listen_on(*at);
    if (!listener) return 1;
    io::run_until_done(**loop, mode == "serve" ? bench::serve(**loop, listener.get()) : bench::relay_all(**loop, listener.get(), *to));
    return 0;
  }
  bench::Load load{.to = *to, .connections = options.connections, .warm_up = duration(options.warm_up), .time = duration(options.seconds)};
  load.size = options.size != 0 ? options.size : mode == "latency" ? 64 : 64 * 1024;
  load.rate = options.rate;
  auto task = mode == "throughput" ? bench::throughput(**loop, load)
              : mode == "latency"  ? bench::latency(**loop, load)
              : mode == "connect"  ? bench::connects(**loop, load)
                                   : bench::idle(**loop, load);
  std::puts(io::run_until_done(**loop, std::move(task)).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  CLI::App app("load and measurements for meshes");
  app.require_subcommand(1);
  Options options;
  for (const char* mode : {"serve", "throughput", "latency", "connect", "idle", "relay"}) {
    CLI::App* sub = app.add_subcommand(mode);
    sub->add_option("--to", options.to, "address:port");
    sub->add_option("--listen", options.listen, "address:port");
    sub->add_option("--streams,--connections,--concurrency", options.connections);
    sub->add_option("--write,--size", options.size, "bytes");
    sub->add_option("--seconds", options.seconds);
    sub->add_option("--rate", options.rate,
                    "requests or connections a second; 0: as fast as they are answered");
    sub->add_option("--warm-up", options.warm_up, "seconds");
    sub->add_option("--buffers", options.loop.buffers, "of the loop, a power of two");
    sub->add_option("--buffer-size", options.loop.buffer_size, "bytes");
    sub->add_option("--io", options.io, "uring, epoll or auto");
  }
  CLI11_PARSE(app, argc, argv);
  return run(app.get_subcommands().front()->get_name(), options);
}
