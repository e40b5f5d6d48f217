#include "ztunnel/hbone/stream.h"

#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/hbone/tunnel_core.h"

namespace weft::hbone {
namespace {

constexpr std::size_t kIdleSlices = 8;  // capacity that an idle stream may keep
static_assert(sizeof(StreamState) <= 384, "an idle stream's memory is budgeted (DESIGN §10)");

Error error_of(H2Code code) {
  switch (code) {
    case H2Code::kNoError:
    case H2Code::kCancel:
      return {Code::kClosed, 0, "peer closed the stream"};
    case H2Code::kStreamClosed:
      return {Code::kClosed, EPIPE, "peer stopped listening"};
    case H2Code::kRefusedStream:
      return {Code::kDraining, 0, "peer refused the stream"};
    default:
      return {Code::kClosed, ECONNRESET, "peer reset the stream"};
  }
}

}  // namespace

// ---- Received ----

Received::Received(Received&& other) noexcept
    : pieces_(other.pieces_),
      blocks_(std::move(other.blocks_)),
      count_(std::exchange(other.count_, 0)),
      size_(std::exchange(other.size_, 0)),
      stream_(std::move(other.stream_)) {}

Received& Received::operator=(Received&& other) noexcept {
  if (this == &other) return *this;
  done();
  pieces_ = other.pieces_;
  blocks_ = std::move(other.blocks_);
  count_ = std::exchange(other.count_, 0);
  size_ = std::exchange(other.size_, 0);
  stream_ = std::move(other.stream_);
  return *this;
}

void Received::done() {
  if (size_ == 0) return;
  for (std::size_t i = 0; i < count_; ++i) blocks_[i] = BlockRef();
  count_ = 0;
  stream_->returned(std::exchange(size_, 0));
  stream_.reset();
}

// ---- StreamState ----

StreamState::StreamState(std::shared_ptr<TunnelCore> core_of)
    : core(std::move(core_of)), readable(core->loop()), writable(core->loop()) {
  outbox.cookie = this;
}

StreamState::~StreamState() { WEFT_ASSERT(!has_data()); }

void StreamState::add(const BlockRef& block, std::span<const std::byte> data, bool compact) {
  std::span<std::byte> bytes(const_cast<std::byte*>(data.data()),
                             data.size());  // pieces of a Block, which is ours to view
  const BlockRef* home = &block;
  if (compact) {
    WEFT_ASSERT(data.size() <= kBlockBytes);
    if (!compact_ || kBlockBytes - compact_used_ < data.size()) {
      compact_ = BlockRef::make();
      compact_used_ = 0;
    }
    bytes = compact_.bytes().subspan(compact_used_, data.size());
    std::memcpy(bytes.data(), data.data(), data.size());
    compact_used_ += data.size();
    home = &compact_;
  }
  if (has_data() && slices_.back().block == *home &&
      slices_.back().bytes.data() + slices_.back().bytes.size() == bytes.data()) {
    slices_.back().bytes = {slices_.back().bytes.data(),
                            slices_.back().bytes.size() + bytes.size()};
  } else {
    slices_.push_back({*home, bytes});
    core->count_slices(+1);
  }
  readable.set();
}

Result<Received> StreamState::take() {
  if (!has_data()) {
    if (in_broken) return std::unexpected(in_error);
    WEFT_ASSERT(in_ended);
    return Received();
  }
  Received received;
  while (has_data() && received.count_ < Received::kPiecesMax) {
    Slice& slice = slices_[first_++];
    received.pieces_[received.count_] = {slice.bytes.data(), slice.bytes.size()};
    received.size_ += slice.bytes.size();
    received.blocks_[received.count_++] = std::move(slice.block);
  }
  core->count_slices(-static_cast<std::ptrdiff_t>(received.count_));
  received.stream_ = shared_from_this();
  if (!has_data()) {
    first_ = 0;
    slices_.clear();
    if (slices_.capacity() > kIdleSlices) slices_.shrink_to_fit();
    compact_ = BlockRef();
    if (!in_ended && !in_broken) readable.clear();
  }
  return received;
}

void StreamState::discard() {
  std::size_t bytes = 0;
  for (std::size_t i = first_; i < slices_.size(); ++i) bytes += slices_[i].bytes.size();
  core->count_slices(-static_cast<std::ptrdiff_t>(slices_.size() - first_));
  slices_.clear();
  first_ = 0;
  compact_ = BlockRef();
  if (bytes != 0) returned(bytes);
}

void StreamState::returned(std::size_t count) { core->consumed(*this, count); }

void StreamState::end_in() {
  in_ended = true;
  readable.set();
}

void StreamState::close(H2Code code) {
  const Error error = error_of(code);
  const bool orderly = code == H2Code::kNoError || code == H2Code::kCancel;
  if (!in_ended && !in_broken) {
    in_ended = orderly && answered;
    in_broken = !in_ended;
    in_error = error;
  }
  if (!outbox.finished && !out_broken) {
    out_broken = true;
    out_error = orderly ? Error{Code::kClosed, EPIPE, error.where} : error;
  }
  readable.set();
  writable.set();
}

void StreamState::break_both(const Error& error) {
  if (!in_ended && !in_broken) {
    in_broken = true;
    in_error = error;
  }
  if (!outbox.finished && !out_broken) {
    out_broken = true;
    out_error = error;
  }
  outbox.pending = {};
  readable.set();
  writable.set();
}

// ---- the awaiters ----

ReadOp::ReadOp(StreamState& state, Deadline deadline)
    : state_(state), wait_(state.readable.wait(deadline)) {}

Result<Received> ReadOp::await_resume() {
  const Result<void> woken = wait_.await_resume();
  if (!woken) return std::unexpected(woken.error());
  return state_.take();
}

WriteOp::WriteOp(StreamState& state, std::span<const std::byte> bytes, Deadline deadline)
    : state_(state), bytes_(bytes), wait_(state.writable.wait(deadline)) {}

bool WriteOp::await_ready() {
  if (state_.out_broken || bytes_.empty()) return true;
  WEFT_ASSERT(state_.outbox.pending.empty());
  WEFT_ASSERT(!state_.outbox.finish);
  state_.outbox.pending = bytes_;
  state_.writable.clear();
  state_.core->offer(state_);
  return state_.writable.is_set();
}

Result<void> WriteOp::await_resume() {
  if (state_.outbox.pending.empty() && !state_.out_broken) return {};
  state_.outbox.pending = {};
  if (state_.out_broken) return std::unexpected(state_.out_error);
  return std::unexpected(wait_.await_resume().error());
}

// ---- Stream ----

Stream::Stream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Stream::~Stream() {
  if (state_ != nullptr) state_->core->abandon(*state_);
}

io::Event::Wait Stream::readable(Deadline deadline) { return state_->readable.wait(deadline); }
bool Stream::is_readable() const { return state_->readable.is_set(); }

void Stream::finish() {
  WEFT_ASSERT(state_->outbox.pending.empty());
  if (state_->out_broken || state_->outbox.finish) return;
  state_->outbox.finish = true;
  state_->core->offer(*state_);
}

void Stream::reset() { state_->core->reset(*state_, H2Code::kConnectError); }
const std::string& Stream::response_baggage() const { return state_->response.baggage; }
bool Stream::read_ended() const {
  return state_->in_broken || (state_->in_ended && !state_->has_data());
}
bool Stream::write_ended() const { return state_->out_broken || state_->outbox.finish; }

const Error* Stream::broken() const {
  if (state_->in_broken) return &state_->in_error;
  return state_->out_broken && state_->out_error.os == ECONNRESET ? &state_->out_error : nullptr;
}

// ---- IncomingStream ----

IncomingStream::IncomingStream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
IncomingStream::IncomingStream(IncomingStream&&) noexcept = default;

IncomingStream& IncomingStream::operator=(IncomingStream&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

IncomingStream::~IncomingStream() {
  if (state_ != nullptr) refuse(kStatusServiceUnavailable);
}

const ConnectRequest& IncomingStream::request() const { return *state_->request; }
const mesh::Identity& IncomingStream::peer() const { return state_->core->peer(); }

Stream IncomingStream::accept(std::string baggage) {
  state_->core->respond(*state_, {kStatusOk, std::move(baggage)});
  return Stream(std::move(state_));
}

void IncomingStream::refuse(int status) {
  state_->core->refuse(*state_, status);
  state_.reset();
}

}  // namespace weft::hbone
