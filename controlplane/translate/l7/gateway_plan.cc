#include "controlplane/translate/l7/gateway_plan.h"

#include <algorithm>
#include <optional>
#include <set>

#include "controlplane/translate/by_name.h"
#include "controlplane/translate/l7/clusters.h"
#include "controlplane/translate/l7/rules.h"

namespace weft::controlplane::translate::l7 {
namespace {

using model::Listener;
using model::PlanHost;
using model::PlanListener;
using model::RouteTable;

// The narrower of two host patterns, or nothing when they have no host in common.
std::optional<std::string> intersect(const std::string& a, const std::string& b) {
  if (covers(a, b)) return b;
  if (covers(b, a)) return a;
  return std::nullopt;
}

std::string kind_of(const RouteTable& table) {
  return table.from.key.kind.substr(0, table.from.key.kind.find('.'));
}

bool permits(const Objects& objects, const std::string& from_group, const std::string& from_kind,
             const std::string& from_ns, const std::string& to_ns, const std::string& to_kind,
             const std::string& to_name) {
  for (const auto& [key, known] : objects.grants()) {
    for (const model::ReferenceGrant& grant : known.decoded.values) {
      if (grant.ns != to_ns) continue;
      const bool from = std::any_of(grant.from.begin(), grant.from.end(), [&](const auto& one) {
        return one.group == from_group && one.kind == from_kind && one.ns == from_ns;
      });
      const bool to = std::any_of(grant.to.begin(), grant.to.end(), [&](const auto& one) {
        return one.group.empty() && one.kind == to_kind &&
               (one.name.empty() || one.name == to_name);
      });
      if (from && to) return true;
    }
  }
  return false;
}

class Maker {
 public:
  explicit Maker(const GatewayInputs& in) : in_(in) {}

  // By age: who comes later takes no port and no host from who is served.
  Gateways run() {
    std::vector<std::pair<const source::ObjectKey*, const model::Gateway*>> ordered;
    for (const auto& [key, known] : in_.base.objects.gateways()) {
      for (const model::Gateway& one : known.decoded.values) {
        if (one.kind == model::Gateway::Kind::kIngress) ordered.emplace_back(&key, &one);
      }
    }
    std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
      return older(a.second->from, b.second->from);
    });
    for (const auto& [key, one] : ordered) add(*key, *one);
    for (auto& [id, plan] : out_.plans) finish(plan);
    return std::move(out_);
  }

 private:
  const Facts& facts() const { return in_.base.facts; }
  const Objects& objects() const { return in_.base.objects; }

  // Who serves a gateway: {ns, name} of the Envoy; name "" when nobody does.
  std::pair<std::string, std::string> server_of(const model::Gateway& gateway,
                                                GatewayRecord& record) const {
    if (gateway.gateway_api) {
      if (gateway.class_name == "weft" || gateway.class_name == "istio")
        return {gateway.ns, gateway.name};
      const auto found = objects().classes().find(
          {"GatewayClass.gateway.networking.k8s.io", "", gateway.class_name});
      if (found != objects().classes().end() && !found->second.decoded.values.empty() &&
          found->second.decoded.values.front().controller == kGatewayController)
        return {gateway.ns, gateway.name};
      record.unserved = "foreign";
      return {};
    }
    const mesh::Labels ingress = {{"istio", "ingressgateway"}, {"app", kIstioIngress}};
    if (!gateway.selector.empty() && source::selects(gateway.selector, ingress)) {
      std::string ns = facts().options.root_namespaces.front();
      if (facts().is_root("istio-system") && facts().ns("istio-system") != nullptr)
        ns = "istio-system";
      return {ns, kIstioIngress};
    }
    for (const auto& [ns, pods] : facts().pods) {
      for (const auto& [name, pod] : pods) {
        const auto label = pod.labels.find("weft.dev/gateway");
        if (label == pod.labels.end() || pod.finished()) continue;
        if (gateway.selector.empty() || source::selects(gateway.selector, pod.labels))
          return {ns, label->second};
      }
    }
    record.unserved = "no gateway pod carries the labels of its selector";
    return {};
  }

