// A sandwiched waypoint with the stock Envoy behind ztunnel: who it takes the client to be, and what a client can make it believe.
#include <gtest/gtest.h>

#include "tests/unit/ztunnel/proxy/envoy_process.h"
#include "ztunnel/proxy/proxy_protocol.h"

namespace weft::proxy {
namespace {

using namespace std::chrono_literals;

SocketAddress at(const char* text) { return *SocketAddress::parse(text); }

struct Envoy : testing::Test {
  void SetUp() override {
    if (::access(EnvoyProcess::binary().c_str(), X_OK) != 0) GTEST_SKIP() << EnvoyProcess::binary() << " is missing: make deps";
    auto loop = io::make_loop(io::LoopKind::kEpoll);
    ASSERT_TRUE(loop);
    mesh = std::make_unique<LoopbackMesh>(std::move(*loop));
    envoy = std::make_unique<EnvoyProcess>(mesh->app);
    auto web = mesh::service("web", "10.96.0.50", {{80, 18080, mesh::AppProtocol::kHttp11}, {9000, 18080, mesh::AppProtocol::kTcp}});
    web.waypoint = mesh::GatewayAddress{mesh::NetworkAddress{"", mesh::ip(mesh->server_ip.c_str()), std::nullopt}};
    auto waypoint = mesh::pod("server", mesh->server_ip.c_str());
    waypoint.application_tunnel = mesh::ApplicationTunnel{.proxy_protocol = true, .port = envoy->port()};
    mesh->world.add(web).add(waypoint);
    mesh->snapshot.set(mesh->world.build());
    ASSERT_TRUE(envoy->ready()) << envoy->log();
  }
  // Runs `body`, then stops the mesh.
  void run(io::Task<void> body) { io::run_until_done(*mesh->loop, std::move(body)); }

