// Statuses of gateways and of the routes that attach to them.
#include <algorithm>

#include "controlplane/translate/by_name.h"
#include "controlplane/translate/l7/gateway_plan.h"
#include "controlplane/translate/l7/status.h"

namespace weft::controlplane::translate::l7 {
namespace {

using model::Condition;

const GatewayRecord* record_of(const StatusInputs& in, const std::string& ns,
                               const std::string& name, const char* group) {
  const auto& records = in.planner.gateways().records;
  const auto found = records.find({std::string("Gateway.") + group, ns, name});
  return found == records.end() ? nullptr : &found->second;
}

std::string word_of(const std::string& text) { return text.substr(0, text.find(':')); }

bool is_ready(const StatusInputs& in, const GatewayRecord& record) {
  const auto plan = in.planner.gateways().plans.find(record.plan_id);
  return plan != in.planner.gateways().plans.end() &&
         in.planner.gateway_ready(plan->second.ns, plan->second.name);
}

}  // namespace

ParentStatus gateway_parent(const StatusInputs& in, const Known<model::RouteTable>& known,
                            const model::RouteTable& table) {
  const std::size_t slash = table.gateway.find('/');
  ParentStatus out{.group = "gateway.networking.k8s.io",
                   .kind = "Gateway",
                   .ns = table.gateway.substr(0, slash),
                   .name = table.gateway.substr(slash + 1),
                   .section = table.section};
  const GatewayRecord* record = record_of(in, out.ns, out.name, "gateway.networking.k8s.io");
  Condition accepted{"Accepted", false, "NoMatchingParent", "there is no such Gateway of ours"};
  Condition refs{"ResolvedRefs", true, "ResolvedRefs", "all references resolved"};
  if (record != nullptr) {
    const auto found = record->attachments.find({known.key, table.section});
    if (found != record->attachments.end()) {
      const Attachment& one = found->second;
      accepted = {"Accepted", one.accepted, one.reason, one.message};
      if (!one.unresolved.empty())
        refs = {"ResolvedRefs", false, word_of(one.unresolved.front()), one.unresolved.front()};
    } else {
      accepted.message = "the Gateway has no such listener";
    }
  }
  for (const Condition& one : known.decoded.conditions) {
    if (one.type == "Accepted" && !one.status && accepted.status) accepted = one;
  }
  out.conditions = {accepted, refs};
  return out;
}

void add_gateway_messages(const StatusInputs& in, const Known<model::RouteTable>& known,
                          ObjectStatus& out) {
  auto say = [&](const char* code, std::string text) {
    const ObjectStatus::Message message{.error = true, .code = code, .text = std::move(text)};
    if (std::find(out.messages.begin(), out.messages.end(), message) == out.messages.end())
      out.messages.push_back(message);
  };
  for (const model::RouteTable& table : known.decoded.values) {
    if (table.gateway.empty()) continue;
    const std::size_t slash = table.gateway.find('/');
    const GatewayRecord* record = record_of(in, table.gateway.substr(0, slash),
                                            table.gateway.substr(slash + 1), "networking.istio.io");
    if (record == nullptr) {
      say("IST0101", "gateway " + table.gateway + " is not there");
      continue;
    }
    const auto found = record->attachments.find({known.key, table.section});
    if (found == record->attachments.end()) continue;
    if (!found->second.accepted)
      say("IST0132", "gateway " + table.gateway + ": no server has a host name in common");
    for (const std::string& text : found->second.unresolved) say("IST0101", text);
  }
  std::string errors;
  for (const ObjectStatus::Message& one : out.messages) {
    if (one.error) errors += (errors.empty() ? "" : "; ") + one.text;
  }
  for (Condition& one : out.conditions) {
    if (one.type == "Reconciled" && !errors.empty())
      one = {"Reconciled", false, "PartiallyInvalid", errors};
  }
}

ObjectStatus ingress_status(const StatusInputs& in, const Known<model::Gateway>& known,
                            const model::Gateway& gateway, ObjectStatus out) {
  const auto found = in.planner.gateways().records.find(known.key);
  if (found == in.planner.gateways().records.end() || found->second.unserved == "foreign")
    return out;
  const GatewayRecord& record = found->second;
  const bool ready = is_ready(in, record);
  const Condition programmed =
      !record.unserved.empty() ? Condition{"Programmed", false, "Invalid", record.unserved}
      : ready                  ? Condition{"Programmed", true, "Programmed", "served"}
              : Condition{"Programmed", false, "Pending", "its pods are not ready"};
  std::string bad;
  for (const auto& [name, listener] : record.listeners) {
    for (const std::string& text : {listener.bad_reference, listener.conflict}) {
      if (!text.empty()) bad += (bad.empty() ? "" : "; ") + name + ": " + text;
    }
  }
  if (!gateway.gateway_api) {
    out.conditions = {bad.empty() && record.unserved.empty()
                          ? Condition{"Reconciled", true, "Reconciled", "translated"}
                          : Condition{"Reconciled", false, "PartiallyInvalid",
                                      bad.empty() ? record.unserved : bad},
                      programmed};
    if (!record.unserved.empty()) out.messages.push_back({true, "IST0101", record.unserved});
    return out;
  }
  out.conditions = {bad.empty() ? Condition{"Accepted", true, "Accepted", "a gateway"}
                                : Condition{"Accepted", true, "ListenersNotValid", bad},
                    programmed};
  if (const source::Service* service = find(in.facts.services, gateway.ns, gateway.name)) {
    for (const IpAddress& ip : service->cluster_ips) out.addresses.push_back(ip.str());
  }
  for (const model::Listener& listener : gateway.listeners) {
    const auto of = record.listeners.find(listener.name);
    ListenerStatus one{.name = listener.name};
    const bool http = listener.protocol == "HTTP" || listener.protocol == "HTTPS";
    if (http) one.route_kinds = {"HTTPRoute", "GRPCRoute"};
    if (of != record.listeners.end()) {
      const GatewayRecord::OfListener& state = of->second;
      const bool good = !state.left_out && state.conflict.empty();
      one.attached_routes = state.attached;
      one.conditions = {
          {"Accepted", state.conflict.empty(), state.conflict.empty() ? "Accepted" : "Conflicted",
           state.conflict},
          {"Programmed", good && ready,
           good && ready ? "Programmed"
           : good        ? "Pending"
                         : "Invalid",
           ""},
          {"ResolvedRefs", state.bad_reference.empty(),
           state.bad_reference.empty() ? "ResolvedRefs" : word_of(state.bad_reference),
           state.bad_reference},
          {"Conflicted", !state.conflict.empty(),
           state.conflict.empty() ? "NoConflicts" : "ProtocolConflict", state.conflict}};
    }
    out.listeners.push_back(std::move(one));
  }
  return out;
}

}  // namespace weft::controlplane::translate::l7
