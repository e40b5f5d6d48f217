#include "ztunnel/hbone/tunnel.h"

#include <algorithm>
#include <cerrno>

#include "ztunnel/hbone/tunnel_core.h"
#include "ztunnel/io/ops.h"

namespace weft::hbone {
namespace {

constexpr std::size_t kClientStreamsMax = 100;           // facts §1.9
constexpr std::chrono::milliseconds kAlertLinger{250};  // so that the peer reads our alert before it sees a reset

struct Handshake {
  io::Loop& loop;
  tls::Engine engine;
  tls::Output out;
  io::Buffer received;  // what `engine` was fed last
};

io::Task<Result<void>> shake(Handshake& hands, int fd, Deadline deadline) {
  for (;;) {
    const Result<void> step = hands.engine.handshake(hands.out);
    if (step && hands.engine.handshake_done()) co_return Result<void>{};
    if (!hands.out.empty()) {
      auto sent = co_await io::send_all(hands.loop, fd, hands.out.bytes(), deadline);
      hands.out.clear();
      if (!sent && step) co_return std::unexpected(sent.error());
    }
    if (!step) co_return std::unexpected(step.error());
    hands.received.release();
    auto got = co_await io::recv_buffer(hands.loop, fd, deadline);
    if (!got) co_return std::unexpected(Error{got.error().code, got.error().os, "tls handshake"});
    if (got->empty()) co_return fail(Code::kClosed, "peer closed during the tls handshake");
    hands.received = *std::move(got);
    hands.engine.feed(hands.received.bytes());
  }
}

io::Task<> linger(io::Loop& loop, int fd) {
  loop.shutdown_write(fd);
  const Deadline deadline = loop.in(kAlertLinger);
  for (;;) {
    auto got = co_await io::recv_buffer(loop, fd, deadline);
    if (!got || got->empty()) co_return;
  }
}

io::Task<Result<std::shared_ptr<TunnelCore>>> establish(io::Scope& scope, io::Loop& loop, Fd fd, tls::Engine engine, Session::Role role,
                                                        io::Buffer early, Deadline deadline, std::string* detail) {
  Handshake hands{loop, std::move(engine), {}, std::move(early)};
  hands.engine.feed(hands.received.bytes());
  auto shaken = co_await shake(hands, fd.get(), deadline);
  if (!shaken) {
    if (detail != nullptr) *detail = hands.engine.detail().empty() ? describe(shaken.error()) : hands.engine.detail();
    hands.received.release();
    if (shaken.error().code != Code::kTimedOut && shaken.error().code != Code::kClosed) {
      co_await linger(loop, fd.get());
    }
    loop.close(std::move(fd));
    co_return std::unexpected(shaken.error());
  }
  auto core = std::make_shared<TunnelCore>(loop, std::move(fd), std::move(hands.engine), role);
  core->start(scope, std::move(hands.out));
  hands.received.release();
  auto ready = co_await core->ready().wait(deadline);
  if (!ready) core->fail({Code::kTimedOut, 0, "no http/2 preface"}, "no http/2 preface in time");
  if (!core->alive()) {
    if (detail != nullptr) *detail = core->end_reason();
    co_return std::unexpected(core->error());
  }
  co_return core;
}

}  // namespace

// ---- ClientTunnel ----

ClientTunnel::ClientTunnel(std::shared_ptr<TunnelCore> core) : core_(std::move(core)) {}
ClientTunnel::~ClientTunnel() { core_->drop_handle(); }

io::Task<Result<std::shared_ptr<ClientTunnel>>> ClientTunnel::dial(io::Scope& scope, io::Loop& loop, Fd socket,
                                                                   tls::CredentialsPtr credentials, std::vector<mesh::Identity> expected,
                                                                   Deadline deadline, std::string* detail) {
  auto engine = tls::Engine::client(std::move(credentials), std::move(expected));
  if (!engine) {
    loop.close(std::move(socket));
    co_return std::unexpected(engine.error());
  }
  auto core = co_await establish(scope, loop, std::move(socket), *std::move(engine), Session::Role::kClient, {}, deadline, detail);
  if (!core) co_return std::unexpected(core.error());
  co_return std::shared_ptr<ClientTunnel>(new ClientTunnel(*std::move(core)));
}

io::Task<Result<Stream>> ClientTunnel::open(ConnectRequest request, Deadline deadline) {
  const std::shared_ptr<TunnelCore> core = core_;  // `this` may go while we wait
  if (core->alive() && streams() >= streams_max()) co_return fail(Code::kExhausted, "tunnel has no room");
  auto state = std::make_shared<StreamState>(core);
  const Result<void> started = core->request(*state, request);
  if (!started) co_return std::unexpected(started.error());
  auto woken = co_await state->writable.wait(deadline);
  if (!woken) {
    core->reset(*state, H2Code::kCancel);
    co_return std::unexpected(Error{woken.error().code, woken.error().os, "no answer to CONNECT"});
  }
  if (!state->answered) co_return std::unexpected(state->out_error);
  const int status = state->response.status;
  if (status != kStatusOk) {
    core->abandon(*state);
    co_return std::unexpected(error_of_status(status));
  }
  co_return Stream(std::move(state));
}

std::size_t ClientTunnel::streams() const { return core_->streams(); }
std::size_t ClientTunnel::streams_max() const {
  return std::min<std::size_t>(kClientStreamsMax, core_->session().peer_streams_max());
}
bool ClientTunnel::has_room() const { return alive() && !core_->session().draining() && streams() < streams_max(); }
bool ClientTunnel::alive() const { return core_->alive(); }
Clock::time_point ClientTunnel::last_used() const { return core_->last_used(); }
const mesh::Identity& ClientTunnel::peer() const { return core_->peer(); }
const std::string& ClientTunnel::end_reason() const { return core_->end_reason(); }
void ClientTunnel::close(const char* reason) { core_->fail({Code::kClosed, ECONNRESET, reason}, {}); }

// ---- ServerTunnel ----

ServerTunnel::ServerTunnel(std::shared_ptr<TunnelCore> core) : core_(std::move(core)) {}
ServerTunnel::~ServerTunnel() { core_->drop_handle(); }

io::Task<Result<std::shared_ptr<ServerTunnel>>> ServerTunnel::accept(io::Scope& scope, io::Loop& loop, Fd socket,
                                                                     tls::CredentialsPtr credentials, Deadline deadline,
                                                                     std::string* detail) {
  // The engine holds tens of kilobytes: nobody gets one by connecting and saying nothing.
  auto hello = co_await io::recv_buffer(loop, socket.get(), deadline);
  if (!hello || hello->empty()) {
    loop.close(std::move(socket));
    if (detail != nullptr) *detail = hello ? "peer closed during the tls handshake" : "peer said nothing";
    if (!hello) co_return std::unexpected(Error{hello.error().code, hello.error().os, "tls handshake"});
    co_return fail(Code::kClosed, "peer closed during the tls handshake");
  }
  auto engine = tls::Engine::server(std::move(credentials));
  if (!engine) {
    loop.close(std::move(socket));
    co_return std::unexpected(engine.error());
  }
  auto core = co_await establish(scope, loop, std::move(socket), *std::move(engine), Session::Role::kServer, *std::move(hello), deadline,
                                 detail);
  if (!core) co_return std::unexpected(core.error());
  co_return std::shared_ptr<ServerTunnel>(new ServerTunnel(*std::move(core)));
}

io::Task<Result<IncomingStream>> ServerTunnel::next_stream() {
  const std::shared_ptr<TunnelCore> core = core_;
  for (;;) {
    auto woken = co_await core->incoming().wait();
    if (!woken) co_return std::unexpected(woken.error());
    std::shared_ptr<StreamState> stream = core->pop_incoming();
    if (stream != nullptr) co_return IncomingStream(std::move(stream));
    if (!core->alive()) co_return std::unexpected(core->error());
  }
}

void ServerTunnel::drain() { core_->drain(); }
void ServerTunnel::close(const char* reason) { core_->fail({Code::kClosed, ECONNRESET, reason}, {}); }
const mesh::Identity& ServerTunnel::peer() const { return core_->peer(); }
std::size_t ServerTunnel::streams() const { return core_->streams(); }
bool ServerTunnel::alive() const { return core_->alive(); }
const std::string& ServerTunnel::end_reason() const { return core_->end_reason(); }

}  // namespace weft::hbone
