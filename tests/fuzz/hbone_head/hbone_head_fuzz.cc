// A server's session fed with frames of a hostile client, and a client's with those of a hostile server. The first byte chooses.
#include <cstdlib>
#include <map>

#include "base/assert.h"
#include "ztunnel/hbone/session.h"

namespace {

using namespace weft::hbone;

struct Seen {
  StreamId id = 0;
  Outbox outbox;
  bool closed = false;
};

struct Host final : Session::Listener, Session::Sink {
  explicit Host(Session::Role role) : session(role, *this) {}
  void on_settings() override {}
  void* on_request(StreamId id, ConnectRequest&& request, bool) override {
    if (!request.is_connect) std::abort();
    (void)Authority::parse(request.authority);
    Seen& stream = streams[id];
    stream.id = id;
    stream.outbox.cookie = &stream;
    fresh = id;
    return &stream;
  }
  void on_response(void*, ConnectResponse&&) override {}
  void on_data(void* cookie, std::span<const std::byte> data) override {
    const Seen& stream = *static_cast<Seen*>(cookie);
    if (stream.closed) std::abort();
    session.consume_stream(stream.id, data.size());
    session.consume_connection(data.size());
  }
  void on_end(void*) override {}
  void on_sent(void*) override {}
  void on_close(void* cookie, H2Code) override { static_cast<Seen*>(cookie)->closed = true; }
  void on_ping_ack() override {}
  void on_goaway(StreamId, H2Code) override {}
  bool put(std::span<const std::byte> head, std::span<const std::byte> payload) override {
    sent += head.size() + payload.size();
    return true;
  }

  Session session;
  std::map<StreamId, Seen> streams;
  StreamId fresh = 0;
  std::size_t sent = 0;
};

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kSettings("\0\0\0\4\0\0\0\0\0", 9);

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool server = (data[0] & 1) != 0;
  Host host(server ? Session::Role::kServer : Session::Role::kClient);
  Seen own;
  own.outbox.cookie = &own;
  static const std::byte body[100] = {};
  if (server) {
    if (!host.session.receive(std::as_bytes(std::span(kPreface)))) std::abort();
  } else if (auto id = host.session.request({.authority = "a:1"}, own.outbox)) {
    own.id = *id;
  }
  if (!host.session.receive(std::as_bytes(std::span(kSettings)))) std::abort();
  std::span<const std::byte> rest = std::as_bytes(std::span(data + 1, size - 1));
  while (!rest.empty()) {
    const std::size_t count = std::min<std::size_t>(rest.size(), 64);
    if (!host.session.receive(rest.first(count))) break;
    rest = rest.subspan(count);
    if (host.fresh != 0) {
      Seen& stream = host.streams[host.fresh];
      stream.outbox.pending = body;
      stream.outbox.finish = (host.fresh & 2) != 0;
      if (!stream.closed) (void)host.session.respond(stream.id, {200, "k=v"}, stream.outbox);
      host.fresh = 0;
    }
    if (!host.session.send(host)) break;
  }
  return 0;
}
