// Fetcher: the key sets behind the addresses that RequestAuthentication objects name. Envoy never
// fetches: an address that does not answer would hold back its listener. One thread of its own, for
// kTransfersMax transfers at a time: a slow server delays nobody else. http and https only, 1 MiB,
// 5 s, at most kRedirects redirects. An OIDC discovery document is followed to its jwks_uri, in
// another 5 s. What holds no usable key is no answer. Whoever may write a RequestAuthentication
// chooses where we connect: to this host itself, link-local (a cloud's metadata) and multicast
// addresses we do not, whatever name, redirect or discovery document leads there. No proxy is used.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/net.h"
#include "base/result.h"
#include "controlplane/jwks/keys.h"

namespace weft::controlplane::jwks {

inline constexpr long kRedirects = 3;
inline constexpr std::size_t kTransfersMax = 64;

struct Timing {
  Clock::duration refresh = std::chrono::minutes(5), retry = std::chrono::seconds(2);
};
enum class Reach : std::uint8_t { kNetwork, kAnywhere };  // kAnywhere: for tests on loopback

// Whether kNetwork connects there. Pure.
bool may_connect(const IpAddress& ip);

class Fetcher {
 public:
  // `fetched` is called on the fetcher's thread when an address has another answer than before:
  // its usable keys, or why there are none. Keys that were had are kept while it has none.
  Fetcher(Timing timing,
          std::function<void(const std::string& uri, const Parsed<std::string>& jwks)> fetched,
          Reach reach = Reach::kNetwork);
  ~Fetcher();  // ends the transfers under way
  // All addresses that matter now. Any thread.
  void want(std::vector<std::string> uris);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace weft::controlplane::jwks
