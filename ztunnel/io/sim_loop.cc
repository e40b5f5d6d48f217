#include "ztunnel/io/sim_loop.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>

#include "ztunnel/io/ops.h"

namespace weft::io {

namespace {
constexpr int kFirstFd = 1 << 28;
}

struct SimLoop::SimSocket {
  enum class State { kFresh, kConnecting, kListening, kOpen };

  int fd = -1;
  State state = State::kFresh;
  OpChain pending;
  int peer = -1;                 // descriptor of the other end; may be closed already
  std::vector<std::byte> inbox;  // arrived; what is before `inbox_read` has been read
  std::size_t inbox_read = 0;
  std::size_t unread() const { return inbox.size() - inbox_read; }
  std::size_t outstanding = 0;       // sent by us, unread by the peer
  bool fin_in = false;               // the end of the stream arrived, after the inbox
  bool fin_out = false;              // we sent ours
  bool dead = false;                 // RST came or went
  int error = 0;                     // told once
  Clock::time_point last_arrival{};  // of what we sent: the next may not overtake it
  SocketAddress address;             // kListening
  std::deque<int> backlog;           // kListening
};

struct SimLoop::Delivery {
  enum class Kind { kData, kFin, kReset, kConnect };
  Clock::time_point when;
  std::uint64_t sequence = 0;
  Kind kind = Kind::kData;
  int to = -1;
  int from = -1;
  std::vector<std::byte> bytes;
  SocketAddress address;  // kConnect
};

bool SimLoop::later(const Delivery& a, const Delivery& b) {
  return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
}

SimLoop::SimLoop(SimOptions options)
    : Loop(1),
      options_(options),
      engine_(options.seed),
      next_fd_(kFirstFd),
      pool_(options.buffers, options.buffer_size, 0) {
  set_now(Clock::time_point(std::chrono::hours(1)));  // the same morning for every run
}

SimLoop::~SimLoop() = default;

// --- what a test does ---

std::pair<Fd, Fd> SimLoop::pair() {
  const int a = add_socket();
  const int b = add_socket();
  at(a).state = at(b).state = SimSocket::State::kOpen;
  at(a).peer = b;
  at(b).peer = a;
  return {Fd(a), Fd(b)};
}

Fd SimLoop::socket() { return Fd(add_socket()); }

Fd SimLoop::listen(const SocketAddress& address) {
  const int fd = add_socket();
  at(fd).state = SimSocket::State::kListening;
  at(fd).address = address;
  listeners_[address] = fd;
  return Fd(fd);
}

void SimLoop::drop_connects_to(const SocketAddress& address, bool drop) {
  if (drop) {
    black_holes_.insert(address);
  } else {
    black_holes_.erase(address);
  }
}

void SimLoop::inject_reset(int fd) { break_connection(at(fd), nullptr); }

std::uint64_t SimLoop::random(std::uint64_t bound) {
  WEFT_ASSERT(bound > 0);
  return engine_() %
         bound;  // not std::uniform_int_distribution: its sequence differs between libraries
}

bool SimLoop::chance(double probability) {
  return probability > 0 && static_cast<double>(engine_() >> 11) * 0x1.0p-53 < probability;
}

std::size_t SimLoop::shorten(std::size_t count, double probability) {
  return count > 1 && chance(probability) ? 1 + random(count - 1) : count;
}

// --- sockets ---

SimLoop::SimSocket* SimLoop::find(int fd) {
  auto it = sockets_.find(fd);
  return it == sockets_.end() ? nullptr : it->second.get();
}

SimLoop::SimSocket& SimLoop::at(int fd) {
  SimSocket* socket = find(fd);
  WEFT_ASSERT(socket != nullptr);  // an operation on a closed descriptor
  return *socket;
}

int SimLoop::add_socket() {
  const int fd = next_fd_++;
  auto socket = std::make_unique<SimSocket>();
  socket->fd = fd;
  sockets_.emplace(fd, std::move(socket));
  return fd;
}

OpChain& SimLoop::chain_of(int fd) { return at(fd).pending; }

void SimLoop::shutdown_write(int fd) {
  SimSocket& socket = at(fd);
  if (socket.fin_out || socket.dead || socket.state != SimSocket::State::kOpen) return;
  socket.fin_out = true;
  send_to_peer(socket, {.kind = Delivery::Kind::kFin});
}

bool SimLoop::is_broken(int fd) { return at(fd).dead; }

void SimLoop::close(Fd owned) {
  const int fd = owned.release();
  cancel(fd);
  SimSocket& socket = at(fd);
  if (socket.state == SimSocket::State::kListening) {
    listeners_.erase(socket.address);
    for (const int waiting : std::deque<int>(socket.backlog)) reset(Fd(waiting));
  } else if (socket.state == SimSocket::State::kOpen && !socket.dead) {
    if (socket.unread() > 0) {
      send_to_peer(socket, {.kind = Delivery::Kind::kReset});
    } else {
      shutdown_write(fd);
    }
  }
  sockets_.erase(fd);
}

// What was sent and has not arrived may be lost, or not.
void SimLoop::reset(Fd owned) {
  const int fd = owned.release();
  cancel(fd);
  SimSocket& socket = at(fd);
  if (socket.state == SimSocket::State::kOpen && !socket.dead) {
    if (chance(0.5)) {
      std::erase_if(deliveries_, [fd](const Delivery& d) { return d.from == fd; });
      std::make_heap(deliveries_.begin(), deliveries_.end(), later);
    }
    send_to_peer(socket, {.kind = Delivery::Kind::kReset});
    socket.dead = true;
  }
  close(Fd(fd));
}

void SimLoop::break_connection(SimSocket& socket, const Op* running) {
  for (SimSocket* end : {&socket, find(socket.peer)}) {
    if (end == nullptr || end->dead) continue;
    end->dead = true;
    end->error = end->fin_in ? EPIPE : ECONNRESET;  // as tcp_reset() of Linux has it
    wake_ops(*end, running);
  }
}

// --- operations ---

void SimLoop::submit(Op& op) {
  const int result = attempt(op);
  if (result != -EAGAIN) complete(op, result);
}

int SimLoop::attempt(Op& op) {
  SimSocket& socket = at(op.fd_);
  switch (op.kind_) {
    case Op::Kind::kAccept:
      return try_accept(socket);
    case Op::Kind::kConnect:
      return try_connect(op, socket);
    case Op::Kind::kReceive:
      return try_receive(op.data_, op.size_, socket);
    case Op::Kind::kReceiveBuffer:
      return try_receive_buffer(op, socket);
    case Op::Kind::kSend:
    case Op::Kind::kGather:
      return try_send(op, socket);
    case Op::Kind::kReadable:
      return socket.unread() == 0 && !socket.fin_in && !socket.dead && socket.backlog.empty()
                 ? -EAGAIN
                 : 0;
    case Op::Kind::kSleep:
    case Op::Kind::kEvent:
      break;
  }
  WEFT_ASSERT(false);
  return -EINVAL;
}

int SimLoop::try_accept(SimSocket& socket) {
  if (socket.state != SimSocket::State::kListening) return -EINVAL;
  if (socket.backlog.empty()) return -EAGAIN;
  const int fd = socket.backlog.front();
  socket.backlog.pop_front();
  return fd;
}

int SimLoop::try_connect(Op& op, SimSocket& socket) {
  if (socket.state == SimSocket::State::kOpen) return 0;
  if (socket.error != 0) return -std::exchange(socket.error, 0);
  if (socket.state == SimSocket::State::kFresh) {
    socket.state = SimSocket::State::kConnecting;
    const SocketAddress& address = static_cast<ConnectOp&>(op).address();
    if (!black_holes_.contains(address)) {
      schedule(now() + Clock::duration(
                           random(static_cast<std::uint64_t>(options_.delay_max.count()) + 1)),
               {.kind = Delivery::Kind::kConnect, .to = socket.fd, .address = address});
    }
  }
  return -EAGAIN;
}

int SimLoop::try_receive(std::byte* into, std::size_t size, SimSocket& socket) {
  if (socket.state != SimSocket::State::kOpen) return -ENOTCONN;
  if (socket.unread() > 0) {
    const std::size_t count = shorten(std::min(size, socket.unread()), options_.short_read);
    std::memcpy(into, socket.inbox.data() + socket.inbox_read, count);
    socket.inbox_read += count;
    if (socket.unread() == 0) {
      socket.inbox.clear();
      socket.inbox_read = 0;
    }
    if (SimSocket* peer = find(socket.peer)) {
      peer->outstanding -= count;
      wake_ops(*peer);
    }
    return static_cast<int>(count);
  }
  if (socket.fin_in) return 0;  // Linux says so even after a reset
  if (socket.error != 0) return -std::exchange(socket.error, 0);
  return socket.dead ? 0 : -EAGAIN;
}

int SimLoop::try_receive_buffer(Op& op, SimSocket& socket) {
  const BufferPool::Piece piece = pool_.take(op.held_, op.share_);
  if (piece.base == nullptr) {
    park(op);
    return -EAGAIN;
  }
  const int result = try_receive(piece.base, piece.size, socket);
  if (result > 0) {
    op.data_ = piece.base;
    op.buffer_id_ = piece.id;
    ++lent_;
  } else {
    pool_.put(piece.base, piece.id);
  }
  return result;
}

int SimLoop::try_send(Op& op, SimSocket& socket) {
  if (op.size_ == 0) return 0;
  if (socket.state != SimSocket::State::kOpen) return -ENOTCONN;
  if (chance(options_.reset)) break_connection(socket, &op);
  if (socket.error != 0) return -std::exchange(socket.error, 0);
  if (socket.dead || socket.fin_out) return -EPIPE;
  const std::size_t room =
      options_.socket_buffer - std::min(options_.socket_buffer, socket.outstanding);
  if (room == 0) return -EAGAIN;

  const bool plain = op.kind_ == Op::Kind::kSend;
  const auto* piece = reinterpret_cast<const iovec*>(op.data_);
  const auto* from = plain ? op.data_ : static_cast<const std::byte*>(piece->iov_base);
  const std::size_t size = plain ? op.size_ : piece->iov_len;
  const std::size_t count = shorten(std::min(size, room), options_.short_write);
  socket.outstanding += count;
  send_to_peer(socket, {.kind = Delivery::Kind::kData, .bytes = {from, from + count}});
  if (op.advance(count)) return 0;
  requeue(op);
  return -EAGAIN;
}

void SimLoop::abort(Op& op) {
  if (op.parked_) leave_park(op);
  complete(op, -ECANCELED);
}

void SimLoop::wake_ops(SimSocket& socket, const Op* running) {
  for (Op* op = socket.pending.first(); op != nullptr; op = op->chain_next_) {
    if (op->state_ == Op::State::kFlying && !op->parked_ && op != running) requeue(*op);
  }
}

void SimLoop::give_back(std::byte* base, std::uint32_t id) {
  std::memset(base, 0xDB, pool_.size());  // whoever still reads it shall notice
  pool_.put(base, id);
  --lent_;
}

bool SimLoop::wake_parked() {
  const bool brief = requeue_parked(false, pool_.available(false));
  const bool held = requeue_parked(true, pool_.available(true));
  const bool shared = requeue_shares(pool_, pool_.available(true) - pool_.spill_room(true));
  return brief || held || shared;
}

// --- the network ---

void SimLoop::schedule(Clock::time_point when, Delivery delivery) {
  delivery.when = when;
  delivery.sequence = next_sequence_++;
  deliveries_.push_back(std::move(delivery));
  std::push_heap(deliveries_.begin(), deliveries_.end(), later);
}

void SimLoop::send_to_peer(SimSocket& from, Delivery delivery) {
  const Clock::duration delay(random(static_cast<std::uint64_t>(options_.delay_max.count()) + 1));
  from.last_arrival = std::max(from.last_arrival, now() + delay);
  delivery.to = from.peer;
  delivery.from = from.fd;
  schedule(from.last_arrival, std::move(delivery));
}

bool SimLoop::wait(Clock::time_point until) {
  if (wake_parked()) until = now();
  if (until > now()) {
    if (deliveries_.empty() && until == Clock::time_point::max()) return false;
    const auto next = deliveries_.empty() ? until : std::min(until, deliveries_.front().when);
    set_now(std::max(now(), next));
  }
  while (!deliveries_.empty() && deliveries_.front().when <= now()) {
    std::pop_heap(deliveries_.begin(), deliveries_.end(), later);
    Delivery delivery = std::move(deliveries_.back());
    deliveries_.pop_back();
    deliver(delivery);
  }
  return true;
}

void SimLoop::deliver(Delivery& delivery) {
  if (delivery.kind == Delivery::Kind::kConnect) return deliver_connect(delivery);
  SimSocket* to = find(delivery.to);
  if (to == nullptr) {  // closed: bytes are answered with RST
    SimSocket* from = find(delivery.from);
    if (delivery.kind == Delivery::Kind::kData && from != nullptr) break_connection(*from, nullptr);
    return;
  }
  if (to->dead) return;
  switch (delivery.kind) {
    case Delivery::Kind::kData:
      to->inbox.insert(to->inbox.end(), delivery.bytes.begin(), delivery.bytes.end());
      break;
    case Delivery::Kind::kFin:
      to->fin_in = true;
      break;
    case Delivery::Kind::kReset:
      to->dead = true;
      to->error = to->fin_in ? EPIPE : ECONNRESET;
      break;
    case Delivery::Kind::kConnect:
      break;
  }
  wake_ops(*to);
}

void SimLoop::deliver_connect(Delivery& delivery) {
  SimSocket* socket = find(delivery.to);
  if (socket == nullptr) return;
  auto listener = listeners_.find(delivery.address);
  if (listener == listeners_.end()) {
    socket->state = SimSocket::State::kFresh;
    socket->error = ECONNREFUSED;
  } else {
    const int accepted = add_socket();
    SimSocket& far = at(accepted);
    far.state = socket->state = SimSocket::State::kOpen;
    far.peer = socket->fd;
    socket->peer = accepted;
    SimSocket& listening = at(listener->second);
    listening.backlog.push_back(accepted);
    wake_ops(listening);
  }
  wake_ops(*socket);
}

}  // namespace weft::io
