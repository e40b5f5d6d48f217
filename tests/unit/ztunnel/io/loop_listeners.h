// Of the suite that every Loop passes (loop_suite.h). Accepting and connecting.
#pragma once

#include "tests/unit/ztunnel/io/loop_fixture.h"

namespace weft::io {

inline Spawned serve_one(Scope&, Loop& loop, int listener, std::string& heard) {
  auto accepted = co_await accept(loop, listener, loop.in(5s));
  EXPECT_TRUE(accepted.has_value());
  if (!accepted) co_return;
  Socket socket(loop, std::move(*accepted));
  auto got = co_await read_exactly(loop, socket.get(), 4);
  heard = got.value_or("?");
  auto sent = co_await send_all(loop, socket.get(), as_bytes("pong"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
}
inline Task<void> call(Loop& loop, int listener, SocketAddress address, Fd fd) {
  Scope scope;
  std::string heard;
  serve_one(scope, loop, listener, heard);
  Socket socket(loop, std::move(fd));
  auto connected = co_await connect(loop, socket.get(), address, loop.in(5s));
  EXPECT_TRUE(connected.has_value());
  auto sent = co_await send_all(loop, socket.get(), as_bytes("ping"), loop.in(5s));
  EXPECT_TRUE(sent.has_value());
  auto got = co_await read_exactly(loop, socket.get(), 4);
  EXPECT_EQ(got.value_or("?"), "pong");
  co_await scope.join();
  EXPECT_EQ(heard, "ping");
}
TYPED_TEST_P(LoopSuite, ConnectReachesAccept) {
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  run_until_done(this->net_.loop(),
                 call(this->net_.loop(), listener.get(), address, this->net_.socket()));
  this->net_.loop().close(std::move(listener));
}

inline Task<void> refused(Loop& loop, SocketAddress address, Fd fd) {
  Socket socket(loop, std::move(fd));
  auto connected = co_await connect(loop, socket.get(), address, loop.in(5s));
  EXPECT_FALSE(connected.has_value());
  if (!connected) {
    EXPECT_EQ(connected.error().code, Code::kUnreachable);
    EXPECT_EQ(connected.error().os, ECONNREFUSED);
  }
}
TYPED_TEST_P(LoopSuite, ARefusedConnectIsUnreachable) {
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  this->net_.loop().close(std::move(listener));
  run_until_done(this->net_.loop(), refused(this->net_.loop(), address, this->net_.socket()));
}

inline Spawned accept_forever(Scope&, Loop& loop, int listener, Error& end) {
  for (;;) {
    auto accepted = co_await accept(loop, listener);
    if (!accepted) {
      end = accepted.error();
      co_return;
    }
    loop.close(std::move(*accepted));
  }
}
inline Task<void> close_listener(Loop& loop, Fd listener) {
  Scope scope;
  Error end{Code::kSystem};
  accept_forever(scope, loop, listener.get(), end);
  co_await sleep_for(loop, 2ms);
  loop.close(std::move(listener));
  co_await scope.join();
  EXPECT_TRUE(is_cancelled(end));
}
TYPED_TEST_P(LoopSuite, ClosingAListenerEndsItsAccept) {
  SocketAddress address;
  Fd listener = this->net_.listen(address);
  run_until_done(this->net_.loop(), close_listener(this->net_.loop(), std::move(listener)));
}

}  // namespace weft::io
