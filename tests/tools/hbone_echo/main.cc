// hbone-echo: one end of an HBONE tunnel for tests against other peers.
//   hbone-echo certificates DIR NAME…                      root.pem, NAME.pem, NAME.key (spiffe://cluster.local/ns/default/sa/NAME)
//   hbone-echo serve DIR NAME                              prints its port; authority's port: 1 echoes, 2 resets, 400 and up refuses
//   hbone-echo connect DIR NAME EXPECTED PORT AUTHORITY    stdin → stream → stdout; exit 0, or 1 and the error on stderr
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "tests/unit/ztunnel/hbone/tunnel_world.h"
#include "ztunnel/io/make_loop.h"

namespace weft::hbone {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

tls::CredentialsPtr load(const std::string& dir, const std::string& name) {
  auto made = tls::Credentials::parse(read_file(dir + "/" + name + ".pem"), read_file(dir + "/" + name + ".key"), read_file(dir + "/root.pem"));
  WEFT_ASSERT(made.has_value());
  return *made;
}

int certificates(const std::string& dir, std::span<char*> names) {
  const tls::TestCa ca;
  std::ofstream(dir + "/root.pem") << ca.root_pem();
  for (const std::string name : names) {
    const tls::Leaf leaf = ca.issue({.uris = {tls::test_identity(name).str()}});
    std::ofstream(dir + "/" + name + ".pem") << leaf.chain_pem;
    std::ofstream(dir + "/" + name + ".key") << leaf.key_pem;
  }
  return 0;
}

io::Spawned serve_one(io::Scope& scope, World& world, Fd socket) {
  std::string detail;
  auto tunnel = co_await ServerTunnel::accept(scope, world.loop, std::move(socket), world.server_credentials, world.soon(), &detail);
  if (!tunnel) {
    std::fprintf(stderr, "refused: %s: %s\n", describe(tunnel.error()).c_str(), detail.c_str());
    co_return;
  }
  for (;;) {
    auto next = co_await (*tunnel)->next_stream();
    if (!next) break;
    std::fprintf(stderr, "connect %s from %s baggage %s\n", next->request().authority.c_str(), next->peer().str().c_str(),
                 next->request().baggage.c_str());
    play(scope, world, *std::move(next));
  }
  std::fprintf(stderr, "ended: %s\n", (*tunnel)->end_reason().c_str());
}

io::Task<> serve_all(World& world, int listener) {
  for (;;) {
    auto socket = co_await io::accept(world.loop, listener);
    if (!socket) break;
    serve_one(world.scope, world, *std::move(socket));
  }
  co_await world.scope.join();
}

int serve_on_port(io::Loop& loop, const std::string& dir, const std::string& name) {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t length = sizeof address;
  const bool listening = ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 && ::listen(listener.get(), 64) == 0 &&
                         ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0;
  WEFT_ASSERT(listening);
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  World world(loop, Fd(), Fd());
  world.server_credentials = load(dir, name);
  io::run_until_done(loop, serve_all(world, listener.get()));
  return 0;
}

struct Dial {
  SocketAddress address;
  std::string authority, input;
  int exit_code = 1;
};

io::Spawned send_input(io::Scope&, Stream& stream, const std::string& input) {
  auto sent = co_await stream.write(bytes_of(input), Deadline::never());
  if (!sent) std::fprintf(stderr, "write: %s\n", describe(sent.error()).c_str());
  stream.finish();
}

io::Task<> dial_one(World& world, Dial& dial) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  auto connected = co_await io::connect(world.loop, socket.get(), dial.address, world.soon());
  std::string detail;
  auto tunnel = co_await ClientTunnel::dial(world.scope, world.loop, std::move(socket), world.client_credentials, world.expected, world.soon(),
                                            &detail);
  if (!connected || !tunnel) {
    std::fprintf(stderr, "dial: %s\n", detail.c_str());
    co_return;
  }
  {
    auto stream = co_await (*tunnel)->open({.authority = dial.authority, .baggage = "k8s.pod.name=echo"}, world.soon());
    if (!stream) {
      std::fprintf(stderr, "open: %s\n", describe(stream.error()).c_str());
    } else {
      io::Scope sending;
      send_input(sending, *stream, dial.input);
      auto text = co_await read_all(*stream, world.soon());
      if (text) std::fwrite(text->data(), 1, text->size(), stdout);
      if (!text) std::fprintf(stderr, "read: %s\n", describe(text.error()).c_str());
      dial.exit_code = text ? 0 : 1;
      co_await sending.join();
    }
  }
  tunnel->reset();
  co_await world.scope.join();
}

int run(std::span<char*> words) {
  const std::string command = words.size() > 2 ? words[0] : "";
  if (command == "certificates") return certificates(words[1], words.subspan(2));
  auto loop = io::make_loop(io::LoopKind::kEpoll);
  WEFT_ASSERT(loop.has_value());
  if (command == "serve") return serve_on_port(**loop, words[1], words[2]);
  if (command != "connect" || words.size() != 6) return 64;
  World world(**loop, Fd(), Fd());
  world.client_credentials = load(words[1], words[2]);
  world.expected = {tls::test_identity(words[3])};
  Dial dial{{*IpAddress::parse("127.0.0.1"), static_cast<std::uint16_t>(std::atoi(words[4]))}, words[5], {}, 1};
  char chunk[65536];
  while (const std::size_t got = std::fread(chunk, 1, sizeof chunk, stdin)) dial.input.append(chunk, got);
  io::run_until_done(**loop, dial_one(world, dial));
  return dial.exit_code;
}

}  // namespace
}  // namespace weft::hbone

int main(int argc, char** argv) { return weft::hbone::run(std::span(argv + 1, static_cast<std::size_t>(argc - 1))); }
