// The parts of weft-bench. The first byte of a connection says what the server does with it:
//   'T' counts bytes until the end, answers with the count (8 bytes, host order)    'L' and 'C' send back whatever comes
#pragma once

#include <cstdint>
#include <string>

#include "base/net.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/task.h"

namespace weft::bench {

struct Load {
  SocketAddress to;
  int connections = 1;
  std::size_t size = 64 * 1024;  // of a write, or of a request
  double rate =
      0;  // requests or connections a second, all together; 0: as fast as they are answered
  Clock::duration warm_up = std::chrono::milliseconds(500);
  Clock::duration time = std::chrono::seconds(5);
};

// Seconds that the machine's CPUs were busy since boot, all of them together.
double busy_seconds();

Fd listen_on(const SocketAddress& address);

io::Task<void> serve(io::Loop& loop, int listener);
io::Task<void> relay_all(io::Loop& loop, int listener, SocketAddress to);

// Each returns the JSON of its findings, or of {"error": …}.
io::Task<std::string> throughput(io::Loop& loop, Load load);
io::Task<std::string> latency(io::Loop& loop, Load load);
io::Task<std::string> connects(io::Loop& loop, Load load);
io::Task<std::string> idle(io::Loop& loop, Load load);

}  // namespace weft::bench
