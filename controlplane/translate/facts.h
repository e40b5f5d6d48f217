// Facts: the decoded core objects and security policies that every part of translate/ looks at, and
// the questions asked of them. Written by World alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "controlplane/frontends/core/workloads.h"
#include "controlplane/model/types.h"
#include "mesh/workload.h"
#include "source/core.h"

namespace weft::controlplane::translate {

template <class T>
using ByName = std::map<std::string, std::map<std::string, T>>;  // ns → name

struct Options {
  core::Naming naming;
  std::vector<std::string> root_namespaces = {"weft-system", "istio-system"};  // not empty
};

// One address behind a service.
struct ServiceEndpoint {
  const source::Pod* pod = nullptr;  // null: no pod (an address outside the cluster)
  std::vector<IpAddress> ips;
  bool usable = true;  // ready and not going away
  std::string node, zone;
  std::vector<mesh::Port> ports;  // as it has them
};

struct Facts {
  explicit Facts(Options given) : options(std::move(given)) {}

  Options options;
  std::map<std::string, source::Namespace> namespaces;
  std::map<std::string, source::Node> nodes;
  ByName<source::Pod> pods;
  ByName<source::Service> services;
  ByName<source::EndpointSlice> slices;
  ByName<model::AuthzPolicy> authz;
  ByName<std::uint64_t> authz_hashes;  // of what their owners wrote
  ByName<model::PeerAuthn> authn;

  bool is_root(const std::string& ns) const;
  const source::Namespace* ns(const std::string& name) const;
  // Of an AuthorizationPolicy's content by "ns/name"; 0 when there is none.
  std::uint64_t policy_hash(const std::string& key) const;
  // "NAME.NS.svc.DOMAIN" → the Service, or null.
  const source::Service* service(const std::string& hostname) const;
  std::string hostname(const source::Service& service) const;
  // Everything behind a service, finished pods left out, in order of name.
  std::vector<ServiceEndpoint> endpoints(const source::Service& service) const;
  // Hostnames of the namespace's services that have `pod` behind them.
  std::vector<std::string> services_of(const source::Pod& pod) const;
  // Selectors and scopes alone (targetRefs: false).
  bool selects(const model::AuthzPolicy& policy, const source::Pod& pod) const;
};

}  // namespace weft::controlplane::translate
