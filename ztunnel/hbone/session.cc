#include "ztunnel/hbone/session.h"

#include <array>

#include "base/assert.h"
#include "ztunnel/hbone/session_parts.h"

namespace weft::hbone {
namespace {

// Names and values are borrowed: nghttp2 copies them into the header block when it submits.
nghttp2_nv field(std::string_view name, std::string_view value, std::uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
  auto* name_bytes = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data()));
  auto* value_bytes = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
  return {name_bytes, value_bytes, name.size(), value.size(), flags};
}

class Fields {
 public:
  void add(std::string_view name, std::string_view value, std::uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
    fields_[count_++] = field(name, value, flags);
  }
  // Left out when empty. What is new with every connection stays out of the compressor's table.
  void add_optional(std::string_view name, std::string_view value, std::uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
    if (!value.empty()) add(name, value, flags);
  }
  const nghttp2_nv* data() const { return fields_.data(); }
  std::size_t size() const { return count_; }

 private:
  std::array<nghttp2_nv, 8> fields_;
  std::size_t count_ = 0;
};

// Each stream that is reset is an application's connection that was aborted: as many as a node can make are no attack, and ending the
// tunnel would end its other streams. (The library's own limits, 1000 and 33 a second, are for requests.)
constexpr std::uint64_t kResetsAtOnce = 10'000, kResetsPerSecond = 2'500;

nghttp2_option* make_options() {
  nghttp2_option* options = nullptr;
  nghttp2_option_new(&options);
  nghttp2_option_set_no_auto_window_update(options, 1);  // reading drives the window
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_peer_max_concurrent_streams(options, kStreamsBeforeSettings);
  nghttp2_option_set_stream_reset_rate_limit(options, kResetsAtOnce, kResetsPerSecond);
  return options;
}

void submit_settings(nghttp2_session* session, Session::Role role, Windows windows) {
  using Entry = nghttp2_settings_entry;
  const std::array<Entry, 4> client = {Entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                       Entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows.stream},
                                       Entry{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameSizeMax},
                                       Entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kClientHeaderListMax}};
  const std::array<Entry, 4> server = {Entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kServerStreamsMax},
                                       Entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows.stream},
                                       Entry{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameSizeMax},
                                       Entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kServerHeaderListMax}};
  const auto& entries = role == Session::Role::kClient ? client : server;
  WEFT_ASSERT(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries.data(), entries.size()) == 0);
  const auto connection = static_cast<std::int32_t>(windows.connection);
  WEFT_ASSERT(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, connection) == 0);
}

}  // namespace

Session::Session(Role role, Listener& listener, Windows windows) : parts_(std::make_unique<Parts>(role, listener)) {
  static const nghttp2_option* const options = make_options();
  const auto make = role == Role::kClient ? nghttp2_session_client_new2 : nghttp2_session_server_new2;
  WEFT_ASSERT(make(&parts_->session, session_callbacks(), parts_.get(), options) == 0);
  submit_settings(parts_->session, role, windows);
}

Session::~Session() { nghttp2_session_del(parts_->session); }

Result<void> Session::receive(std::span<const std::byte> bytes) {
  Parts& parts = *parts_;
  if (parts.failed) return fail(Code::kMalformed, "http/2: session is over");
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const ssize_t taken = nghttp2_session_mem_recv(parts.session, data, bytes.size());
  if (taken >= 0) return {};
  parts.failed = true;
  if (taken == NGHTTP2_ERR_NOMEM) return fail(Code::kSystem, "http/2: out of memory");
  if (taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC) return fail(Code::kMalformed, "http/2: no client preface");
  if (taken == NGHTTP2_ERR_FLOODED) return fail(Code::kMalformed, "http/2: flood of control frames");
  return fail(Code::kMalformed, nghttp2_strerror(static_cast<int>(taken)));
}

Result<void> Session::send(Sink& sink) {
  Parts& parts = *parts_;
  parts.sink = &sink;
  parts.sink_full = false;
  const int result = parts.failed ? 0 : nghttp2_session_send(parts.session);
  parts.sink = nullptr;
  if (result == 0) return {};
  parts.failed = true;
  return fail(result == NGHTTP2_ERR_NOMEM ? Code::kSystem : Code::kMalformed, nghttp2_strerror(result));
}

