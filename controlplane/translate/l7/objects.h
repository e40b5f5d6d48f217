// Objects: the decoded objects of the L7 APIs, found by what they are about. Written by World
// alone.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/model/authn.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/destinations.h"
#include "controlplane/model/gateways.h"
#include "controlplane/model/routes.h"
#include "source/object.h"

namespace weft::controlplane::translate::l7 {

// One object as its front end read it.
template <class X>
struct Known {
  source::ObjectKey key;
  std::string origin, created;
  std::int64_t generation = 0;
  std::uint64_t hash = 0;  // of what its owner writes: status left out
  model::Decoded<X> decoded;
};

// What an edit is about.
struct Touched {
  bool known = false;       // a kind that this file knows
  bool everything = false;  // a wildcard host, or what only a full look can tell
  bool gateways = false;    // gateways and what is bound to them
  std::set<std::string> hosts;
  std::set<std::string> namespaces;  // every service of them
};

template <class X>
using ByKey = std::map<source::ObjectKey, Known<X>>;

class Objects {
 public:
  // `domain`: the cluster's. What an object's earlier version was about is touched too; an edit of
  // status alone touches nothing.
  explicit Objects(std::string domain) : domain_(std::move(domain)) {}
  Touched put(const source::Object& object, bool in_root);
  Touched erase(const source::ObjectKey& key, bool in_root);

  const ByKey<model::RouteTable>& routes() const { return routes_; }
  const ByKey<model::Destination>& destinations() const { return destinations_; }
  const ByKey<model::Gateway>& gateways() const { return gateways_; }
  const ByKey<model::GatewayClass>& classes() const { return classes_; }
  const ByKey<model::ReferenceGrant>& grants() const { return grants_; }
  const ByKey<model::RequestAuthn>& authns() const { return authns_; }
  const ByKey<model::ExternalService>& externals() const { return externals_; }
  const ByKey<model::Telemetry>& telemetry() const { return telemetry_; }

  // Mesh tables about a host, in order of object: written with its name, else with the longest
  // wildcard that covers it.
  std::vector<const model::RouteTable*> tables_for(const std::string& host) const;
  // Rules about a host: exact ones, else those of the longest wildcard.
  std::vector<const model::Destination*> destinations_for(const std::string& host) const;
  // TLS Secrets ("ns/name") for gateways and rules: {chain, key, ca} in PEM. With a problem: what
  // was there before it, or nothing.
  struct Certificate {
    std::string chain_pem, key_pem, ca_pem, problem;
  };
  const std::map<std::string, Certificate>& certificates() const { return certificates_; }

 private:
  template <class X>
  using ByHost = std::map<std::string, std::map<source::ObjectKey, std::vector<const X*>>>;
  void put_secret(const source::Object& object, Touched& touched);
  void note_credential(const std::string& name, Touched& touched) const;

  std::string domain_;
  ByKey<model::RouteTable> routes_;
  ByKey<model::Destination> destinations_;
  ByKey<model::Gateway> gateways_;
  ByKey<model::GatewayClass> classes_;
  ByKey<model::ReferenceGrant> grants_;
  ByKey<model::RequestAuthn> authns_;
  ByKey<model::ExternalService> externals_;
  ByKey<model::Telemetry> telemetry_;
  ByHost<model::RouteTable> tables_by_host_;  // values point into routes_
  ByHost<model::Destination> destinations_by_host_;
  std::map<std::string, Certificate> certificates_;
};

// Of what an object's owner writes (spec, labels, annotations): status left out.
std::uint64_t content_hash(const source::Object& object);
// metadata.generation, 0 when absent.
std::int64_t generation_of(const source::Object& object);

// True when `pattern` ("*", "*.x", a name) covers `host`.
bool covers(const std::string& pattern, const std::string& host);

}  // namespace weft::controlplane::translate::l7
