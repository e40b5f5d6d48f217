// Gateways at the edge: listeners, hosts and routes of one Envoy, and what became of the objects
// that ask for it. Pure. An Istio Gateway is served by Weft gateway pods that carry its selector's
// labels; the selector of Istio's own ingress gateway is served by one that Weft makes
// (docs/decisions 0009).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "controlplane/translate/l7/service_plan.h"
#include "controlplane/translate/outputs.h"

namespace weft::controlplane::translate::l7 {

struct StatusInputs;

inline constexpr const char* kIstioIngress = "istio-ingressgateway";

// What one route object is to one gateway's listener(s).
struct Attachment {
  bool accepted = false;
  std::string reason = "NoMatchingParent", message;
  std::vector<std::string> unresolved;
};
struct GatewayRecord {
  source::ObjectKey key;
  std::string plan_id;   // who serves it; "" when nobody
  std::string unserved;  // why
  struct OfListener {
    std::uint32_t attached = 0;
    std::string bad_reference;  // a Secret that is not there, not permitted or broken
    bool left_out = false;      // because of it
    std::string conflict;
  };
  std::map<std::string, OfListener> listeners;                                  // by name
  std::map<std::pair<source::ObjectKey, std::string>, Attachment> attachments;  // route, section
};

struct Gateways {
  std::map<std::string, model::Plan> plans;       // by id; clusters' endpoints included
  std::map<std::string, DesiredGateway> desired;  // by plan id
  std::map<source::ObjectKey, GatewayRecord> records;
};
// `cluster`: by name, with endpoints of pods. `record`: of a host, or null.
struct GatewayInputs {
  const Inputs& base;
  std::function<model::PlanCluster(const std::string& name)> cluster;
  std::function<const ServiceRecord*(const std::string& host)> record;
};
Gateways plan_gateways(const GatewayInputs& in);

// Route tables of a parent gateway: the parent's status entry.
ParentStatus gateway_parent(const StatusInputs& in, const Known<model::RouteTable>& known,
                            const model::RouteTable& table);
// What a VirtualService's gateways made of it.
void add_gateway_messages(const StatusInputs& in, const Known<model::RouteTable>& known,
                          ObjectStatus& out);
ObjectStatus ingress_status(const StatusInputs& in, const Known<model::Gateway>& known,
                            const model::Gateway& gateway, ObjectStatus out);

}  // namespace weft::controlplane::translate::l7
