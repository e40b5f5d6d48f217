// Session: one end of an HBONE HTTP/2 connection, without I/O: frames in by receive(), frames out by send(). Over nghttp2.
// One thread. Callbacks to the Listener run inside receive() and send(): they may call no function of this Session except offer(),
// consume() and reset().
// Source: ambient-protocol facts §1.4 (settings), §1.5, §1.7 (heads), §1.10 (END_STREAM, RST_STREAM), §1.11 (GOAWAY).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "ztunnel/hbone/head.h"

struct nghttp2_session;

namespace weft::hbone {

using StreamId = std::int32_t;

inline constexpr std::uint32_t kStreamWindow = 4u << 20;
inline constexpr std::uint32_t kConnectionWindow = 16u << 20;
inline constexpr std::uint32_t kFrameSizeMax = 1u << 20;
inline constexpr std::uint32_t kClientHeaderListMax = 16384;
inline constexpr std::uint32_t kServerHeaderListMax = 65536;
inline constexpr std::uint32_t kServerStreamsMax = 200;
inline constexpr std::uint32_t kStreamsBeforeSettings = 100;  // a client's guess until the peer has spoken
// DATA payload that fills one TLS record together with its frame header.
inline constexpr std::size_t kDataPayload = 16384 - 9;

// What a peer may send before we read it.
struct Windows {
  std::uint32_t connection = kConnectionWindow;
  std::uint32_t stream = kStreamWindow;
};

// HTTP/2 error codes we give a meaning (RFC 9113 §7).
enum class H2Code : std::uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kStreamClosed = 5,
  kRefusedStream = 7,
  kCancel = 8,
  kConnectError = 10,  // the application's connection was reset: our RST_STREAM for an abnormal end
  kEnhanceYourCalm = 11,
};

// What a stream has to send. Owned by the stream's owner, alive from request()/respond() until on_close().
struct Outbox {
  std::span<const std::byte> pending;  // borrowed until it is empty; shrinks as frames are made
  bool finish = false;                 // END_STREAM after `pending`
  bool finished = false;               // END_STREAM was framed
  void* cookie = nullptr;              // the stream's, for the Listener
};

class Session {
 public:
  enum class Role : std::uint8_t { kClient, kServer };

  class Listener {
   public:
    virtual void on_settings() = 0;  // the peer's first SETTINGS: the preface is done
    // Server: a CONNECT arrived (any other method was answered 400 by the session). The return value becomes the stream's cookie, given back in every other call; nullptr refuses.
    virtual void* on_request(StreamId id, ConnectRequest&& request, bool ended) = 0;
    // Client: the (final) response head.
    virtual void on_response(void* cookie, ConnectResponse&& response) = 0;
    // `data` points into the bytes given to receive(). Flow control: consume() what was received, sooner or later.
    virtual void on_data(void* cookie, std::span<const std::byte> data) = 0;
    virtual void on_end(void* cookie) = 0;  // END_STREAM came
    virtual void on_sent(void* cookie) = 0;  // Outbox::pending became empty, or END_STREAM was framed
    virtual void on_close(void* cookie, H2Code code) = 0;  // last call for this stream
    virtual void on_ping_ack() = 0;
    virtual void on_goaway(StreamId last, H2Code code) = 0;

   protected:
    ~Listener() = default;
  };

  // Takes frames. `head` and `payload` are one after the other on the wire. Returns false when no more should come now.
  class Sink {
   public:
    virtual bool put(std::span<const std::byte> head, std::span<const std::byte> payload) = 0;

   protected:
    ~Sink() = default;
  };

  // `listener` outlives the session. Our preface (SETTINGS, connection window) is queued at once.
  Session(Role role, Listener& listener, Windows windows = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Errors: kMalformed (not HTTP/2, or a connection error by the peer: a GOAWAY is queued).
  Result<void> receive(std::span<const std::byte> bytes);
  // Makes frames until there is nothing to send or the sink has enough. Errors: kSystem (out of memory), kMalformed.
  Result<void> send(Sink& sink);
  bool wants_send() const;
  // Neither side has anything more to say: after GOAWAY and the last stream.
  bool is_over() const;

  // Client: starts a stream. Errors: kExhausted (ids or the peer's limit are used up), kDraining (GOAWAY was seen or sent).
  Result<StreamId> request(const ConnectRequest& request, Outbox& outbox);
  // Server: 200; `outbox` is what the stream sends from now on.
  Result<void> respond(StreamId id, const ConnectResponse& response, Outbox& outbox);
  // Server: any other status; HEADERS with END_STREAM, and the stream is over.
  void refuse(StreamId id, int status);

  void offer(StreamId id);                         // the Outbox has something new
  void consume_stream(StreamId id, std::size_t count);  // the reader took this much: opens the stream's window
  void consume_connection(std::size_t count);           // … and the connection's
  void reset(StreamId id, H2Code code);
  void ping();
  // Graceful: the first call announces (last stream = MAX), the second tells the real last stream. A client sends the real one at once.
  void announce_shutdown();
  void shutdown(H2Code code = H2Code::kNoError);

  std::uint32_t peer_streams_max() const;  // kStreamsBeforeSettings until on_settings
  bool draining() const;                   // no new streams: GOAWAY either way
  const char* trouble() const;             // why we sent a GOAWAY that is an error, or ""; static text
  const std::string& trouble_detail() const;  // nghttp2's sentence for it, for logs

  struct Parts;  // session_parts.h

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace weft::hbone
