// The HTTP connection manager, and what every Envoy of ours says about a request or connection when
// it is over. Pure. Internal to the room.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controlplane/backends/envoy/settings.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"

namespace weft::controlplane::envoy {

struct HttpOptions {
  // Value of x-weft-dst, which picks the routes; Envoy's format.
  std::string scope;
  bool edge = false;  // a gateway: it is the first proxy that the request meets
  std::string ns, name;  // of the waypoint or gateway: whose spans they are
};
void encode_http(
    const HttpOptions& options, const Settings& settings, const std::string& token,
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager& out);
// For a connection: what names its service, as literal tags.
void encode_tcp_log(const std::vector<std::pair<std::string, std::string>>& tags,
                    const std::string& token, ::envoy::config::accesslog::v3::AccessLog& out);

}  // namespace weft::controlplane::envoy
