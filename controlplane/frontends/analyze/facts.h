// Facts: the objects of one analysis, decoded once, and the findings so far.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/frontends/analyze/analyze.h"
#include "controlplane/model/authn.h"
#include "controlplane/model/destinations.h"
#include "controlplane/model/gateways.h"
#include "source/core.h"
#include "source/fields.h"

namespace weft::controlplane::analyze {

struct Facts {
  const source::ObjectSet& objects;
  const Options& options;
  std::vector<Finding> findings;

  std::vector<source::ObjectPtr> virtual_services, routes;       // what is valid of them
  std::map<std::string, source::Service> services;               // by full host name
  std::map<std::string, source::Namespace> namespaces;           // by name
  std::vector<source::Pod> pods;                                 // not finished
  std::vector<model::Destination> destinations;                  // DestinationRules
  std::vector<model::ExternalService> externals;                 // ServiceEntries
  std::map<std::string, model::Gateway> gateways, gateway_apis;  // by "ns/name"
  std::vector<model::RequestAuthn> authns;
  std::vector<model::Telemetry> telemetries;

  void say(Level level, const char* code, const source::Object& object, std::string_view path,
           std::string message);
  bool knows_services() const { return !services.empty(); }
  bool is_root(std::string_view ns) const;
  bool selected(std::string_view ns, const mesh::Labels& selector) const;  // by any pod
  bool has_host(std::string_view hostname) const;
  // " (did you mean …?)" or "".
  std::string similar_host(std::string_view hostname) const;
};

// Decodes everything; what is refused, not supported or warned of becomes a finding.
void gather(Facts& facts);
// One object of a mesh API, admitted; false when no front end reads its kind.
bool decode_mesh(Facts& facts, const source::ObjectPtr& pointer);

void check_virtual_services(Facts& facts);
void check_gateway_routes(Facts& facts);
void check_reachability(Facts& facts);  // IST0130, IST0131
void check_gateways(Facts& facts);
void check_policies(Facts& facts);  // selectors and targets
void check_services(Facts& facts);
void check_enrollment(Facts& facts);
void check_marks(Facts& facts);  // labels and annotations of other meshes

}  // namespace weft::controlplane::analyze
