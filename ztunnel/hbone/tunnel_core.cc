#include "ztunnel/hbone/tunnel_core.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "ztunnel/io/ops.h"

namespace weft::hbone {
namespace {

constexpr std::chrono::seconds kSendStallMax{30};         // a peer that takes nothing for so long is gone
constexpr std::chrono::milliseconds kFarewellMax{1000};   // for the last bytes of an orderly end
constexpr std::size_t kSlicesMax = 64;                    // views into blocks before small data is copied together

StreamState& stream_of(void* cookie) { return *static_cast<StreamState*>(cookie); }

}  // namespace

// The two coroutines.
struct TunnelRun {
  static io::Spawned read(io::Scope&, std::shared_ptr<TunnelCore> core) {
    io::Loop& loop = core->loop_;
    while (!core->ended_) {
      auto got = co_await io::recv_buffer(loop, core->fd_.get());
      if (!got) {
        core->fail({Code::kClosed, ECONNRESET, "tunnel broke"}, describe(got.error()));
      } else if (got->empty()) {
        core->fail({Code::kClosed, ECONNRESET, "peer closed the tunnel"}, "peer closed the connection");
      } else {
        core->engine_.feed(got->bytes());
        core->read_fed();
      }
    }
    core->coroutine_ended();
  }

  static io::Spawned write(io::Scope&, std::shared_ptr<TunnelCore> core) {
    io::Loop& loop = core->loop_;
    for (;;) {
      core->keep_alive();
      core->make_frames();
      core->seal_plain();
      if (core->ended_) break;
      const bool over = core->sealing_.empty() && core->session_.is_over();
      if (over) core->engine_.close_notify(core->sealing_);
      if (core->sealing_.empty() && !over) {
        core->release_buffers();
        auto woken = co_await core->wake_.wait(core->next_timer());
        (void)woken;  // a timer is seen to by keep_alive()
        core->wake_.clear();
        continue;
      }
      std::swap(core->flying_, core->sealing_);
      const Deadline deadline = over ? loop.in(kFarewellMax) : loop.in(kSendStallMax);
      auto sent = co_await io::send_all(loop, core->fd_.get(), core->flying_.bytes(), deadline);
      core->flying_.clear();
      if (!sent) core->fail({Code::kClosed, ECONNRESET, "tunnel broke"}, describe(sent.error()));
      if (!over) continue;
      // A close() while the peer still sends (credit, PINGs) would be a RST, and that may overtake the last bytes of our streams.
      loop.shutdown_write(core->fd_.get());
      while (!core->ended_ && !deadline.passed(loop.now())) {
        core->wake_.clear();
        auto woken = co_await core->wake_.wait(deadline);
        (void)woken;
      }
      core->fail({Code::kClosed, 0, "tunnel ended"}, {});
    }
    core->coroutine_ended();
  }
};

TunnelCore::TunnelCore(io::Loop& loop, Fd fd, tls::Engine engine, Session::Role role)
    : loop_(loop),
      role_(role),
      fd_(std::move(fd)),
      engine_(std::move(engine)),
      session_(role, *this, granted_.windows()),
      wake_(loop),
      last_used_(loop.now()),
      ready_(loop),
      incoming_(loop),
      ping_at_(loop.now() + kPingInterval) {}

TunnelCore::~TunnelCore() { WEFT_ASSERT(first_ == nullptr); }

void TunnelCore::start(io::Scope& scope, tls::Output early) {
  sealing_ = std::move(early);
  read_fed();
  running_ = 2;
  TunnelRun::write(scope, shared_from_this());
  TunnelRun::read(scope, shared_from_this());
}

void TunnelCore::coroutine_ended() {
  if (--running_ != 0) return;
  release_buffers();
  loop_.close(std::move(fd_));
}

void TunnelCore::fail(const Error& error, std::string reason) {
  if (ended_) return;
  ended_ = true;
  if (*session_.trouble() == '\0') {
    error_ = error;
    end_reason_ = reason.empty() ? error.where : std::move(reason);
  } else {  // a peer that broke the protocol may hang up before we do: what it broke is the reason
    error_ = {Code::kMalformed, 0, session_.trouble()};
    end_reason_ = session_.trouble_detail();
  }
  queue_.clear();
  while (first_ != nullptr) {
    first_->break_both({Code::kClosed, ECONNRESET, error.where});
    leave(*first_);
  }
  ready_.set();
  incoming_.set();
  wake_.set();
  if (fd_.valid()) loop_.cancel(fd_.get());
}

// ---- bytes in ----

void TunnelCore::read_fed() {
  std::size_t used = 0;
  while (!ended_) {
    if (!block_ || kBlockBytes - used < tls::kRecordPayload) {
      block_ = BlockRef::make();
      used = 0;
    }
    const std::span<std::byte> room = block_.bytes().subspan(used);
    const Result<std::size_t> got = engine_.read(room, sealing_);
    if (!got) {
      fail(got.error(), engine_.detail());
      break;
    }
    if (*got == 0) break;
    const Result<void> taken = session_.receive(room.first(*got));
    if (!taken) fail(taken.error(), {});
    if (block_.shared()) used += *got;
  }
  block_ = BlockRef();
  if (!ended_ && (session_.wants_send() || session_.is_over() || !sealing_.empty())) wake_writer();
}

void TunnelCore::on_data(void* cookie, std::span<const std::byte> data) {
  StreamState& stream = stream_of(cookie);
  if (stream.abandoned) {
    session_.consume_stream(stream.id, data.size());
    session_.consume_connection(data.size());
    return;
  }
  buffered_ += data.size();
  if (buffered_ <= granted_.windows().connection) {  // while streams hold less, the connection's window is opened at once
    session_.consume_connection(data.size());
  } else {
    owed_ += data.size();
  }
  stream.add(block_, data, slices_ >= kSlicesMax);
}

void TunnelCore::consumed(StreamState& stream, std::size_t count) {
  buffered_ -= count;
  if (ended_) return;
  if (stream.self != nullptr) session_.consume_stream(stream.id, count);
  const std::size_t credit = std::min(owed_, count);
  owed_ -= credit;
  if (credit != 0) session_.consume_connection(credit);
  if (session_.wants_send()) wake_writer();
}

// ---- bytes out ----

void TunnelCore::make_frames() {
  if (ended_ || send_full()) return;
  const Result<void> sent = session_.send(*this);
  if (!sent) fail(sent.error(), {});
}

bool TunnelCore::put(std::span<const std::byte> head, std::span<const std::byte> payload) {
  append_plain(head);
  append_plain(payload);
  return !send_full();
}

void TunnelCore::append_plain(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (plain_ == nullptr) plain_ = std::make_unique_for_overwrite<std::byte[]>(tls::kRecordPayload);
    const std::size_t count = std::min(bytes.size(), tls::kRecordPayload - plain_size_);
    std::memcpy(plain_.get() + plain_size_, bytes.data(), count);
    plain_size_ += count;
    bytes = bytes.subspan(count);
    if (plain_size_ == tls::kRecordPayload) seal_plain();
  }
}