  void add(const source::ObjectKey& key, const model::Gateway& gateway) {
    GatewayRecord record{.key = key};
    const auto [ns, name] = server_of(gateway, record);
    if (!name.empty()) {
      record.plan_id = "gateway~" + ns + "/" + name;
      model::Plan& plan = out_.plans[record.plan_id];
      plan.kind = model::Plan::Kind::kGateway;
      plan.ns = ns;
      plan.name = name;
      plan.id = record.plan_id;
      want(record.plan_id, ns, name, gateway, key);
      for (const Listener& listener : gateway.listeners)
        add_listener(plan, gateway, listener, record);
    }
    out_.records[key] = std::move(record);
  }

  void want(const std::string& id, const std::string& ns, const std::string& name,
            const model::Gateway& gateway, const source::ObjectKey& key) {
    const bool own = gateway.gateway_api || name == kIstioIngress;
    if (!own) return;  // pods that somebody else made a Gateway for
    DesiredGateway& one = out_.desired[id];
    if (one.name.empty()) {
      one = {.kind = model::Plan::Kind::kGateway, .ns = ns, .name = name, .plan_id = id};
      one.automatic = !gateway.gateway_api;
      one.class_name = gateway.class_name;
      one.reason = key.str();
      one.gateway = key;
      if (!gateway.gateway_api)
        one.pod_labels = {{"istio", "ingressgateway"}, {"app", kIstioIngress}};
    }
    for (const Listener& listener : gateway.listeners) {
      if (std::find(one.ports.begin(), one.ports.end(), listener.port) == one.ports.end())
        one.ports.push_back(listener.port);
    }
    std::sort(one.ports.begin(), one.ports.end());
  }

  bool admits(const model::Gateway& gateway, const Listener& listener, const RouteTable& table,
              Attachment& out) const {
    if (!table.section.empty() && table.section != listener.name) return false;
    if (!gateway.gateway_api) return true;
    const source::Namespace* ns = facts().ns(table.ns);
    const bool allowed = listener.routes_from == "All" ||
                         (listener.routes_from == "Same" && table.ns == gateway.ns) ||
                         (listener.routes_from == "Selector" && ns != nullptr &&
                          source::selects(listener.routes_selector, ns->labels));
    const bool kind = listener.route_kinds.empty() ||
                      std::find(listener.route_kinds.begin(), listener.route_kinds.end(),
                                kind_of(table)) != listener.route_kinds.end();
    if (allowed && kind) return true;
    if (!out.accepted) {
      out.reason = "NotAllowedByListeners";
      out.message = "no listener admits routes of this kind and namespace";
    }
    return false;
  }

  static void note(const std::vector<std::string>& unresolved, Attachment& out) {
    for (const std::string& text : unresolved) {
      if (std::find(out.unresolved.begin(), out.unresolved.end(), text) == out.unresolved.end())
        out.unresolved.push_back(text);
    }
  }

  // Whether its rules are in force or not.
  void note_references(const RouteTable& table, std::uint16_t port, Attachment& out) const {
    RouteTable permitted = table;
    for (model::HttpRule& rule : permitted.http) check_grants(table.from.key, rule);
    note(unresolved_of(facts(), objects(), permitted, port), out);
  }

  // Hosts that a table has at a listener.
  std::vector<std::string> hosts_at(const model::Gateway& gateway, const Listener& listener,
                                    const RouteTable& table) const {
    static const std::vector<std::string> kAny = {"*"};
    std::vector<std::string> out;
    for (const std::string& a : listener.hosts.empty() ? kAny : listener.hosts) {
      const auto of_ns = listener.host_namespaces.find(a);
      if (of_ns != listener.host_namespaces.end() && of_ns->second != "*") {
        const std::string ns = of_ns->second == "." ? gateway.ns : of_ns->second;
        if (ns != table.ns) continue;
      }
      for (const std::string& b : table.hosts.empty() ? kAny : table.hosts) {
        const auto host = intersect(a, b);
        if (host && std::find(out.begin(), out.end(), *host) == out.end()) out.push_back(*host);
      }
    }
    return out;
  }

  PlanListener& listener_at(model::Plan& plan, std::uint16_t port) {
    for (PlanListener& one : plan.listeners) {
      if (one.port == port) return one;
    }
    plan.listeners.push_back({.name = "port-" + std::to_string(port), .port = port, .chains = {}});
    return plan.listeners.back();
  }

