// Session against itself and against bytes written by hand. Golden bytes are those of RFC 9113 §4 and RFC 7541.
#include "ztunnel/hbone/session.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ztunnel/hbone/granted.h"

namespace weft::hbone {
namespace {

std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) {
    out += "0123456789abcdef"[c >> 4];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

// A frame as its header says, for assertions.
std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  std::string out;
  for (int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  return out.append(payload);
}
std::string number(std::uint32_t value) {
  std::string out;
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift);
  return out;
}
std::string setting(std::uint16_t id, std::uint32_t value) { return std::string{static_cast<char>(id >> 8), static_cast<char>(id)} + number(value); }

struct Wire : Session::Sink {
  bool put(std::span<const std::byte> head, std::span<const std::byte> payload) override {
    text += text_of(head);
    text += text_of(payload);
    return text.size() < limit;
  }
  std::string text;
  std::size_t limit = 1u << 30;
};

struct SeenStream {
  StreamId id = 0;
  Outbox outbox;
  ConnectRequest request;
  ConnectResponse response;
  std::string data;
  bool ended = false, closed = false;
  H2Code code = H2Code::kNoError;
};

// One end: a session and everything it told.
struct End : Session::Listener {
  explicit End(Session::Role role) : session(role, *this) {}

  void on_settings() override { settings = true; }
  void* on_request(StreamId id, ConnectRequest&& request, bool) override {
    if (refuse_all) return nullptr;
    SeenStream& stream = streams[id];
    stream.id = id;
    stream.request = std::move(request);
    stream.outbox.cookie = &stream;
    return &stream;
  }
  void on_response(void* cookie, ConnectResponse&& response) override { of(cookie).response = std::move(response); }
  void on_data(void* cookie, std::span<const std::byte> data) override {
    of(cookie).data += text_of(data);
    session.consume_connection(data.size());
    if (consume) session.consume_stream(of(cookie).id, data.size());
  }
  void on_end(void* cookie) override { of(cookie).ended = true; }
  void on_sent(void*) override { ++sent; }
  void on_close(void* cookie, H2Code code) override {
    of(cookie).closed = true;
    of(cookie).code = code;
  }
  void on_ping_ack() override { ++ping_acks; }
  void on_goaway(StreamId last, H2Code) override { goaway_last = last; }

  static SeenStream& of(void* cookie) { return *static_cast<SeenStream*>(cookie); }
  std::string take() {
    Wire wire;
    EXPECT_TRUE(session.send(wire).has_value());
    return wire.text;
  }
  Result<void> give(std::string_view bytes) { return session.receive(bytes_of(bytes)); }
  SeenStream& open(const ConnectRequest& request) {
    auto stream = std::make_unique<SeenStream>();
    stream->outbox.cookie = stream.get();
    const Result<StreamId> id = session.request(request, stream->outbox);
    EXPECT_TRUE(id.has_value());
    stream->id = *id;
    opened.push_back(std::move(stream));
    return *opened.back();
  }