void TunnelCore::seal_plain() {
  if (plain_size_ == 0 || ended_) return;
  const Result<void> sealed = engine_.write({plain_.get(), plain_size_}, sealing_);
  plain_size_ = 0;
  if (!sealed) fail(sealed.error(), engine_.detail());
}

void TunnelCore::release_buffers() {
  plain_.reset();
  sealing_.release();
  flying_.release();
}

// ---- streams ----

void TunnelCore::enroll(StreamState& stream) {
  stream.self = stream.shared_from_this();
  stream.next = first_;
  if (first_ != nullptr) first_->previous = &stream;
  first_ = &stream;
  ++streams_;
  last_used_ = loop_.now();
}

void TunnelCore::leave(StreamState& stream) {
  (stream.previous != nullptr ? stream.previous->next : first_) = stream.next;
  if (stream.next != nullptr) stream.next->previous = stream.previous;
  stream.next = stream.previous = nullptr;
  --streams_;
  last_used_ = loop_.now();
  stream.self.reset();  // may be its end
}

Result<void> TunnelCore::request(StreamState& stream, const ConnectRequest& request) {
  if (ended_) return std::unexpected(error_);
  Result<StreamId> id = session_.request(request, stream.outbox);
  if (!id) return std::unexpected(id.error());
  stream.id = *id;
  enroll(stream);
  make_frames();
  wake_writer();
  return {};
}

void TunnelCore::respond(StreamState& stream, ConnectResponse response) {
  stream.answered = true;
  stream.request.reset();
  if (stream.self == nullptr) return;  // reset meanwhile
  const Result<void> answered = session_.respond(stream.id, response, stream.outbox);
  if (!answered) stream.break_both(answered.error());
  make_frames();
  wake_writer();
}

