// Inside of Session, shared by session.cc (what we do) and callbacks.cc (what nghttp2 tells). Nobody else includes this.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <utility>
#include <vector>

#include "ztunnel/hbone/session.h"

namespace weft::hbone {

struct Session::Parts {
  Parts(Role role, Listener& listener) : role(role), listener(listener) {}

  // A head being received. Header blocks never interleave (RFC 9113 §4.3), so one is enough.
  struct Head {
    ConnectRequest request;
    ConnectResponse response;
    std::size_t bytes = 0;  // as MAX_HEADER_LIST_SIZE counts
  };

  void* cookie(StreamId id) const { return nghttp2_session_get_stream_user_data(session, id); }

  const Role role;
  Listener& listener;
  nghttp2_session* session = nullptr;
  Sink* sink = nullptr;  // during send()
  bool sink_full = false;
  Head head;
  bool settings_seen = false;
  bool goaway_seen = false;
  bool goaway_sent = false;
  bool failed = false;  // nghttp2 gave up on this session
  const char* trouble = "";
  std::string trouble_detail;
  std::size_t requests_open = 0;                       // client: until on_close
  std::vector<std::pair<StreamId, void*>> unsent;  // client: requests whose HEADERS nghttp2 still has
};

// nghttp2's view of us; made once, immutable.
const nghttp2_session_callbacks* session_callbacks();
nghttp2_data_provider body_of(Outbox& outbox);
// A response head that ends the stream. False when the stream is gone.
bool submit_refusal(nghttp2_session* session, StreamId id, int status);

}  // namespace weft::hbone
