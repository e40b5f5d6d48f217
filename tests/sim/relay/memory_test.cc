// What a relay costs while nothing flows. Frames come from operator new; here it counts.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/sim/relay/relay_world.h"

namespace {
std::size_t allocated = 0;
}
void* operator new(std::size_t size) {
  allocated += size;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace weft::proxy {
namespace {

io::Task<void> measure(RelayWorld& world, std::size_t count, std::size_t& bytes) {
  for (std::size_t i = 0; i < count; ++i) world.add();
  co_await io::sleep_for(world.loop, 1s);
  io::Scope scope;
  const std::size_t before = allocated;
  for (Connection& connection : world.connections) carry_plain(scope, world, connection);
  co_await io::sleep_for(world.loop, 1s);
  bytes = (allocated - before) / count;
  for (Connection& connection : world.connections) connection.stop.set();
  co_await scope.join();
}
TEST(RelayMemory, AnIdleRelayCostsLessThan1500Bytes) {
  RelayWorld world({});
  std::size_t bytes = 0;
  io::run_until_done(world.loop, measure(world, 200, bytes));
  RecordProperty("bytes_per_relay", static_cast<int>(bytes));
  std::printf("%zu bytes an idle relay, its caller's frame included\n", bytes);
  EXPECT_LE(bytes, 1500u);  // 824 when optimised
}

}  // namespace
}  // namespace weft::proxy
