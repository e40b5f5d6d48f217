// The kinds of objects a person can name, and how they name them: pod, pods, po;
// authorizationpolicy; deploy.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::sandbox {

struct Kind {
  std::string kind;    // "Pod"
  std::string group;   // "" for core
  std::string plural;  // "pods"
  std::vector<std::string> short_names;
  bool namespaced = true;

  // As in source::ObjectKey: "Pod", "AuthorizationPolicy.security.istio.io".
  std::string key() const { return group.empty() ? kind : kind + "." + group; }
  // As Kubernetes says it in errors: "pods", "authorizationpolicies.security.istio.io".
  std::string resource() const { return group.empty() ? plural : plural + "." + group; }
};

// Every known kind, in the order that `get all` would show.
const std::vector<Kind>& known_kinds();

// The kind of a manifest; one that is not known is namespaced and has a guessed plural.
Kind kind_of(std::string_view api_version, std::string_view kind);

// Why an object of this kind changes nothing here, with what does the same: "kind DaemonSet of
// apps/v1: a sandbox keeps it and does nothing with it …". "" for kinds that somebody acts on, and
// for those of a mesh's API, which the control plane judges.
std::string without_effect(std::string_view api_version, std::string_view kind);

// What a person typed, any case, optionally with ".group". Kinds in `present`
// ("Widget.example.com") can be named too. Empty kind: nobody knows it.
Kind find_kind(std::string_view typed, const std::vector<std::string>& present);

}  // namespace weft::sandbox
