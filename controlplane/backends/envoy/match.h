// Matches on a request as Envoy says them. Pure. Internal to the room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/model/match.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"

namespace weft::controlplane::envoy {

// Filter state of a connection: the client's verified SPIFFE identity, and its address without
// port. Absent, not empty, where there is none.
inline constexpr const char* kPeerKey = "weft.peer";
inline constexpr const char* kClientKey = "weft.client";
// Where the token filter leaves claims: filter metadata kJwtFilter, key kJwtPayload.
inline constexpr const char* kJwtMetadata = "envoy.filters.http.jwt_authn";
inline constexpr const char* kJwtPayload = "payload";

// RE2 that matches `text` and nothing else.
std::string quote(std::string_view text);
// RE2 for what `text` matches, to stand inside a larger expression; what a wildcard stands for is
// of `any` ("." or "[^/]").
std::string pattern_of(const model::TextMatch& text, std::string_view any = ".");
// kPresent: not empty. REQUIRES: not kAbsent.
void encode(const model::TextMatch& text, ::envoy::type::matcher::v3::StringMatcher& out);
// A claim of the request's token; a list matches when one of its entries does. `path` is from the
// outside in.
void encode_claim(const std::vector<std::string>& path, const model::TextMatch& text,
                  ::envoy::type::matcher::v3::MetadataMatcher& out);
// RE2 over weft.peer: any service account of these namespaces.
std::string peers_of(const std::vector<std::string>& namespaces);

// Only for clients with one of these identities (without "spiffe://", exact; not empty).
void only_principals(const std::vector<std::string>& principals,
                     ::envoy::config::route::v3::RouteMatch& out);

// False: no request can match (another port, labels that nobody resolved to addresses, what a route
// cannot say): the entry must be left out.
bool encode(const model::RequestMatch& match, std::uint16_t port,
            const std::vector<std::string>& client_namespaces,
            ::envoy::config::route::v3::RouteMatch& out);

}  // namespace weft::controlplane::envoy