  std::unique_ptr<LoopbackMesh> mesh;
  std::unique_ptr<EnvoyProcess> envoy;
};

io::Task<Result<io::Socket>> dial(LoopbackMesh& mesh, SocketAddress address) {
  io::Socket socket(*mesh.loop, tcp_socket());
  auto connected = co_await io::connect(*mesh.loop, socket.get(), address, mesh.loop->in(5s));
  if (!connected) co_return std::unexpected(connected.error());
  co_return std::move(socket);
}

// Everything until the end; what came before an error, and the error.
io::Task<std::string> exchange(LoopbackMesh& mesh, SocketAddress to, std::string request, Result<void>& end) {
  std::string answer;
  auto socket = co_await dial(mesh, to);
  EXPECT_TRUE(socket.has_value());
  if (!socket) co_return answer;
  auto sent = co_await io::send_all(*mesh.loop, socket->get(), std::as_bytes(std::span(request)));
  if (!sent) end = std::unexpected(sent.error());
  for (;;) {
    auto got = co_await io::recv_buffer(*mesh.loop, socket->get(), mesh.loop->in(10s));
    if (!got) end = std::unexpected(got.error());
    if (!got || got->empty()) break;
    for (auto byte : got->bytes()) answer += static_cast<char>(byte);
  }
  co_return answer;
}

std::string get(const char* path, std::string_view headers = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: web\r\nConnection: close\r\n" + std::string(headers) + "\r\n";
}

io::Task<void> tells_who(LoopbackMesh& mesh, const char* forged) {
  mesh.sockets.original = at("10.96.0.50:80");
  Result<void> end;
  auto answer = co_await exchange(mesh, mesh.outbound, get("/mine", forged), end);
  EXPECT_TRUE(end);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
  for (const char* header : {"x-peer: spiffe://cluster.local/ns/default/sa/client\r\n", "x-client: 127.0.0.1\r\n", "x-destination: 10.96.0.50:80\r\n"})
    EXPECT_NE(answer.find(header), std::string::npos) << answer;
  answer = co_await exchange(mesh, mesh.outbound, get("/theirs", forged), end);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403")) << answer;
  EXPECT_TRUE(answer.ends_with("RBAC: access denied")) << answer;
  co_await mesh.stop();
}
TEST_F(Envoy, JudgesTheProvenIdentityByOriginalDestination) { run(tells_who(*mesh, "")); }
TEST_F(Envoy, HeadersOfTheClientChangeNothing) {
  run(tells_who(*mesh, "x-weft-dst: 10.96.0.99:80\r\nx-weft-dst: 10.96.0.98:80\r\nx-weft-peer: spiffe://cluster.local/ns/default/sa/other\r\n"
                       "x-forwarded-for: 10.9.9.9\r\nx-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/other\r\n"
                       "x-envoy-external-address: 10.9.9.9\r\n"));
}

// A second PROXY header, the client's own, is payload.
io::Task<void> second_header(LoopbackMesh& mesh) {
  mesh.sockets.original = at("10.96.0.50:80");
  const auto forged = proxy_header(at("10.9.9.9:1"), at("10.96.0.50:80"), {"cluster.local", "default", "other"});
  std::string request(reinterpret_cast<const char*>(forged.data()), forged.size());
  Result<void> end;
  auto answer = co_await exchange(mesh, mesh.outbound, request + get("/theirs"), end);
  EXPECT_EQ(answer.find(" 200"), std::string::npos) << answer;
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << answer;
  co_await mesh.stop();
}
TEST_F(Envoy, AHeaderThatTheClientForgesIsPayload) { run(second_header(*mesh)); }

io::Spawned echo_one(io::Scope&, LoopbackMesh& mesh, int listener, std::size_t& seen) {
  auto accepted = co_await io::accept(*mesh.loop, listener, mesh.loop->in(10s));
  EXPECT_TRUE(accepted.has_value());
  if (!accepted) co_return;
  io::Socket socket(*mesh.loop, std::move(*accepted));
  for (;;) {
    auto got = co_await io::recv_buffer(*mesh.loop, socket.get(), mesh.loop->in(20s));
    if (!got || got->empty()) break;
    seen += got->size();
    auto sent = co_await io::send_all(*mesh.loop, socket.get(), got->bytes());
    if (!sent) break;
  }
}
io::Spawned send_and_end(io::Scope&, LoopbackMesh& mesh, int fd, const std::string& bytes) {
  auto sent = co_await io::send_all(*mesh.loop, fd, std::as_bytes(std::span(bytes)));
  EXPECT_TRUE(sent.has_value());
  mesh.loop->shutdown_write(fd);
}

io::Task<void> connections(LoopbackMesh& mesh) {
  mesh.sockets.original = at("10.96.0.50:9000");
  io::Socket listener(*mesh.loop, bound_to(mesh.app));
  std::string bytes;
  for (int i = 0; i < 4'000'000; ++i) bytes += static_cast<char>(i * 131 + i / 251);
  io::Scope scope;
  std::size_t seen = 0;
  echo_one(scope, mesh, listener.get(), seen);
  auto client = co_await dial(mesh, mesh.outbound);
  EXPECT_TRUE(client.has_value());
  if (!client) co_return;
  send_and_end(scope, mesh, client->get(), bytes);
  std::string back;
  for (;;) {
    auto got = co_await io::recv_buffer(*mesh.loop, client->get(), mesh.loop->in(20s));
    EXPECT_TRUE(got.has_value());
    if (!got || got->empty()) break;
    back.append(reinterpret_cast<const char*>(got->bytes().data()), got->size());
  }
  co_await scope.join();
  EXPECT_EQ(seen, bytes.size());
  EXPECT_TRUE(back == bytes) << back.size();
  co_await mesh.stop();
}
TEST_F(Envoy, ConnectionsOfATcpServicePassWholeAndHalfClosed) { run(connections(*mesh)); }

io::Task<void> gone(LoopbackMesh& mesh, EnvoyProcess& envoy) {
  mesh.sockets.original = at("10.96.0.50:80");
  envoy.kill();
  Result<void> end;
  auto answer = co_await exchange(mesh, mesh.outbound, get("/mine"), end);
  EXPECT_EQ(answer, "");
  EXPECT_FALSE(end) << "a reset";
  co_await mesh.stop();
}
TEST_F(Envoy, WithoutItNothingPasses) { run(gone(*mesh, *envoy)); }

io::Task<void> straight(LoopbackMesh& mesh, EnvoyProcess& envoy) {
  Result<void> end;
  auto answer = co_await exchange(mesh, SocketAddress{*IpAddress::parse("127.0.0.1"), envoy.port()}, get("/mine"), end);
  EXPECT_EQ(answer, "") << "no PROXY header, no answer";
  co_await mesh.stop();
}
TEST_F(Envoy, AnswersNobodyWithoutAHeader) { run(straight(*mesh, *envoy)); }

}  // namespace
}  // namespace weft::proxy
