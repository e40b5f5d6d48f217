// What nghttp2 tells us, turned into Session's events. Every callback's last argument is the session's Parts.
#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "ztunnel/hbone/session_parts.h"

namespace weft::hbone {
namespace {

using Parts = Session::Parts;

Parts& parts_of(void* user) { return *static_cast<Parts*>(user); }
std::string_view view(const std::uint8_t* bytes, std::size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }
std::span<const std::byte> as_span(const std::uint8_t* bytes, std::size_t size) { return std::as_bytes(std::span(bytes, size)); }

// ---- received ----

int on_begin_headers(nghttp2_session*, const nghttp2_frame*, void* user) {
  parts_of(user).head = {};
  return 0;
}

void take_request_field(ConnectRequest& request, std::string_view name, std::string_view value) {
  if (name == ":method") {
    request.is_connect = value == "CONNECT";
  } else if (name == ":authority") {
    request.authority = value;
  } else if (name == "baggage") {
    request.baggage = value;
  } else if (name == "forwarded") {
    request.forwarded = value;
  } else if (name == "traceparent") {
    request.traceparent = value;
  } else if (name == "x-forwarded-network") {
    request.forwarded_network = value;
  }
}

void take_response_field(ConnectResponse& response, std::string_view name, std::string_view value) {
  if (name == ":status") {
    std::from_chars(value.data(), value.data() + value.size(), response.status);
  } else if (name == "baggage") {
    response.baggage = value;
  }
}

int on_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
              std::size_t value_size, std::uint8_t, void* user) {
  Parts& parts = parts_of(user);
  const bool server = parts.role == Session::Role::kServer;
  parts.head.bytes += name_size + value_size + 32;
  if (parts.head.bytes > (server ? kServerHeaderListMax : kClientHeaderListMax)) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (server) {
    take_request_field(parts.head.request, view(name, name_size), view(value, value_size));
  } else {
    take_response_field(parts.head.response, view(name, name_size), view(value, value_size));
  }
  return 0;
}

void on_head(Parts& parts, const nghttp2_frame& frame) {
  const StreamId id = frame.hd.stream_id;
  const bool ended = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (parts.role == Session::Role::kServer && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    if (!parts.head.request.is_connect) {
      submit_refusal(parts.session, id, kStatusBadRequest);
      return;
    }
    void* cookie = parts.listener.on_request(id, std::move(parts.head.request), ended);
    if (cookie == nullptr) {
      nghttp2_submit_rst_stream(parts.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    } else {
      nghttp2_session_set_stream_user_data(parts.session, id, cookie);
    }
    return;
  }
  void* cookie = parts.cookie(id);
  if (cookie == nullptr) return;
  const int status = parts.head.response.status;
  if (parts.role == Session::Role::kClient && status >= 200) parts.listener.on_response(cookie, std::move(parts.head.response));
  if (ended) parts.listener.on_end(cookie);
}

int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  Parts& parts = parts_of(user);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      on_head(parts, *frame);
      break;
    case NGHTTP2_DATA:
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        if (void* cookie = parts.cookie(frame->hd.stream_id)) parts.listener.on_end(cookie);
      }
      break;
    case NGHTTP2_SETTINGS:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 && !parts.settings_seen) {
        parts.settings_seen = true;
        parts.listener.on_settings();
      }
      break;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) parts.listener.on_ping_ack();
      break;
    case NGHTTP2_GOAWAY:
      parts.goaway_seen = true;
      parts.listener.on_goaway(frame->goaway.last_stream_id, static_cast<H2Code>(frame->goaway.error_code));
      break;
    default:
      break;
  }
  return 0;
}

int on_data_chunk(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void* user) {
  Parts& parts = parts_of(user);
  if (void* cookie = parts.cookie(id)) {
    parts.listener.on_data(cookie, as_span(data, size));
  } else {
    nghttp2_session_consume(session, id, size);
  }
  return 0;
}

void forget_unsent(Parts& parts, StreamId id) {
  std::erase_if(parts.unsent, [id](const auto& entry) { return entry.first == id; });
}

int on_stream_close(nghttp2_session* session, std::int32_t id, std::uint32_t code, void* user) {
  Parts& parts = parts_of(user);
  void* cookie = parts.cookie(id);
  if (cookie == nullptr) return 0;
  nghttp2_session_set_stream_user_data(session, id, nullptr);
  if (parts.role == Session::Role::kClient) --parts.requests_open;
  forget_unsent(parts, id);
  parts.listener.on_close(cookie, static_cast<H2Code>(code));
  return 0;
}