  Session session;
  std::map<StreamId, SeenStream> streams;
  std::vector<std::unique_ptr<SeenStream>> opened;
  bool settings = false, consume = true, refuse_all = false;
  int sent = 0, ping_acks = 0;
  StreamId goaway_last = -1;
};

struct SessionTest : testing::Test {
  // Until nothing moves.
  void exchange() {
    for (int turn = 0; turn < 20; ++turn) {
      const std::string up = client.take(), down = server.take();
      if (up.empty() && down.empty()) return;
      ASSERT_TRUE(server.give(up).has_value());
      ASSERT_TRUE(client.give(down).has_value());
    }
  }
  SeenStream& server_stream(const SeenStream& stream) { return server.streams.at(stream.id); }
  SeenStream& accept(const ConnectRequest& request, const std::string& baggage = {}) {
    SeenStream& stream = client.open(request);
    exchange();
    EXPECT_TRUE(server.session.respond(stream.id, {200, baggage}, server_stream(stream).outbox).has_value());
    exchange();
    return stream;
  }
  End client{Session::Role::kClient}, server{Session::Role::kServer};
};

TEST_F(SessionTest, ClientPrefaceIsGolden) {
  EXPECT_EQ(hex(client.take()), hex("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
                                    frame(4, 0, 0, setting(2, 0) + setting(4, 4194304) + setting(5, 1048576) + setting(6, 16384)) +
                                    frame(8, 0, 0, number(16777216 - 65535))));
}

TEST_F(SessionTest, ServerPrefaceIsGolden) {
  EXPECT_EQ(hex(server.take()), hex(frame(4, 0, 0, setting(3, 200) + setting(4, 4194304) + setting(5, 1048576) + setting(6, 65536)) +
                                    frame(8, 0, 0, number(16777216 - 65535))));
}

TEST_F(SessionTest, TheAnswerToSettingsIsGolden) {
  const std::string up = client.take(), down = server.take();
  ASSERT_TRUE(server.give(up).has_value());
  ASSERT_TRUE(client.give(down).has_value());
  EXPECT_EQ(hex(server.take()), "000000" "04" "01" "00000000");  // ACK
  EXPECT_EQ(hex(client.take()), "000000" "04" "01" "00000000");
}

TEST_F(SessionTest, ConnectHeadIsGolden) {
  client.take();
  client.open({.authority = "a:1", .baggage = "k=v", .forwarded = "f", .traceparent = "t", .forwarded_network = "n"});
  EXPECT_EQ(hex(client.take()),
            "0000420104"  // 66 bytes, HEADERS, END_HEADERS and no END_STREAM
            "00000001"
            "4207" + hex("CONNECT") +              // :method, static name 2, into the table
            "4103" + hex("a:1") +                  // :authority, static name 1
            "40858c734c398b03" + hex("k=v") +      // baggage
            "108794f6781d92164f01" + hex("f") +    // forwarded, never indexed: new with every connection
            "10884d83216b1d85a93f01" + hex("t") +  // traceparent, never indexed
            "408ef2b4a7b3c0ec90b22d5153e0f67501" + hex("n"));
}

TEST_F(SessionTest, ConnectHeadLeavesOutWhatIsEmpty) {
  client.take();
  client.open({.authority = "a:1"});
  EXPECT_EQ(hex(client.take()), "00000e0104000000014207" + hex("CONNECT") + "4103" + hex("a:1"));
}

TEST_F(SessionTest, OkIsGolden) {
  SeenStream& stream = client.open({.authority = "a:1"});
  exchange();
  ASSERT_TRUE(server.session.respond(stream.id, {200, "k=v"}, server_stream(stream).outbox).has_value());
  EXPECT_EQ(hex(server.take()), "00000c01040000000188"  // :status 200 is static 8
                                "40858c734c398b03" + hex("k=v"));
}

TEST_F(SessionTest, RefusalsAreGolden) {
  const std::map<int, std::string> heads = {
      {400, "0000010105000000018c"},                        // END_HEADERS and END_STREAM; static 12
      {401, "0000040105000000014882" "6801"},               // :status, static name 8; "401" is shorter in Huffman
      {503, "0000050105000000014803" + hex("503")},         // "503" is not
  };
  for (const auto& [status, head] : heads) {
    End asker{Session::Role::kClient}, refuser{Session::Role::kServer};
    SeenStream& stream = asker.open({.authority = "a:1"});
    ASSERT_TRUE(refuser.give(asker.take()).has_value());
    refuser.take();
    refuser.session.refuse(stream.id, status);
    const std::string answer = refuser.take();
    EXPECT_EQ(hex(answer), head + hex(frame(3, 0, 1, number(0)))) << status;  // then RST_STREAM(NO_ERROR)
    ASSERT_TRUE(asker.give(frame(4, 0, 0, "") + answer).has_value());
    EXPECT_EQ(stream.response.status, status);
    EXPECT_TRUE(stream.ended);
    EXPECT_TRUE(stream.closed);
    EXPECT_EQ(stream.code, H2Code::kNoError);
  }
}

TEST_F(SessionTest, HeadsArriveWhole) {
  const ConnectRequest request{"10.0.0.1:80", "k8s.pod.name=x", "for=\"1.2.3.4:5\";host=h", "00-1-2-00", "net2"};
  SeenStream& stream = accept(request, "k8s.pod.name=y");
  const ConnectRequest& got = server_stream(stream).request;
  EXPECT_EQ(got.authority, request.authority);
  EXPECT_EQ(got.baggage, request.baggage);
  EXPECT_EQ(got.forwarded, request.forwarded);
  EXPECT_EQ(got.traceparent, request.traceparent);
  EXPECT_EQ(got.forwarded_network, request.forwarded_network);
  EXPECT_EQ(stream.response.status, 200);
  EXPECT_EQ(stream.response.baggage, "k8s.pod.name=y");
}

TEST_F(SessionTest, OtherMethodsGet400) {
  exchange();
  // GET https a:1 / by static table entries and a literal authority.
  ASSERT_TRUE(server.give(frame(1, 4, 1, "\x82\x87\x84\x41\x03" "a:1")).has_value());
  EXPECT_TRUE(hex(server.take()).starts_with("0000010105000000018c"));
  EXPECT_TRUE(server.streams.empty());
}

TEST_F(SessionTest, ConnectWithAPathIsAStreamError) {
  exchange();
  ASSERT_TRUE(server.give(frame(1, 4, 1, std::string("\x42\x07" "CONNECT\x84\x41\x03" "a:1"))).has_value());
  EXPECT_EQ(hex(server.take()), hex(frame(3, 0, 1, number(1))));
  EXPECT_TRUE(server.streams.empty());
}

TEST_F(SessionTest, EndlessHeadersEndTheStream) {
  exchange();
  std::string head = std::string("\x42\x07" "CONNECT\x41\x03" "a:1");
  for (int i = 0; i < 17; ++i) head += std::string("\x00\x01x\x7f\xa1\x1e", 6) + std::string(4000, 'v');  // 4000 = 127 + 33 + 30·128
  std::string first = frame(1, 0, 1, head.substr(0, 16000));
  for (std::size_t at = 16000; at < head.size(); at += 16000) {
    first += frame(9, at + 16000 >= head.size() ? 4 : 0, 1, head.substr(at, 16000));
  }
  ASSERT_TRUE(server.give(first).has_value());
  EXPECT_EQ(hex(server.take()), hex(frame(3, 0, 1, number(2))));
  EXPECT_TRUE(server.streams.empty());
}

TEST_F(SessionTest, PingIsAnsweredAndAsked) {
  exchange();
  ASSERT_TRUE(server.give(frame(6, 0, 0, "abcdefgh")).has_value());
  EXPECT_EQ(hex(server.take()), hex(frame(6, 1, 0, "abcdefgh")));
  client.session.ping();
  const std::string ping = client.take();
  EXPECT_EQ(hex(ping), hex(frame(6, 0, 0, std::string(8, '\0'))));
  ASSERT_TRUE(server.give(ping).has_value());
  ASSERT_TRUE(client.give(server.take()).has_value());
  EXPECT_EQ(client.ping_acks, 1);
}

TEST_F(SessionTest, GracefulGoawaySaysMaxThenTheRealLast) {
  SeenStream& stream = accept({.authority = "a:1"});
  server.session.announce_shutdown();
  const std::string notice = server.take();
  EXPECT_EQ(hex(notice), hex(frame(7, 0, 0, number(0x7fffffff) + number(0))));
  server.session.shutdown();
  const std::string last = server.take();
  EXPECT_EQ(hex(last), hex(frame(7, 0, 0, number(1) + number(0))));
  ASSERT_TRUE(client.give(notice).has_value());
  EXPECT_TRUE(client.session.draining());
  EXPECT_FALSE(client.session.request({.authority = "b:1"}, stream.outbox).has_value());
  ASSERT_TRUE(client.give(last).has_value());
  EXPECT_EQ(client.goaway_last, 1);
  EXPECT_FALSE(client.session.is_over()) << "the stream in flight goes on";
  stream.outbox.finish = true;
  client.session.offer(stream.id);
  server_stream(stream).outbox.finish = true;
  server.session.offer(stream.id);
  exchange();
  EXPECT_TRUE(stream.closed);
  EXPECT_TRUE(client.session.is_over());
  EXPECT_TRUE(server.session.is_over());
}

TEST_F(SessionTest, AClientsGoawayNamesNoStream) {
  exchange();
  client.session.announce_shutdown();
  EXPECT_EQ(hex(client.take()), hex(frame(7, 0, 0, number(0) + number(0))));
}

TEST_F(SessionTest, RequestsBeyondTheGoawayAreRefusedNotLost) {
  exchange();
  SeenStream& stream = client.open({.authority = "a:1"});
  client.take();
  server.session.shutdown();
  ASSERT_TRUE(client.give(server.take()).has_value());
  EXPECT_TRUE(stream.closed);
  EXPECT_EQ(stream.code, H2Code::kRefusedStream);
}

TEST_F(SessionTest, DataFramesFillTlsRecords) {
  SeenStream& stream = accept({.authority = "a:1"});
  const std::string text(40000, 'x');
  stream.outbox.pending = bytes_of(text);
  client.session.offer(stream.id);
  const std::string wire = client.take();
  EXPECT_EQ(hex(wire.substr(0, 9)), "003ff7000000000001");  // 16375
  EXPECT_EQ(wire.size(), text.size() + 3 * 9);
  EXPECT_TRUE(stream.outbox.pending.empty());
  ASSERT_TRUE(server.give(wire).has_value());
  EXPECT_EQ(server_stream(stream).data, text);
}

TEST_F(SessionTest, SinkThatIsFullStopsBetweenFrames) {
  SeenStream& stream = accept({.authority = "a:1"});
  const std::string text(100000, 'x');
  stream.outbox.pending = bytes_of(text);
  client.session.offer(stream.id);
  Wire wire;
  wire.limit = 20000;
  ASSERT_TRUE(client.session.send(wire).has_value());
  EXPECT_EQ(wire.text.size(), 2 * 16384u);
  EXPECT_EQ(stream.outbox.pending.size(), text.size() - 2 * kDataPayload);
  EXPECT_EQ(client.sent, 0);
  EXPECT_TRUE(client.session.wants_send());
  wire.text += client.take();
  EXPECT_EQ(client.sent, 1);
  ASSERT_TRUE(server.give(wire.text).has_value());
  EXPECT_EQ(server_stream(stream).data, text);
}

TEST_F(SessionTest, UnreadBytesCloseTheWindowAndReadingOpensIt) {
  SeenStream& stream = accept({.authority = "a:1"});
  server.consume = false;
  const std::string text(kStreamWindow + 100000, 'x');
  stream.outbox.pending = bytes_of(text);
  client.session.offer(stream.id);
  exchange();
  EXPECT_EQ(server_stream(stream).data.size(), kStreamWindow);
  EXPECT_EQ(stream.outbox.pending.size(), 100000u);
  server.session.consume_stream(stream.id, kStreamWindow);
  exchange();
  EXPECT_EQ(server_stream(stream).data.size(), text.size());
}

TEST_F(SessionTest, PeersWindowsAndFrameSizeAreHonoured) {
  // A peer with all defaults: 64 KiB windows, 16 KiB frames.
  client.take();
  ASSERT_TRUE(client.give(frame(4, 0, 0, "")).has_value());
  SeenStream& stream = client.open({.authority = "a:1"});
  client.take();
  ASSERT_TRUE(client.give(frame(1, 4, 1, "\x88")).has_value());
  const std::string text(100000, 'x');
  stream.outbox.pending = bytes_of(text);
  client.session.offer(stream.id);
  client.take();
  EXPECT_EQ(stream.outbox.pending.size(), text.size() - 65535);
}

TEST_F(SessionTest, PeersLimitOfStreamsIsHonoured) {
  client.take();
  ASSERT_TRUE(client.give(frame(4, 0, 0, setting(3, 2))).has_value());
  EXPECT_EQ(client.session.peer_streams_max(), 2u);
  client.open({.authority = "a:1"});
  client.open({.authority = "a:1"});
  Outbox outbox;
  const Result<StreamId> third = client.session.request({.authority = "a:1"}, outbox);
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().code, Code::kExhausted);
}