bool Session::wants_send() const { return !parts_->failed && nghttp2_session_want_write(parts_->session) != 0; }

bool Session::is_over() const {
  return parts_->failed || (nghttp2_session_want_read(parts_->session) == 0 && nghttp2_session_want_write(parts_->session) == 0);
}

Result<StreamId> Session::request(const ConnectRequest& request, Outbox& outbox) {
  Parts& parts = *parts_;
  WEFT_ASSERT(parts.role == Role::kClient);
  if (draining() || parts.failed || nghttp2_session_check_request_allowed(parts.session) == 0) {
    return fail(Code::kDraining, "http/2: connection takes no new streams");
  }
  if (parts.requests_open >= peer_streams_max()) return fail(Code::kExhausted, "http/2: the peer's limit of streams");
  Fields fields;
  fields.add(":method", "CONNECT");
  fields.add(":authority", request.authority);
  fields.add_optional("baggage", request.baggage);
  fields.add_optional("forwarded", request.forwarded, NGHTTP2_NV_FLAG_NO_INDEX);
  fields.add_optional("traceparent", request.traceparent, NGHTTP2_NV_FLAG_NO_INDEX);
  fields.add_optional("x-forwarded-network", request.forwarded_network);
  const nghttp2_data_provider body = body_of(outbox);
  const StreamId id = nghttp2_submit_request(parts.session, nullptr, fields.data(), fields.size(), &body, outbox.cookie);
  if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) return fail(Code::kExhausted, "http/2: stream ids are used up");
  if (id < 0) return fail(Code::kSystem, nghttp2_strerror(id));
  ++parts.requests_open;
  parts.unsent.emplace_back(id, outbox.cookie);
  return id;
}

Result<void> Session::respond(StreamId id, const ConnectResponse& response, Outbox& outbox) {
  const std::string status = std::to_string(response.status);
  Fields fields;
  fields.add(":status", status);
  fields.add_optional("baggage", response.baggage);
  const nghttp2_data_provider body = body_of(outbox);
  const int result = nghttp2_submit_response(parts_->session, id, fields.data(), fields.size(), &body);
  if (result != 0) return fail(Code::kClosed, nghttp2_strerror(result));
  return {};
}

bool submit_refusal(nghttp2_session* session, StreamId id, int status) {
  const std::string text = std::to_string(status);
  const nghttp2_nv head = field(":status", text);
  return nghttp2_submit_response(session, id, &head, 1, nullptr) == 0;
}

void Session::refuse(StreamId id, int status) { submit_refusal(parts_->session, id, status); }

void Session::offer(StreamId id) { nghttp2_session_resume_data(parts_->session, id); }
void Session::consume_stream(StreamId id, std::size_t count) { nghttp2_session_consume_stream(parts_->session, id, count); }
void Session::consume_connection(std::size_t count) { nghttp2_session_consume_connection(parts_->session, count); }

void Session::reset(StreamId id, H2Code code) {
  nghttp2_submit_rst_stream(parts_->session, NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code));
}

void Session::ping() { nghttp2_submit_ping(parts_->session, NGHTTP2_FLAG_NONE, nullptr); }

void Session::announce_shutdown() {
  if (parts_->goaway_sent) return;
  parts_->goaway_sent = true;
  if (parts_->role == Role::kClient) return shutdown();
  nghttp2_submit_shutdown_notice(parts_->session);
}

void Session::shutdown(H2Code code) {
  parts_->goaway_sent = true;
  const StreamId last = nghttp2_session_get_last_proc_stream_id(parts_->session);
  nghttp2_submit_goaway(parts_->session, NGHTTP2_FLAG_NONE, last, static_cast<std::uint32_t>(code), nullptr, 0);
}

std::uint32_t Session::peer_streams_max() const {
  if (!parts_->settings_seen) return kStreamsBeforeSettings;
  return nghttp2_session_get_remote_settings(parts_->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool Session::draining() const { return parts_->goaway_seen || parts_->goaway_sent; }
const char* Session::trouble() const { return parts_->trouble; }
const std::string& Session::trouble_detail() const { return parts_->trouble_detail; }

}  // namespace weft::hbone