  bool add_certificates(model::Plan& plan, const model::Gateway& gateway, model::ServerTls& tls,
                        GatewayRecord::OfListener& record) const {
    for (std::string& name : tls.secrets) {
      if (name.starts_with('/')) name = plan.ns + name;
      const std::string ns = name.substr(0, name.find('/'));
      const std::string plain = name.substr(name.find('/') + 1);
      if (gateway.gateway_api && ns != gateway.ns &&
          !permits(objects(), "gateway.networking.k8s.io", "Gateway", gateway.ns, ns, "Secret",
                   plain)) {
        record.bad_reference = "RefNotPermitted: no ReferenceGrant lets it use Secret " + name;
        return false;
      }
      const auto found = objects().certificates().find(name);
      const bool there = found != objects().certificates().end();
      const bool whole = there && !found->second.chain_pem.empty();
      const bool mutual = tls.mode != model::ServerTls::Mode::kSimple;
      std::string problem = there ? found->second.problem : "is not there";
      if (there && problem.empty() && !whole) problem = "holds no tls.crt";
      if (whole && mutual && found->second.ca_pem.empty()) problem = "holds no ca.crt";
      if (!problem.empty())
        record.bad_reference = "InvalidCertificateRef: Secret " + name + " " + problem;
      if (!whole || (mutual && found->second.ca_pem.empty())) return false;
      if (!problem.empty()) record.bad_reference += "; the one before it is served";
      model::PlanCertificate made{.name = name,
                                  .chain_pem = found->second.chain_pem,
                                  .key_pem = found->second.key_pem,
                                  .ca_pem = found->second.ca_pem};
      if (std::find(plan.certificates.begin(), plan.certificates.end(), made) ==
          plan.certificates.end())
        plan.certificates.push_back(std::move(made));
    }
    return true;
  }

  void add_listener(model::Plan& plan, const model::Gateway& gateway, const Listener& listener,
                    GatewayRecord& record) {
    GatewayRecord::OfListener& of = record.listeners[listener.name];
    const bool tls = listener.tls.has_value();
    const bool passthrough = tls && listener.tls->mode == model::ServerTls::Mode::kPassthrough;
    const bool http = !passthrough && listener.protocol != "TCP" && listener.protocol != "TLS";
    std::map<std::string, std::vector<const RouteTable*>> by_host;
    std::vector<const RouteTable*> connections;
    for (const auto& [key, known] : objects().routes()) {
      for (const RouteTable& table : known.decoded.values) {
        if (table.gateway != gateway.ns + "/" + gateway.name) continue;
        if ((table.from.key.kind == "VirtualService.networking.istio.io") == gateway.gateway_api)
          continue;
        Attachment& attached = record.attachments[{key, table.section}];
        note_references(table, listener.port, attached);
        if (!admits(gateway, listener, table, attached)) continue;
        const auto hosts = hosts_at(gateway, listener, table);
        if (!http) {
          const bool ours = gateway.gateway_api || !hosts.empty();
          if (!table.connections.empty() && ours) connections.push_back(&table);
        } else {
          if (hosts.empty() && !attached.accepted) {
            attached.reason = "NoMatchingListenerHostname";
            attached.message = "no listener has a host name in common";
          }
          if (hosts.empty() || table.http.empty()) continue;
          for (const std::string& host : hosts) by_host[host].push_back(&table);
        }
        attached.accepted = true;
        attached.reason = "Accepted";
        ++of.attached;
      }
    }
    PlanListener::Chain chain;
    chain.tls = listener.tls;
    of.left_out = tls && !passthrough && !add_certificates(plan, gateway, *chain.tls, of);
    if (of.left_out) return;
    if (tls) {
      for (const std::string& host : listener.hosts) {
        if (host != "*") chain.sni.push_back(host);
      }
    }
    PlanListener& at = listener_at(plan, listener.port);
    if (http) {
      add_hosts(plan, listener, record, by_host, chain);
      place(at, std::move(chain), of);
    } else {
      add_connections(plan, listener, connections, chain, at);
    }
  }

