// What every test of a Loop stands on. A Net gives a loop and sockets on it:
//   struct Net { bool ready(); std::string why(); Loop& loop(); std::pair<Fd, Fd> pair(); Fd
//   listen(SocketAddress&); Fd socket(); };
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ztunnel/io/event.h"
#include "ztunnel/io/ops.h"
#include "ztunnel/io/run.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/socket.h"

namespace weft::io {

using namespace std::chrono_literals;

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
// Byte `at` of a stream that repeats late and badly.
inline std::byte pattern(std::size_t at) {
  return static_cast<std::byte>((at * 2654435761u) >> 13);
}

// Everything until the end of the stream.
inline Task<Result<std::string>> read_all(Loop& loop, int fd) {
  std::string all;
  for (;;) {
    auto got = co_await recv_buffer(loop, fd, loop.in(60s));
    if (!got) co_return std::unexpected(got.error());
    if (got->empty()) co_return all;
    all += as_text(got->bytes());
  }
}
inline Task<Result<std::string>> read_exactly(Loop& loop, int fd, std::size_t count) {
  std::string all(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    auto room = std::as_writable_bytes(std::span(all)).subspan(have);
    auto got = co_await recv_some(loop, fd, room, loop.in(60s));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Code::kClosed, "early end");
    have += *got;
  }
  co_return all;
}

template <class Net>
class LoopSuite : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!net_.ready()) GTEST_SKIP() << net_.why();
  }
  Net net_;
};
TYPED_TEST_SUITE_P(LoopSuite);

}  // namespace weft::io
