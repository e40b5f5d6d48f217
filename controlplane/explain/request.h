// A request as somebody means to send it, and as an Envoy of ours sees it. Pure values.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/net.h"

namespace weft::controlplane::explain {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = "GET";
  std::string target = "/";  // path and query, as written
  std::string authority;
  Headers headers;                  // names in any case
  std::optional<std::string> peer;  // "spiffe://…": whom the connection's other end proved to be
  // The connection's source. A waypoint takes it for the request's too: what x-forwarded-for says
  // is the client's word.
  IpAddress client;
};

// What rules look at.
struct Asked {
  std::string method, path, query /* without "?" */, authority;
  Headers headers;  // lower-case names; one that comes twice is here twice
  std::optional<std::string> peer;
  IpAddress client;
  nlohmann::json claims;  // of a good token; else null

  // Pseudo-headers included; "host" is the authority. One that comes twice: joined by ",", or
  // each, as rules see it.
  std::optional<std::string> header(const std::string& name) const;
  std::vector<std::string> header_values(const std::string& name) const;
};

// What Envoy does with a target before any rule sees it (backends/envoy/http.cc).
struct Target {
  enum class Is : std::uint8_t { kGood, kMalformed, kElsewhere };
  Is is = Is::kGood;
  std::string path, query;  // kGood
  std::string location;     // kElsewhere: a 307 to this target
};
Target read_target(const std::string& text);
// What its HTTP/1 parser takes for a method.
bool is_method(const std::string& text);

// REQUIRES: `target` is good.
Asked ask(const Request& request, const Target& target);

}  // namespace weft::controlplane::explain
