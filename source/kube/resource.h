// Resource: one collection of the Kubernetes API that is listed and watched.
#pragma once

#include <string>
#include <vector>

namespace weft::source::kube {

struct Resource {
  std::string group;                  // "" for core
  std::vector<std::string> versions;  // the first that is served is taken
  std::string plural;                 // "pods"
  std::string kind;                   // "Pod"
  std::string selector;               // "fieldSelector=…", URL-encoded; empty: all

  // "/api/v1/pods", "/apis/GROUP/VERSION/PLURAL".
  std::string path(std::size_t version) const;
  std::string api_version(std::size_t version) const;
  std::string key_kind() const;  // as in ObjectKey
};

// Everything that the control plane's front ends know. Secrets: only those that hold a TLS
// certificate. A group that is not installed is no error.
std::vector<Resource> controlplane_resources();

// What an agent needs: namespaces, and the pods of its own node. `node` is a Kubernetes name.
std::vector<Resource> node_resources(const std::string& node);

}  // namespace weft::source::kube