void TunnelCore::refuse(StreamState& stream, int status) {
  stream.abandoned = true;
  stream.discard();
  if (stream.self == nullptr) return;
  session_.refuse(stream.id, status);
  wake_writer();
}

void TunnelCore::offer(StreamState& stream) {
  if (stream.self == nullptr) return;
  session_.offer(stream.id);
  make_frames();
  wake_writer();
}

void TunnelCore::reset(StreamState& stream, H2Code code) {
  stream.break_both({Code::kClosed, ECONNRESET, "reset here"});
  stream.abandoned = true;
  stream.discard();
  if (stream.self == nullptr) return;
  session_.reset(stream.id, code);
  wake_writer();
}

void TunnelCore::abandon(StreamState& stream) {
  const bool whole = stream.in_ended && stream.outbox.finish;
  stream.abandoned = true;
  stream.discard();
  stream.outbox.pending = {};
  if (whole || stream.in_broken || stream.self == nullptr) return;
  session_.reset(stream.id, H2Code::kCancel);
  wake_writer();
}

std::shared_ptr<StreamState> TunnelCore::pop_incoming() {
  std::shared_ptr<StreamState> stream;
  if (!queue_.empty()) {
    stream = std::move(queue_.front());
    queue_.erase(queue_.begin());
  }
  if (queue_.empty() && !ended_) incoming_.clear();
  return stream;
}

// ---- events of the session ----

void TunnelCore::on_settings() {
  has_settings_ = true;
  ready_.set();
}

void* TunnelCore::on_request(StreamId id, ConnectRequest&& request, bool ended) {
  if (handle_dropped_) return nullptr;
  auto stream = std::make_shared<StreamState>(shared_from_this());
  stream->id = id;
  stream->request = std::make_unique<ConnectRequest>(std::move(request));
  if (ended) stream->end_in();
  enroll(*stream);
  queue_.push_back(stream);
  incoming_.set();
  return stream.get();
}

void TunnelCore::on_response(void* cookie, ConnectResponse&& response) {
  StreamState& stream = stream_of(cookie);
  stream.response = std::move(response);
  stream.answered = true;
  stream.writable.set();
}

void TunnelCore::on_end(void* cookie) { stream_of(cookie).end_in(); }
void TunnelCore::on_sent(void* cookie) { stream_of(cookie).writable.set(); }

void TunnelCore::on_close(void* cookie, H2Code code) {
  StreamState& stream = stream_of(cookie);
  std::erase_if(queue_, [&stream](const auto& waiting) { return waiting.get() == &stream; });
  stream.close(code);
  leave(stream);
  shut_if_idle();
}

void TunnelCore::on_ping_ack() {
  ack_by_.reset();
  if (draining_) session_.shutdown();  // whatever the peer opened before it saw the announcement has arrived
}

void TunnelCore::on_goaway(StreamId, H2Code) { last_used_ = loop_.now(); }

// ---- ends ----

void TunnelCore::drain() {
  if (ended_ || draining_) return;
  draining_ = true;
  session_.announce_shutdown();
  if (role_ == Session::Role::kServer) {
    session_.ping();
    if (!ack_by_) ack_by_ = loop_.now() + kPingTimeout;
  }
  wake_writer();
}

void TunnelCore::drop_handle() {
  handle_dropped_ = true;
  if (ended_) return;
  const std::vector<std::shared_ptr<StreamState>> waiting = std::move(queue_);
  queue_.clear();
  for (const auto& stream : waiting) refuse(*stream, kStatusServiceUnavailable);
  if (role_ == Session::Role::kServer) drain();
  shut_if_idle();
}

void TunnelCore::shut_if_idle() {
  if (role_ == Session::Role::kClient && handle_dropped_ && streams_ == 0 && !ended_ && !draining_) {
    draining_ = true;
    session_.shutdown();
  }
  wake_writer();
}

void TunnelCore::keep_alive() {
  if (ended_) return;
  const Clock::time_point now = loop_.now();
  if (ack_by_ && now >= *ack_by_) {
    fail({Code::kTimedOut, 0, "ping was not answered"}, {});
    return;
  }
  if (now < ping_at_) return;
  ping_at_ = now + kPingInterval;
  if (ack_by_) return;
  ack_by_ = now + kPingTimeout;
  session_.ping();
}

Deadline TunnelCore::next_timer() const { return {ack_by_ ? std::min(*ack_by_, ping_at_) : ping_at_}; }

}  // namespace weft::hbone
