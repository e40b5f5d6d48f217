// StreamState: one stream of a tunnel, shared by its user (Stream, IncomingStream, Received) and, while HTTP/2 knows it, the tunnel.
//
//   direction in:   open ─END_STREAM, RST NO_ERROR/CANCEL→ ended      open ─reset, tunnel gone→ broken
//   direction out:  open ─finish()→ finishing ─framed→ finished        open ─reset, tunnel gone→ broken
//
// Inside of the room; users see tunnel.h. Thread: the loop's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ztunnel/hbone/block.h"
#include "ztunnel/hbone/head.h"
#include "ztunnel/hbone/session.h"
#include "ztunnel/io/event.h"

namespace weft::hbone {

class TunnelCore;

class StreamState : public std::enable_shared_from_this<StreamState> {
 public:
  explicit StreamState(std::shared_ptr<TunnelCore> core);
  ~StreamState();

  // Files bytes that lie in `block`; copies them when `compact` (readers are far behind, and a view would hold a whole block).
  void add(const BlockRef& block, std::span<const std::byte> data, bool compact);
  // Up to Received::kPiecesMax pieces, the end, or the failure. REQUIRES: readable is set.
  Result<Received> take();
  void discard();  // what was not read
  bool has_data() const { return first_ < slices_.size(); }

  // END_STREAM came.
  void end_in();
  // HTTP/2 closed the stream, or the tunnel broke (then `error` says how). Idempotent.
  void close(H2Code code);
  void break_both(const Error& error);

  // Told by Received.
  void returned(std::size_t count);

  // Set once.
  const std::shared_ptr<TunnelCore> core;
  StreamId id = 0;

  std::shared_ptr<StreamState> self;  // while the session may call with this as a cookie
  StreamState* next = nullptr;        // among the tunnel's open streams
  StreamState* previous = nullptr;
  Outbox outbox;
  std::unique_ptr<ConnectRequest> request;  // server, until answered
  ConnectResponse response;                 // client
  bool answered = false;
  bool abandoned = false;  // nobody reads any more
  bool in_ended = false;
  bool in_broken = false, out_broken = false;
  Error in_error{}, out_error{};
  io::Event readable;  // data, the end, or a failure
  io::Event writable;  // Outbox::pending is empty, or a failure; before the answer: answered

 private:
  struct Slice {
    BlockRef block;
    std::span<std::byte> bytes;
  };
  std::vector<Slice> slices_;
  std::size_t first_ = 0;  // slices_ before it were taken
  BlockRef compact_;       // where copies go
  std::size_t compact_used_ = 0;
};

}  // namespace weft::hbone
