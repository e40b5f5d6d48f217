// Tunnel over real socket pairs, on each real loop. The seeded twin is tests/sim/hbone.
#include "ztunnel/hbone/tunnel.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cerrno>

#include "tests/unit/ztunnel/hbone/tunnel_world.h"
#include "ztunnel/hbone/session.h"
#include "ztunnel/io/make_loop.h"

namespace weft::hbone {
namespace {

using namespace std::chrono_literals;

struct TunnelTest : testing::TestWithParam<const char*> {
  void SetUp() override {
    auto made = std::string_view(GetParam()) == "epoll" ? io::make_epoll_loop() : io::make_uring_loop();
    if (!made) GTEST_SKIP() << describe(made.error());
    loop = *std::move(made);
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    world = std::make_unique<World>(*loop, Fd(ends[0]), Fd(ends[1]));
  }
  void TearDown() override {
    if (world != nullptr) EXPECT_EQ(world->scope.live(), 0u);
  }
  void run(io::Task<> task) { io::run_until_done(*loop, std::move(task)); }

  std::unique_ptr<io::Loop> loop;
  std::unique_ptr<World> world;
};
INSTANTIATE_TEST_SUITE_P(On, TunnelTest, testing::Values("epoll", "uring"), [](const auto& info) { return std::string(info.param); });

ConnectRequest to(int what) { return {.authority = "10.0.0.1:" + std::to_string(what), .baggage = "k8s.pod.name=me"}; }

io::Task<> echoes(World& world) {
  EXPECT_TRUE(co_await connect(world)) << world.client_detail << world.server_detail;
  auto stream = co_await world.client->open(to(1), world.soon());
  EXPECT_TRUE(stream.has_value());
  if (!stream) co_return;
  EXPECT_EQ(stream->response_baggage(), "k8s.pod.name=app");
  EXPECT_EQ(world.last_baggage, "k8s.pod.name=me");
  EXPECT_EQ(world.client->peer(), tls::test_identity("server"));
  EXPECT_EQ(world.server->peer(), tls::test_identity("client"));
  auto sent = co_await stream->write(bytes_of("hello"), world.soon());
  EXPECT_TRUE(sent.has_value());
  stream->finish();
  auto text = co_await read_all(*stream, world.soon());
  EXPECT_TRUE(text.has_value());
  EXPECT_EQ(text.value_or(""), "hello");
  EXPECT_TRUE(stream->read_ended());
  EXPECT_TRUE(stream->write_ended());
  co_await leave(world);
}
TEST_P(TunnelTest, StreamsCarryBytesBothWays) { run(echoes(*world)); }

io::Spawned send_text(io::Scope&, World& world, Stream& stream, const std::string& text) {
  auto sent = co_await stream.write(bytes_of(text), world.soon());
  EXPECT_TRUE(sent.has_value());
  stream.finish();
}

io::Task<> big(World& world) {
  EXPECT_TRUE(co_await connect(world));
  std::string text(20'000'000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 + (i >> 10));
  {
    auto stream = co_await world.client->open(to(1), world.soon());
    io::Scope sending;
    send_text(sending, world, *stream, text);
    auto back = co_await read_all(*stream, world.soon());
    EXPECT_TRUE(back.has_value());
    EXPECT_TRUE(back.value_or("") == text);
    co_await sending.join();
  }
  co_await leave(world);
}
TEST_P(TunnelTest, TwentyMegabytesComeBackWhole) { run(big(*world)); }

io::Task<> refusals(World& world) {
  EXPECT_TRUE(co_await connect(world));
  const std::pair<int, Code> rows[] = {{400, Code::kMalformed}, {401, Code::kDenied}, {503, Code::kUnreachable}};
  for (const auto& [status, code] : rows) {
    auto stream = co_await world.client->open(to(status), world.soon());
    EXPECT_FALSE(stream.has_value());
    if (!stream) EXPECT_EQ(stream.error().code, code);
  }
  EXPECT_TRUE(world.client->has_room()) << "a refusal leaves the tunnel alone";
  co_await leave(world);
}
TEST_P(TunnelTest, StatusesBecomeErrors) { run(refusals(*world)); }

io::Task<> app_reset(World& world) {
  EXPECT_TRUE(co_await connect(world));
  auto stream = co_await world.client->open(to(2), world.soon());
  auto sent = co_await stream->write(bytes_of("x"), world.soon());
  EXPECT_TRUE(sent.has_value());
  auto got = co_await stream->read(world.soon());
  EXPECT_FALSE(got.has_value());
  if (!got) EXPECT_EQ(got.error().os, ECONNRESET);
  auto more = co_await stream->write(bytes_of("y"), world.soon());
  EXPECT_FALSE(more.has_value());
  co_await leave(world);
}
TEST_P(TunnelTest, AnApplicationsResetArrivesAsReset) { run(app_reset(*world)); }

io::Task<> own_reset(World& world) {
  EXPECT_TRUE(co_await connect(world));
  auto stream = co_await world.client->open(to(1), world.soon());
  auto sent = co_await stream->write(bytes_of("x"), world.soon());
  EXPECT_TRUE(sent.has_value());
  auto got = co_await stream->read(world.soon());
  EXPECT_TRUE(got.has_value());
  stream->reset();
  got->done();
  co_await leave(world);
  EXPECT_FALSE(world.last_end.has_value());
  if (!world.last_end) EXPECT_EQ(world.last_end.error().os, ECONNRESET);
}
TEST_P(TunnelTest, ResetReachesThePeer) { run(own_reset(*world)); }

io::Task<> dropped(World& world) {
  EXPECT_TRUE(co_await connect(world));
  {
    auto stream = co_await world.client->open(to(5), world.soon());
    EXPECT_TRUE(stream.has_value());
    auto got = co_await stream->read(world.soon());
    EXPECT_EQ(got->size(), 5u);
  }
  co_await leave(world);
  EXPECT_TRUE(world.last_end.has_value()) << "CANCEL is an end, not a reset";
}
TEST_P(TunnelTest, ADroppedStreamEndsThePeersReading) { run(dropped(*world)); }

io::Task<> silence(World& world) {
  EXPECT_TRUE(co_await connect(world));
  auto stream = co_await world.client->open(to(3), world.loop.in(50ms));
  EXPECT_FALSE(stream.has_value());
  if (!stream) EXPECT_EQ(stream.error().code, Code::kTimedOut);
  world.client->close("test");
  co_await leave(world);
}
TEST_P(TunnelTest, AnswerToConnectHasADeadline) { run(silence(*world)); }

io::Task<> pressed(World& world) {
  EXPECT_TRUE(co_await connect(world));
  auto stream = co_await world.client->open(to(4), world.soon());
  const std::string text(kStreamWindow + 1, 'x');
  auto sent = co_await stream->write(bytes_of(text), world.loop.in(150ms));
  EXPECT_FALSE(sent.has_value()) << "nobody reads";
  if (!sent) EXPECT_EQ(sent.error().code, Code::kTimedOut);
  auto other = co_await world.client->open(to(1), world.soon());
  EXPECT_TRUE(other.has_value()) << "other streams are not held up";
  *stream = Stream();
  *other = Stream();
  co_await leave(world);
}
TEST_P(TunnelTest, AReaderThatDoesNotReadHoldsTheWriter) { run(pressed(*world)); }

io::Task<> mismatch(World& world) {
  world.expected = {tls::test_identity("other")};
  EXPECT_FALSE(co_await connect(world));
  EXPECT_EQ(world.client_result.error().code, Code::kIdentityMismatch);
  EXPECT_NE(world.client_detail.find("sa/server"), std::string::npos) << world.client_detail;
  co_await leave(world);
  EXPECT_FALSE(world.server_result.has_value());
}
TEST_P(TunnelTest, DialFailsWhenThePeerIsSomebodyElse) { run(mismatch(*world)); }

io::Task<> other_domain(World& world) {
  world.client_credentials = World::ca().credentials(mesh::Identity{"elsewhere", "n", "s"});
  EXPECT_FALSE(co_await connect(world));
  EXPECT_EQ(world.client_result.error().code, Code::kUnsupported) << world.client_detail;  // handshake_failure alert
  co_await leave(world);
  EXPECT_EQ(world.server_result.error().code, Code::kIdentityMismatch);
  EXPECT_NE(world.server_detail.find("spiffe://elsewhere/"), std::string::npos) << world.server_detail;
}
TEST_P(TunnelTest, AServersRefusalReachesDial) { run(other_domain(*world)); }

io::Task<> black_hole(World& world) {
  auto dialed = co_await ClientTunnel::dial(world.scope, world.loop, std::move(world.client_end), world.client_credentials, world.expected,
                                            world.loop.in(50ms));
  EXPECT_FALSE(dialed.has_value());
  if (!dialed) EXPECT_EQ(dialed.error().code, Code::kTimedOut);
  world.loop.close(std::move(world.server_end));
  co_await leave(world);
}
TEST_P(TunnelTest, HandshakeHasADeadline) { run(black_hole(*world)); }

io::Task<> drains(World& world) {
  EXPECT_TRUE(co_await connect(world));
  auto stream = co_await world.client->open(to(1), world.soon());
  world.server->drain();
  auto sent = co_await stream->write(bytes_of("x"), world.soon());
  EXPECT_TRUE(sent.has_value());
  auto got = co_await stream->read(world.soon());
  EXPECT_EQ(got->size(), 1u);
  got->done();
  co_await io::sleep_for(world.loop, 1ms);
  EXPECT_FALSE(world.client->has_room());
  auto refused = co_await world.client->open(to(1), world.soon());
  EXPECT_FALSE(refused.has_value());
  if (!refused) EXPECT_EQ(refused.error().code, Code::kDraining);
  stream->finish();
  auto rest = co_await read_all(*stream, world.soon());
  EXPECT_TRUE(rest.has_value()) << "what was in flight goes on to its end";
  co_await world.scope.join();
  EXPECT_FALSE(world.client->alive());
  EXPECT_FALSE(world.server->alive());
  co_await leave(world);
}
TEST_P(TunnelTest, DrainLetsStreamsFinishAndTakesNoNewOnes) { run(drains(*world)); }

io::Task<> handle_first(World& world) {
  EXPECT_TRUE(co_await connect(world));
  auto stream = co_await world.client->open(to(1), world.soon());
  world.client.reset();
  auto sent = co_await stream->write(bytes_of("still"), world.soon());
  EXPECT_TRUE(sent.has_value());
  stream->finish();
  auto text = co_await read_all(*stream, world.soon());
  EXPECT_EQ(text.value_or(""), "still");
  *stream = Stream();
  co_await world.scope.join();  // ends by itself
  co_await leave(world);
}
TEST_P(TunnelTest, StreamsOutliveTheTunnelsHandle) { run(handle_first(*world)); }

io::Task<> broken(World& world) {
  EXPECT_TRUE(co_await connect(world));
  auto stream = co_await world.client->open(to(1), world.soon());
  world.server->close("test");
  auto got = co_await stream->read(world.soon());
  EXPECT_FALSE(got.has_value()) << "a tunnel that breaks is not an end of file";
  if (!got) EXPECT_EQ(got.error().os, ECONNRESET);
  auto sent = co_await stream->write(bytes_of("x"), world.soon());
  EXPECT_FALSE(sent.has_value());
  EXPECT_FALSE(world.client->alive());
  EXPECT_FALSE(world.client->end_reason().empty());
  co_await leave(world);
}
TEST_P(TunnelTest, ABrokenTunnelResetsItsStreams) { run(broken(*world)); }

io::Task<> full(World& world) {
  EXPECT_TRUE(co_await connect(world));
  std::vector<Stream> streams;
  for (std::size_t i = 0; i < 100; ++i) {
    auto stream = co_await world.client->open(to(1), world.soon());
    EXPECT_TRUE(stream.has_value());
    if (stream) streams.push_back(*std::move(stream));
  }
  EXPECT_EQ(world.client->streams(), 100u);
  EXPECT_FALSE(world.client->has_room());
  auto more = co_await world.client->open(to(1), world.soon());
  EXPECT_FALSE(more.has_value());
  if (!more) EXPECT_EQ(more.error().code, Code::kExhausted);
  streams.clear();
  EXPECT_EQ(world.incoming, 100u);
  co_await leave(world);
}
TEST_P(TunnelTest, HundredStreamsAreFull) { run(full(*world)); }

io::Task<> idle_streams(World& world, std::size_t& each) {
  EXPECT_TRUE(co_await connect(world));
  std::vector<Stream> streams(91);
  auto first = co_await world.client->open(to(1), world.soon());
  streams.back() = *std::move(first);
  const std::size_t before = mallinfo2().uordblks;
  for (std::size_t i = 0; i < 90; ++i) {
    auto stream = co_await world.client->open(to(1), world.soon());
    streams[i] = *std::move(stream);
  }
  co_await io::sleep_for(world.loop, 5ms);
  each = (mallinfo2().uordblks - before) / 90;
  streams.clear();
  co_await leave(world);
}
// Both ends and, unoptimised, the played application's coroutines; the budget of DESIGN §10 is 1.5 KB for one end.
TEST_P(TunnelTest, AnIdleStreamIsSmall) {
  std::size_t each = 0;
  run(idle_streams(*world, each));
  if (each == 0) GTEST_SKIP() << "this allocator does not count";
  RecordProperty("bytes", static_cast<int>(each));
  EXPECT_LT(each, 3600u);
}

}  // namespace
}  // namespace weft::hbone
