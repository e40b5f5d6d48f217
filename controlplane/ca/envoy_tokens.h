// Tokens of Envoys: `weft-envoy.<plan id, base64url>.<HMAC-SHA256, base64url>`, made and checked
// with one key of the state directory. Immutable after open(): any thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace weft::controlplane::ca {

class EnvoyTokens {
 public:
  // Reads STATE_DIR/envoy-token.key (0600), or makes it.
  static Parsed<EnvoyTokens> open(const std::string& state_dir);

  std::string make(const std::string& plan_id) const;
  // The plan id that the token speaks for; nothing when it is not ours.
  std::optional<std::string> verify(const std::string& token) const;

 private:
  explicit EnvoyTokens(std::string key) : key_(std::move(key)) {}
  std::string key_;  // secret
};

}  // namespace weft::controlplane::ca