std::string connect_heads(std::uint32_t count) {
  std::string heads;
  for (std::uint32_t i = 0; i < count; ++i) heads += frame(1, 4, 2 * i + 1, std::string("\x02\x07" "CONNECT\x01\x03" "a:1"));
  return heads;
}

TEST_F(SessionTest, ServerAllowsTwoHundredStreams) {
  server.take();
  ASSERT_TRUE(server.give(client.take() + connect_heads(201)).has_value());  // before it has read our SETTINGS
  EXPECT_EQ(server.streams.size(), 200u);
  EXPECT_TRUE(server.take().ends_with(frame(3, 0, 401, number(7))));  // REFUSED_STREAM
  EXPECT_FALSE(server.session.is_over());
}

TEST_F(SessionTest, AClientThatKnowsTheLimitAndBreaksItIsCutOff) {
  exchange();
  ASSERT_TRUE(server.give(connect_heads(201)).has_value());
  server.take();
  EXPECT_EQ(server.streams.size(), 200u);
  EXPECT_TRUE(server.session.draining());
}

TEST_F(SessionTest, HalfCloseIsEndStreamInEachDirection) {
  SeenStream& stream = accept({.authority = "a:1"});
  SeenStream& other = server_stream(stream);
  stream.outbox.pending = bytes_of("bye");
  stream.outbox.finish = true;
  client.session.offer(stream.id);
  EXPECT_EQ(hex(client.take()), hex(frame(0, 1, 1, "bye"))) ;
  EXPECT_TRUE(stream.outbox.finished);
  ASSERT_TRUE(server.give(frame(0, 1, 1, "bye")).has_value());
  EXPECT_TRUE(other.ended);
  EXPECT_FALSE(other.closed);
  other.outbox.pending = bytes_of("more");
  server.session.offer(stream.id);
  exchange();
  EXPECT_EQ(stream.data, "more");
  EXPECT_FALSE(stream.ended);
  other.outbox.finish = true;
  server.session.offer(stream.id);
  EXPECT_EQ(hex(server.take()), hex(frame(0, 1, 1, "")));
  EXPECT_TRUE(other.closed);
}