  // At a gateway sourceLabels and sourceNamespace speak of its own pods, not of who asks it.
  std::vector<model::PlanRoute> of_own_pods(const model::Plan& plan,
                                            std::vector<model::PlanRoute> routes) const {
    const source::Pod pod = pod_of(plan);
    std::vector<model::PlanRoute> out;
    for (model::PlanRoute& route : routes) {
      if (!route.rule.matches.empty()) {
        model::RequestMatch& match = route.rule.matches[0];
        if (!match.source_labels.empty() && !source::selects(match.source_labels, pod.labels))
          continue;
        if (match.source_namespace && *match.source_namespace != pod.ns) continue;
        match.source_labels.clear();
        match.source_namespace.reset();
        if (match == model::RequestMatch{}) route.rule.matches.clear();
      }
      out.push_back(std::move(route));
    }
    return out;
  }

  // One of its pods, or what they will be: they must not find an open configuration when they come.
  source::Pod pod_of(const model::Plan& plan) const {
    source::Pod pod;
    pod.name = plan.name;
    pod.ns = plan.ns;
    if (const auto own = out_.desired.find(plan.id); own != out_.desired.end())
      pod.labels = own->second.pod_labels;
    pod.labels["weft.dev/gateway"] = plan.name;
    pod.labels["gateway.networking.k8s.io/gateway-name"] = plan.name;
    for (const auto& [name, one] : in_namespace(facts().pods, plan.ns)) {
      const auto label = one.labels.find("weft.dev/gateway");
      if (label != one.labels.end() && label->second == plan.name) pod = one;
    }
    return pod;
  }

  void add_hosts(model::Plan& plan, const Listener& listener, GatewayRecord& record,
                 const std::map<std::string, std::vector<const RouteTable*>>& by_host,
                 PlanListener::Chain& chain) {
    for (const auto& [host, tables] : by_host) {
      PlanHost made{.hosts = {host}, .https_redirect = listener.https_redirect};
      const Entrance at{.port = listener.port, .tls = listener.tls.has_value()};
      made.routes = of_own_pods(plan, order_routes(tables, at, nullptr));
      for (model::PlanRoute& route : made.routes) check_grants(route.from.key, route.rule);
      Resolved resolved;
      resolve_routes(in_.base, made.routes, listener.port, nullptr, resolved);
      for (const std::string& name : resolved.clusters) plan.clusters.emplace(name, reach(name));
      for (const auto& [key, texts] : resolved.unresolved) {
        for (auto& [id, attached] : record.attachments) {
          if (id.first == key) note(texts, attached);
        }
      }
      chain.http.push_back(std::move(made));
    }
    if (listener.https_redirect && chain.http.empty())
      chain.http.push_back({.hosts = {"*"}, .routes = {}, .https_redirect = true});
  }

  // Plain HTTP listeners of one port are one chain; of TLS each is its own, told apart by SNI.
  static void place(PlanListener& at, PlanListener::Chain chain, GatewayRecord::OfListener& of) {
    for (PlanListener::Chain& one : at.chains) {
      if (one.tls.has_value() != chain.tls.has_value()) {
        of.conflict = "another listener of this port speaks another protocol";
        return;
      }
      if (chain.tls) {
        if (one.sni == chain.sni && one.tls != chain.tls) {
          of.conflict = "another listener of this port has these host names";
          return;
        }
        if (one.sni != chain.sni) continue;
      }
      for (PlanHost& host : chain.http) {
        const auto same = std::find_if(one.http.begin(), one.http.end(), [&](const PlanHost& had) {
          return had.hosts == host.hosts;
        });
        if (same == one.http.end()) {
          one.http.push_back(std::move(host));
        } else {
          same->routes.insert(same->routes.end(), host.routes.begin(), host.routes.end());
        }
      }
      return;
    }
    at.chains.push_back(std::move(chain));
  }

  // Envoy refuses a listener with two chains that match the same, or share a name.
  static bool is_taken(const PlanListener& at, const PlanListener::Chain& chain) {
    return std::any_of(at.chains.begin(), at.chains.end(), [&](const PlanListener::Chain& had) {
      if (had.tls.has_value() != chain.tls.has_value()) return true;
      return had.sni == chain.sni ||
             std::any_of(had.sni.begin(), had.sni.end(), [&](const std::string& name) {
               return std::find(chain.sni.begin(), chain.sni.end(), name) != chain.sni.end();
             });
    });
  }

