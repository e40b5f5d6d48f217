// The heads of a CONNECT: request and response as values, and the small headers in them. Pure.
// Source: ambient-protocol facts §1.5, §1.7.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/net.h"
#include "base/result.h"

namespace weft::hbone {

// `:authority` taken apart: an address or a host name, and a port that is never 0.
struct Authority {
  std::optional<IpAddress> ip;  // set when the host is a literal
  std::string host;             // as written, without brackets
  std::uint16_t port = 0;

  // "10.0.0.1:80", "[fd00::1]:80", "web.default.svc.cluster.local:80". nullopt: no host, no port, port 0 or > 65535, stray characters.
  static std::optional<Authority> parse(std::string_view text);
};

struct ConnectRequest {
  std::string authority;
  std::string baggage;              // see baggage.h; empty: not sent
  std::string forwarded;            // see format_forwarded; empty: not sent
  std::string traceparent;          // 55 characters; empty: not sent
  std::string forwarded_network;    // x-forwarded-network; empty: not sent

  // Server side only: ":method" was CONNECT. Anything else is answered 400 by the session.
  bool is_connect = true;
};

struct ConnectResponse {
  int status = 0;
  std::string baggage;
};

inline constexpr int kStatusOk = 200;
inline constexpr int kStatusBadRequest = 400;
inline constexpr int kStatusUnauthorized = 401;      // policy denied
inline constexpr int kStatusServiceUnavailable = 503;

// `for="10.0.0.7:4711"` and, when known, `;host=web.default.svc.cluster.local`.
std::string format_forwarded(const SocketAddress& client, std::string_view host = {});
// The first `host=` part, one pair of quotes stripped; empty if none, or if the header is not ASCII.
std::string_view forwarded_host(std::string_view header);

// W3C version 00, exactly 55 characters, hex in lower case, neither id all zero.
bool is_traceparent(std::string_view header);
std::string make_traceparent(std::uint64_t trace_high, std::uint64_t trace_low, std::uint64_t span);

// Error → status for a server, status → Error for a client. 400 kMalformed, 401 kDenied, else kUnreachable.
int status_of(const Error& error);
Error error_of_status(int status);

}  // namespace weft::hbone
