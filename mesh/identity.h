// Identity: a SPIFFE workload identity, spiffe://<trust domain>/ns/<namespace>/sa/<service account>.
// Source: SPIFFE-ID §2 as Istio restricts it: exactly this three-part path, nothing else parses.
#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace weft::mesh {

struct Identity {
  std::string trust_domain;
  std::string ns;
  std::string service_account;

  static std::optional<Identity> parse(std::string_view uri);
  std::string str() const;        // with "spiffe://"
  std::string principal() const;  // without: the form policies are written in

  auto operator<=>(const Identity&) const = default;
};

}  // namespace weft::mesh

template <>
struct std::hash<weft::mesh::Identity> {
  std::size_t operator()(const weft::mesh::Identity& id) const noexcept;
};