  void add_connections(model::Plan& plan, const Listener& listener,
                       std::vector<const RouteTable*> tables, const PlanListener::Chain& shape,
                       PlanListener& at) {
    std::sort(tables.begin(), tables.end(), [](const RouteTable* a, const RouteTable* b) {
      return older(a->from, b->from);
    });
    for (const RouteTable* table : tables) {
      for (const model::ConnectionRule& rule : table->connections) {
        if (rule.port && *rule.port != listener.port) continue;
        PlanListener::Chain chain = shape;
        if (!rule.sni.empty()) chain.sni = rule.sni;
        for (const model::Backend& backend : rule.backends) {
          const Followed to = follow(facts(), objects(), backend, listener.port, table->api);
          if (!to.cluster) continue;
          const std::string name = to.cluster->name();
          plan.clusters.emplace(name, reach(name));
          chain.tcp_clusters.push_back(name);
          chain.tcp_weights.push_back(std::max<std::uint64_t>(backend.weight, 1));
        }
        if (!chain.tcp_clusters.empty() && !is_taken(at, chain))
          at.chains.push_back(std::move(chain));
      }
    }
  }

  void check_grants(const source::ObjectKey& from, model::HttpRule& rule) const {
    if (!from.kind.ends_with("gateway.networking.k8s.io")) return;
    const std::string kind = from.kind.substr(0, from.kind.find('.'));
    auto check = [&](model::Backend& backend) {
      const std::string& to = backend.service.ns;
      if (!backend.broken.empty() || to.empty() || to == from.ns) return;
      const std::string name =
          backend.service.hostname.substr(0, backend.service.hostname.find('.'));
      if (!permits(objects(), "gateway.networking.k8s.io", kind, from.ns, to, "Service", name))
        backend.broken =
            "RefNotPermitted: no ReferenceGrant lets it use Service " + to + "/" + name;
    };
    for (model::Backend& backend : rule.backends) check(backend);
    for (model::Mirror& mirror : rule.mirrors) check(mirror.to);
  }

  // A service with a waypoint is reached by its address, so that the waypoint is passed; subsets
  // are the gateway's to choose unless there is policy to pass.
  model::PlanCluster reach(const std::string& name) const {
    model::PlanCluster out = in_.cluster(name);
    const auto key = ClusterKey::parse(name);
    const ServiceRecord* record = key ? in_.record(key->host) : nullptr;
    const source::Service* service = key ? facts().service(key->host) : nullptr;
    if (record == nullptr || service == nullptr || !record->served()) return out;
    const bool covered = std::any_of(record->ports.begin(), record->ports.end(),
                                     [&](const auto& port) { return port.key.port == key->port; });
    if (!covered || (!key->subset.empty() && !record->has_policy)) return out;
    out.endpoints.clear();
    out.policy.tls.reset();  // what the pods speak is the waypoint's to speak
    if (!service->cluster_ips.empty())
      out.endpoints.push_back({.address = service->cluster_ips.front().str(), .port = key->port});
    return out;
  }

  // Policies and tokens of the gateway's own pods, and an order that does not depend on objects'.
  void finish(model::Plan& plan) {
    Reach reach(facts());
    const source::Pod pod = pod_of(plan);
    PolicyList own = policies_of(facts(), pod, facts().services_of(pod));
    for (const model::AuthzPolicy* one :
         policies_targeting(facts(), plan.ns, plan.name, "Gateway")) {
      if (std::find(own.begin(), own.end(), one) == own.end()) own.push_back(one);
    }
    reach.also(std::move(own));
    const model::PlanAuthz authz = reach.authz();
    std::sort(plan.listeners.begin(), plan.listeners.end(),
              [](const PlanListener& a, const PlanListener& b) { return a.port < b.port; });
    secure(objects(), plan);
    const auto sampling = trace_sampling_of(in_.base, plan.ns);
    for (PlanListener& listener : plan.listeners) {
      listener.trace_sampling_percent = sampling;
      for (PlanListener::Chain& chain : listener.chains) {
        chain.authz = authz;
        std::sort(chain.http.begin(), chain.http.end(),
                  [](const PlanHost& a, const PlanHost& b) { return a.hosts < b.hosts; });
      }
    }
  }

  const GatewayInputs& in_;
  Gateways out_;
};

}  // namespace

Gateways plan_gateways(const GatewayInputs& in) { return Maker(in).run(); }

}  // namespace weft::controlplane::translate::l7
