// Backends → clusters: a service's port or a subset of it, with its endpoints and the policy in
// force. Pure.
#pragma once

#include <optional>
#include <string>

#include "controlplane/model/plan.h"
#include "controlplane/translate/facts.h"
#include "controlplane/translate/l7/objects.h"
#include "controlplane/translate/l7/rules.h"

namespace weft::controlplane::translate::l7 {

// What a cluster is made from; its name is Istio's, "outbound|PORT|SUBSET|HOST".
struct ClusterKey {
  std::string host;
  std::uint16_t port = 0;
  std::string subset;
  std::string name() const;
  static std::optional<ClusterKey> parse(const std::string& name);
  auto operator<=>(const ClusterKey&) const = default;
};

// One reference of a route, followed. An API where a missing destination is an error (Gateway API)
// gets `broken`; for Istio's it is a cluster without endpoints.
struct Followed {
  std::optional<ClusterKey> cluster;         // none: broken
  std::string broken;                        // "BackendNotFound: …"
  std::string complaint;                     // for the object's status, "" when all is well
  const source::Service* service = nullptr;  // when it is one of the cluster
  mesh::Labels labels;                       // of the subset
};
Followed follow(const Facts& facts, const Objects& objects, const model::Backend& backend,
                std::uint16_t listener_port, model::Api api);

// Any key makes one: what does not exist has no endpoints.
model::PlanCluster make_cluster(const Facts& facts, const Objects& objects, const ClusterKey& key);

// What a rule's credentialName stands for, in the namespace of the proxy that dials (`ns`), as
// Istio has it: a Secret with the roots to trust and, for MUTUAL, the certificate to show.
struct Credential {
  std::string ca_pem;  // "": the system's roots
  std::optional<model::PlanCertificate> certificate;
  std::string problem;  // "Secret ns/name is not there"; then the rest is empty
};
Credential credential_of(const Objects& objects, const std::string& ns,
                         const model::ClientTls& tls);
// Puts it in place. A cluster whose credential has a problem is one with nobody: it does not speak
// plain text, nor trust whom it was not told to.
void secure(const Objects& objects, model::Plan& plan);

// Rules in force for a host.
MergedRule rules_for(const Facts& facts, const Objects& objects, const std::string& host);

// The protocol of a service's port; nothing when it has no such TCP port.
std::optional<mesh::Port> port_of(const Facts& facts, const source::Service& service,
                                  std::uint16_t port);
bool is_http(mesh::AppProtocol protocol);

}  // namespace weft::controlplane::translate::l7
