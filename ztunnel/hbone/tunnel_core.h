// TunnelCore: what ClientTunnel and ServerTunnel share. Inside of the room; the story is in tunnel.h.
//
// Bytes out:  Stream::write → Session::send → put() → plain_ (a record being filled) → sealing_ → [writer swaps] → flying_ → socket
// Bytes in:   socket → loop's Buffer → Engine::read → Block → Session::receive → on_data → StreamState (views into the Block)
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ztunnel/hbone/granted.h"
#include "ztunnel/hbone/session.h"
#include "ztunnel/hbone/stream.h"
#include "ztunnel/hbone/tunnel.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/tls/engine.h"

namespace weft::hbone {

class TunnelCore final : public std::enable_shared_from_this<TunnelCore>, private Session::Listener, private Session::Sink {
 public:
  TunnelCore(io::Loop& loop, Fd fd, tls::Engine engine, Session::Role role);
  ~TunnelCore();

  // TLS is done; starts reader and writer. `early` output of the handshake is sent first, and what the engine was fed and has not
  // consumed is read now.
  void start(io::Scope& scope, tls::Output early);

  io::Loop& loop() { return loop_; }
  Session& session() { return session_; }
  const mesh::Identity& peer() const { return engine_.peer_identity(); }
  bool alive() const { return !ended_; }
  const std::string& end_reason() const { return end_reason_; }
  const Error& error() const { return error_; }
  const std::string& detail() const { return engine_.detail(); }
  std::size_t streams() const { return streams_; }
  bool has_settings() const { return has_settings_; }
  Clock::time_point last_used() const { return last_used_; }

  // Set at the first SETTINGS, and when the tunnel ends.
  io::Event& ready() { return ready_; }
  // Server: set when something waits in the queue, and when the tunnel ended.
  io::Event& incoming() { return incoming_; }
  std::shared_ptr<StreamState> pop_incoming();

  // For streams.
  Result<void> request(StreamState& stream, const ConnectRequest& request);
  void respond(StreamState& stream, ConnectResponse response);
  void refuse(StreamState& stream, int status);
  void offer(StreamState& stream);
  void consumed(StreamState& stream, std::size_t count);
  void reset(StreamState& stream, H2Code code);
  void abandon(StreamState& stream);  // its user is gone
  void count_slices(std::ptrdiff_t change) { slices_ += static_cast<std::size_t>(change); }

  // The user's handle is gone, or wants no more streams: end in order with the last stream.
  void drain();
  void drop_handle();
  // Ends now. Idempotent; the first reason stays.
  void fail(const Error& error, std::string reason);

 private:
  friend struct TunnelRun;

  // Session::Listener
  void on_settings() override;
  void* on_request(StreamId id, ConnectRequest&& request, bool ended) override;
  void on_response(void* cookie, ConnectResponse&& response) override;
  void on_data(void* cookie, std::span<const std::byte> data) override;
  void on_end(void* cookie) override;
  void on_sent(void* cookie) override;
  void on_close(void* cookie, H2Code code) override;
  void on_ping_ack() override;
  void on_goaway(StreamId last, H2Code code) override;
  // Session::Sink
  bool put(std::span<const std::byte> head, std::span<const std::byte> payload) override;

  void enroll(StreamState& stream);
  void leave(StreamState& stream);
  void read_fed();         // decrypts what was fed and gives it to the session
  void append_plain(std::span<const std::byte> bytes);
  void seal_plain();
  void make_frames();      // session → sealing_, until enough
  void wake_writer() { wake_.set(); }
  void shut_if_idle();
  void keep_alive();
  Deadline next_timer() const;
  bool send_full() const { return sealing_.size() + plain_size_ >= kFlushBytes; }
  void release_buffers();
  void coroutine_ended();

  // Set once.
  io::Loop& loop_;
  const Session::Role role_;

  Fd fd_;
  tls::Engine engine_;
  const Granted granted_;
  Session session_;
  int running_ = 0;  // coroutines
  bool ended_ = false;
  Error error_{};
  std::string end_reason_;

  // Sending.
  tls::Output sealing_, flying_;
  std::unique_ptr<std::byte[]> plain_;
  std::size_t plain_size_ = 0;
  io::Event wake_;

  // Receiving.
  BlockRef block_;  // during read_fed
  std::size_t slices_ = 0;    // views that streams hold
  std::size_t buffered_ = 0;  // bytes that streams hold
  std::size_t owed_ = 0;      // of these, credit of the connection not given back yet

  // Streams.
  StreamState* first_ = nullptr;
  std::size_t streams_ = 0;
  std::vector<std::shared_ptr<StreamState>> queue_;
  Clock::time_point last_used_;
  bool draining_ = false;
  bool handle_dropped_ = false;
  bool has_settings_ = false;
  io::Event ready_, incoming_;

  // Keep-alive.
  Clock::time_point ping_at_;
  std::optional<Clock::time_point> ack_by_;
};

}  // namespace weft::hbone