// ---- sent ----

// A rest so small goes out with the rest of its write even when the sink has enough: alone it would cost a record and a send.
constexpr std::size_t kTailMax = 2048;

ssize_t on_send(nghttp2_session*, const std::uint8_t* data, std::size_t size, int, void* user) {
  Parts& parts = parts_of(user);
  if (!parts.sink->put(as_span(data, size), {})) parts.sink_full = true;
  return static_cast<ssize_t>(size);
}

ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t length, std::uint32_t* flags, nghttp2_data_source* source,
                  void* user) {
  Parts& parts = parts_of(user);
  Outbox& outbox = *static_cast<Outbox*>(source->ptr);
  if (outbox.pending.empty() && !outbox.finish) return NGHTTP2_ERR_DEFERRED;
  if (parts.sink_full && outbox.pending.size() > kTailMax) return NGHTTP2_ERR_PAUSE;
  const std::size_t count = std::min(length, outbox.pending.size());
  *flags = NGHTTP2_DATA_FLAG_NO_COPY;
  if (outbox.finish && count == outbox.pending.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(count);
}

// Frames that fill a TLS record each; nghttp2 has seen to windows and to the peer's MAX_FRAME_SIZE.
ssize_t choose_length(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t session_window, std::int32_t stream_window,
                      std::uint32_t frame_max, void*) {
  const std::size_t window = static_cast<std::size_t>(std::min(session_window, stream_window));
  return static_cast<ssize_t>(std::min({window, std::size_t{frame_max}, kDataPayload}));
}

int send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head, std::size_t length, nghttp2_data_source* source,
              void* user) {
  Parts& parts = parts_of(user);
  Outbox& outbox = *static_cast<Outbox*>(source->ptr);
  WEFT_ASSERT(frame->data.padlen == 0);
  WEFT_ASSERT(length <= outbox.pending.size());
  const bool more = parts.sink->put(as_span(head, 9), outbox.pending.first(length));
  outbox.pending = outbox.pending.subspan(length);
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) outbox.finished = true;
  if (outbox.pending.empty()) parts.listener.on_sent(outbox.cookie);
  if (!more) parts.sink_full = true;
  return more || (!outbox.pending.empty() && outbox.pending.size() <= kTailMax) ? 0 : NGHTTP2_ERR_PAUSE;
}

// After a refusal the request is not over, and nobody will read it: let the peer stop (RFC 9113 §8.1). Not earlier: nghttp2 drops
// what is queued for a stream once RST_STREAM is.
void stop_refused(nghttp2_session* session, StreamId id) {
  if (nghttp2_session_get_stream_remote_close(session, id) == 0) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
  }
}

int on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  Parts& parts = parts_of(user);
  if (frame->hd.type == NGHTTP2_HEADERS) {
    forget_unsent(parts, frame->hd.stream_id);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stop_refused(session, frame->hd.stream_id);
  }
  if (frame->hd.type == NGHTTP2_GOAWAY) {
    parts.goaway_sent = true;
    if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
      parts.trouble = nghttp2_http2_strerror(frame->goaway.error_code);
      parts.trouble_detail = view(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
    }
  }
  return 0;
}

// A request that nghttp2 could not start any more never became a stream, so no on_stream_close will come.
int on_frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
  Parts& parts = parts_of(user);
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  const auto entry = std::ranges::find(parts.unsent, frame->hd.stream_id, &std::pair<StreamId, void*>::first);
  if (entry == parts.unsent.end()) return 0;
  void* cookie = entry->second;
  parts.unsent.erase(entry);
  --parts.requests_open;
  parts.listener.on_close(cookie, H2Code::kRefusedStream);
  return 0;
}

nghttp2_session_callbacks* make_callbacks() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
  nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
  nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, choose_length);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
  return callbacks;
}

}  // namespace

const nghttp2_session_callbacks* session_callbacks() {
  static const nghttp2_session_callbacks* const callbacks = make_callbacks();
  return callbacks;
}

nghttp2_data_provider body_of(Outbox& outbox) { return {.source = {.ptr = &outbox}, .read_callback = read_body}; }

}  // namespace weft::hbone
