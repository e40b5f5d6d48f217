// RequestAuthentication and Telemetry. Pure values. Source: mesh-apis facts §2.1.5, §2.1.6.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/model/types.h"
#include "mesh/labels.h"

namespace weft::controlplane::model {

// A RequestAuthentication: a bad token is a 401; no token passes.
struct JwtRule {
  struct Header {
    std::string name, prefix;
    bool operator==(const Header&) const = default;
  };
  std::string issuer;
  std::vector<std::string> audiences;
  std::string jwks, jwks_uri;  // inline JSON; or where to fetch it. Both empty: OIDC discovery
  std::vector<Header> from_headers;  // none of three: "Authorization: Bearer", query access_token
  std::vector<std::string> from_params, from_cookies;
  std::string output_payload_header;
  std::vector<std::pair<std::string, std::string>> claim_to_headers;  // claim, header
  bool forward_original = false;
  std::optional<std::uint32_t> timeout_ms;
  bool operator==(const JwtRule&) const = default;
};
struct RequestAuthn {
  Provenance from;
  std::string ns, name;
  mesh::Labels selector;
  std::vector<TargetRef> targets;
  std::vector<JwtRule> rules;
};

struct Telemetry {
  Provenance from;
  std::string ns, name;
  mesh::Labels selector;
  std::vector<TargetRef> targets;
  std::optional<double> trace_sampling_percent;
  std::optional<bool> access_log;
};

}  // namespace weft::controlplane::model