TEST_F(SessionTest, ResetCarriesItsCode) {
  SeenStream& stream = accept({.authority = "a:1"});
  client.session.reset(stream.id, H2Code::kConnectError);
  const std::string wire = client.take();
  EXPECT_EQ(hex(wire), hex(frame(3, 0, 1, number(10))));
  ASSERT_TRUE(server.give(wire).has_value());
  EXPECT_TRUE(server_stream(stream).closed);
  EXPECT_EQ(server_stream(stream).code, H2Code::kConnectError);
}

TEST_F(SessionTest, ARefusingListenerRefusesTheStream) {
  server.refuse_all = true;
  SeenStream& stream = client.open({.authority = "a:1"});
  exchange();
  EXPECT_TRUE(stream.closed);
  EXPECT_EQ(stream.code, H2Code::kRefusedStream);
}

TEST_F(SessionTest, NoPrefaceIsMalformed) {
  const Result<void> got = server.give("GET / HTTP/1.1\r\n\r\n");
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code, Code::kMalformed);
}

TEST_F(SessionTest, ConnectionErrorIsAGoawayThatSaysWhy) {
  exchange();
  ASSERT_TRUE(server.give(frame(0, 0, 1, "x")).has_value());  // DATA on an idle stream
  EXPECT_EQ(hex(server.take()), hex(frame(7, 0, 0, number(0) + number(1) + "DATA: stream in idle")));  // last stream, PROTOCOL_ERROR
  EXPECT_TRUE(server.session.is_over());
  EXPECT_STREQ(server.session.trouble(), "PROTOCOL_ERROR");
  EXPECT_EQ(server.session.trouble_detail(), "DATA: stream in idle");
}

TEST_F(SessionTest, DataFloodBeyondTheWindowIsAConnectionError) {
  SeenStream& stream = accept({.authority = "a:1"});
  server.consume = false;
  const std::string chunk = frame(0, 0, static_cast<std::uint32_t>(stream.id), std::string(16384, 'x'));
  bool over = false;
  for (int i = 0; i < 300 && !over; ++i) {
    const Result<void> got = server.give(chunk);
    server.take();
    over = !got || server_stream(stream).closed || server.session.is_over();
  }
  EXPECT_TRUE(over);
  EXPECT_LE(server_stream(stream).data.size(), kStreamWindow + 16384);
}

// Applications that abort their connections do not cost their siblings the tunnel; a flood of it does.
TEST_F(SessionTest, StreamsThatAreResetAtOnceAreBounded) {
  SeenStream& sibling = accept({.authority = "a:1"});
  const auto open_and_reset = [&] {
    SeenStream& stream = client.open({.authority = "a:1"});
    std::string up = client.take();
    client.session.reset(stream.id, H2Code::kCancel);
    up += client.take();
    const bool good = server.give(up).has_value() && client.give(server.take()).has_value();
    server.streams.erase(stream.id);
    client.opened.pop_back();
    return good;
  };
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(open_and_reset() && !client.session.draining()) << i;
  EXPECT_FALSE(sibling.closed);
  bool good = true;
  for (int i = 0; good && i < 100'000; ++i) good = open_and_reset() && !client.session.draining();
  EXPECT_FALSE(good);
  EXPECT_STREQ(server.session.trouble(), "INTERNAL_ERROR");
}

TEST(Granted, ManyTunnelsMayHoldLittleMoreThanFew) {
  EXPECT_EQ(next_window(0), kConnectionWindow);
  std::size_t granted = 0;
  for (int i = 0; i < 1000; ++i) granted += next_window(granted);
  EXPECT_LE(granted, kGrantedMax + 1000u * kLeastConnectionWindow);
  EXPECT_LE(granted, 1000u * std::size_t{kConnectionWindow} / 25);
}

TEST(Granted, ATunnelsPartComesBackWithItsEnd) {
  {
    std::vector<std::unique_ptr<Granted>> many;
    for (int i = 0; i < 100; ++i) many.push_back(std::make_unique<Granted>());
    EXPECT_EQ(many.front()->windows().connection, kConnectionWindow);
    EXPECT_EQ(many.front()->windows().stream, kStreamWindow);
    EXPECT_LT(many.back()->windows().connection, kConnectionWindow / 8);
    EXPECT_EQ(many.back()->windows().stream, many.back()->windows().connection / 4);
  }
  EXPECT_EQ(Granted().windows().connection, kConnectionWindow);
}

TEST(Granted, IsWhatThePeerIsTold) {
  struct Nobody final : Session::Listener {
    void on_settings() override {}
    void* on_request(StreamId, ConnectRequest&&, bool) override { return nullptr; }
    void on_response(void*, ConnectResponse&&) override {}
    void on_data(void*, std::span<const std::byte>) override {}
    void on_end(void*) override {}
    void on_sent(void*) override {}
    void on_close(void*, H2Code) override {}
    void on_ping_ack() override {}
    void on_goaway(StreamId, H2Code) override {}
  } nobody;
  Session session(Session::Role::kServer, nobody, {.connection = 1 << 20, .stream = 1 << 18});
  Wire wire;
  ASSERT_TRUE(session.send(wire).has_value());
  EXPECT_NE(wire.text.find(setting(4, 1 << 18)), std::string::npos) << hex(wire.text);
  EXPECT_NE(wire.text.find(frame(8, 0, 0, number((1 << 20) - 65535))), std::string::npos) << hex(wire.text);
}

}  // namespace
}  // namespace weft::hbone
