#include "controlplane/translate/l7/service_plan.h"

#include <algorithm>

#include "controlplane/translate/l7/clusters.h"

namespace weft::controlplane::translate::l7 {
namespace {

using model::PlanService;
using source::ObjectKey;

std::string label(const mesh::Labels& labels, std::string_view key) {
  const auto found = labels.find(std::string(key));
  return found == labels.end() ? "" : found->second;
}

// Weft's own services are never served by a waypoint.
bool is_infrastructure(const source::Service& service) {
  return std::any_of(service.selector.begin(), service.selector.end(), [](const auto& entry) {
    return entry.first == "weft.dev/waypoint" || entry.first == "weft.dev/gateway" ||
           entry.first == "gateway.networking.k8s.io/gateway-name";
  });
}

bool is_sidecar_era(const source::Namespace* ns) {
  if (ns == nullptr) return false;
  const std::string linkerd = label(ns->annotations, mesh::kLinkerdInject);
  return label(ns->labels, mesh::kIstioInjectionLabel) == "enabled" || linkerd == "enabled" ||
         linkerd == "ingress";
}

class Planner {
 public:
  Planner(const Inputs& in, const source::Service& service)
      : in_(in), service_(service), ns_(in.facts.ns(service.ns)), own_(in.facts) {
    out_.hostname = in.facts.hostname(service);
    out_.ns = service.ns;
    out_.name = service.name;
  }

  ServiceRecord run(const Keep* keep) {
    if (is_infrastructure(service_)) return std::move(out_);
    const auto made = core::make_service(in_.facts.options.naming, service_);
    if (made) ports_ = made->ports;
    own_.add(service_, {});
    targeting_ = policies_targeting(in_.facts, service_.ns, service_.name, "Service");
    tables_ = in_.objects.tables_for(out_.hostname);
    guess_protocols();
    ask_routes();
    ask_rules();
    ask_policies();
    ask_namespace();
    choose_waypoint();
    if (keep != nullptr) {
      out_.wanted = true;
      out_.waypoint_ns = keep->ns;
      out_.waypoint_name = keep->name;
    }
    if (!made) out_.unservable = "it is an ExternalName service";
    if (made && made->addresses.empty())
      out_.unservable = "it is headless: no address to take over";
    plan_ports();  // unserved ones too: verdicts are for statuses
    if (out_.served()) ask_credentials();
    if (out_.wanted && out_.unservable.empty() && out_.ports.empty())
      out_.unservable = "none of its ports is HTTP by appProtocol or name";
    if (!out_.unservable.empty()) out_.waypoint_name = out_.waypoint_ns = "";
    return std::move(out_);
  }

 private:
  bool is_for_everybody(const model::RouteTable& table) const {
    return l7::is_for_everybody(table, service_.ns, in_.facts.options.root_namespaces);
  }

  // A port that does not say what it speaks is HTTP where a route says so: a Gateway API route
  // names it; an Istio one is about the whole service, so it counts when no port is HTTP. A route
  // for some clients only cannot say so: the port would be HTTP for the others as well.
  void guess_protocols() {
    const bool any_http = std::any_of(ports_.begin(), ports_.end(), [](const mesh::Port& one) {
      return is_http(one.app_protocol);
    });
    for (mesh::Port& port : ports_) {
      if (port.app_protocol != mesh::AppProtocol::kUnknown) continue;
      for (const model::RouteTable* table : tables_) {
        if (table->http.empty() || !is_for_everybody(*table)) continue;
        if (table->service.port != 0 && table->service.port != port.service_port) continue;
        if (table->api != model::Api::kGatewayApi && any_http) continue;
        port.app_protocol = table->protocol == model::RouteTable::Protocol::kGrpc
                                ? mesh::AppProtocol::kGrpc
                                : mesh::AppProtocol::kHttp11;
      }
    }
  }

  void want(const ObjectKey& key) {
    out_.wanted = true;
    out_.wanted_by.insert(key);
  }

  bool has_http() const {
    return std::any_of(ports_.begin(), ports_.end(),
                       [](const mesh::Port& one) { return is_http(one.app_protocol); });
  }

  void ask_routes() {
    for (const model::RouteTable* table : tables_) {
      refuse_connections(*table);
      const bool hidden = table->export_to.size() == 1 && table->export_to[0] == "~";
      const bool idle = !table->connections.empty() && !is_for_everybody(*table);
      if (!hidden && !idle) want(table->from.key);
    }
  }

  void ask_rules() {
    const MergedRule rules = rules_for(in_.facts, in_.objects, out_.hostname);
    for (const mesh::Port& port : ports_) {
      if (is_http(port.app_protocol) && rules.needs_l7(port.service_port))
        want(rules.oldest->from.key);
    }
    for (const MergedRule::Loser& loser : rules.losers)
      out_.complaints[loser.rule->from.key].push_back(loser.text);
    for (const model::Destination* rule : in_.objects.destinations_for(out_.hostname)) {
      if (std::find(rules.all.begin(), rules.all.end(), rule) == rules.all.end())
        out_.complaints[rule->from.key].push_back(
            "not in force: a rule counts in its service's namespace or in a root namespace");
    }
  }

  void ask_credentials() {
    for (const std::string& name : out_.clusters) {
      const auto key = ClusterKey::parse(name);
      if (!key) continue;
      const MergedRule rules = rules_for(in_.facts, in_.objects, key->host);
      const auto tls = rules.policy(key->port, rules.subset(key->subset)).tls;
      if (!tls) continue;
      const std::string problem = credential_of(in_.objects, out_.waypoint_ns, *tls).problem;
      if (problem.empty()) continue;
      std::vector<std::string>& texts = out_.broken[rules.oldest->from.key];
      std::string text = problem + ": requests for " + key->host + " get a 503";
      if (std::find(texts.begin(), texts.end(), text) == texts.end())
        texts.push_back(std::move(text));
    }
  }

  void ask_policies() {
    auto ask = [&](const PolicyList& list) {
      for (const model::AuthzPolicy* policy : list) {
        if (policy->action != model::Action::kAudit)
          out_.own_policies.insert(policy->ns + "/" + policy->name);
        const bool l7 = !policy->l7_fields.empty() || policy->action == model::Action::kAudit;
        if (l7) want(policy->from.key);
        out_.has_policy = out_.has_policy || (l7 && policy->action != model::Action::kAudit);
      }
    };
    for (const PolicyList& list : own_.sets()) ask(list);
    ask(targeting_);
    ServiceAuthn authn = authn_of(in_.facts, in_.objects, service_, in_.jwks);
    for (const ObjectKey& key : authn.objects) want(key);
    out_.has_policy = out_.has_policy || !authn.objects.empty();
    if (!authn.objects.empty())
      out_.own_policies.insert(service_.ns + "/" + requests_policy_name(service_.name));
    out_.authns = std::move(authn.objects);
    out_.jwt_problems = std::move(authn.problems);
    jwt_ = std::move(authn.rules);
  }

  void ask_namespace() {
    if (is_sidecar_era(ns_) && has_http())
      want({.kind = "Namespace", .ns = "", .name = service_.ns});
    if (label(service_.annotations, kL7Annotation) == "disabled") {
      out_.opted_out = "annotation weft.dev/l7: disabled on the Service";
    } else if (ns_ != nullptr && label(ns_->annotations, kL7Annotation) == "disabled" &&
               label(service_.annotations, kL7Annotation).empty()) {
      out_.opted_out = "annotation weft.dev/l7: disabled on the Namespace";
    }
  }

  void choose_waypoint() {
    static const mesh::Labels kNone;
    const mesh::Labels* labels = &service_.labels;
    std::string name = label(*labels, mesh::kUseWaypointLabel);
    if (name.empty()) {
      labels = ns_ == nullptr ? &kNone : &ns_->labels;
      name = label(*labels, mesh::kUseWaypointLabel);
    }
    if (name == "none") {
      if (out_.opted_out.empty()) out_.opted_out = "label istio.io/use-waypoint: none";
      return;
    }
    if (!out_.opted_out.empty()) return;
    if (name.empty()) {
      if (!out_.wanted) return;
      out_.waypoint_ns = service_.ns;
      out_.waypoint_name = kAutomaticWaypoint;
      return;
    }
    std::string ns = label(*labels, mesh::kUseWaypointNamespaceLabel);
    if (ns.empty()) ns = service_.ns;
    out_.bound = true;
    const model::Gateway* gateway = waypoint_gateway(in_.objects, ns, name);
    const bool automatic = gateway == nullptr && ns == service_.ns && name == kAutomaticWaypoint;
    if (gateway == nullptr && !automatic) {
      out_.missing = "there is no waypoint " + ns + "/" + name;
    } else if (gateway != nullptr && gateway->waypoint_for != "service" &&
               gateway->waypoint_for != "all") {
      out_.missing = "waypoint " + ns + "/" + name + " is not for services";
    } else if (gateway != nullptr && ns != service_.ns && !admits(*gateway)) {
      out_.missing = "waypoint " + ns + "/" + name + " does not admit namespace " + service_.ns;
    } else {
      out_.wanted = true;
      out_.waypoint_ns = ns;
      out_.waypoint_name = name;
    }
  }

  bool admits(const model::Gateway& gateway) const {
    return std::any_of(gateway.listeners.begin(), gateway.listeners.end(),
                       [&](const model::Listener& one) {
                         if (one.routes_from == "All") return true;
                         return one.routes_from == "Selector" && ns_ != nullptr &&
                                source::selects(one.routes_selector, ns_->labels);
                       });
  }

  void plan_ports() {
    out_.policies = out_.own_policies;
    if (!out_.wanted) return;
    model::PlanAuthz authz = own_.authz();
    const std::vector<model::RouteTable> none;
    for (const mesh::Port& port : ports_) {
      PlanService plan{
          .key = {.ns = service_.ns, .hostname = out_.hostname, .port = port.service_port},
          .service_name = service_.name,
          .service_ns = service_.ns,
          .protocol = port.app_protocol,
          .target_port = port.target_port,
          .authz = authz};
      for (const IpAddress& ip : service_.cluster_ips)
        plan.addresses.push_back({ip, port.service_port});
      add_gateway_policies(plan);
      Resolved resolved;
      const bool served = is_http(port.app_protocol) ? plan_requests(plan, resolved)
                                                     : plan_connections(plan, resolved);
      if (!served) continue;
      resolved.reach.insert(out_.hostname);
      out_.clusters.insert(resolved.clusters.begin(), resolved.clusters.end());
      out_.reach.insert(resolved.reach.begin(), resolved.reach.end());
      out_.policies.insert(resolved.policies.begin(), resolved.policies.end());
      out_.by_labels = out_.by_labels || resolved.by_labels;
      out_.ports.push_back(std::move(plan));
    }
  }

  // Policies whose target is the waypoint itself hold for all that it serves.
  void add_gateway_policies(PlanService& plan) const {
    if (!out_.served()) return;
    Reach reach(in_.facts);
    reach.also(policies_targeting(in_.facts, out_.waypoint_ns, out_.waypoint_name, "Gateway"));
    model::PlanAuthz more = reach.authz();
    for (model::PolicySet& set : more.sets) plan.authz.sets.push_back(std::move(set));
  }

  bool plan_requests(PlanService& plan, Resolved& resolved) {
    std::vector<const model::RouteTable*> http;
    for (const model::RouteTable* table : tables_) {
      if (!table->http.empty() || table->protocol != model::RouteTable::Protocol::kConnection)
        http.push_back(table);
    }
    Routing routing =
        route_requests(http, in_.facts.options.root_namespaces, plan.key, default_retry());
    plan.routes = std::move(routing.routes);
    const model::PlanAuthz of_gateway = plan.authz;
    resolve_routes(in_, plan.routes, plan.key.port, &service_, resolved);
    for (model::PlanRoute& route : plan.routes) {
      if (!route.authz) continue;
      const std::size_t own = own_.authz().sets.size();
      for (std::size_t i = own; i < of_gateway.sets.size(); ++i)
        route.authz->sets.push_back(of_gateway.sets[i]);
    }
    plan.jwt = jwt_;
    add_authn_of_others(plan, resolved);
    plan.trace_sampling_percent = trace_sampling_of(in_, service_.ns);
    note(routing.verdicts, resolved);
    return true;
  }

  // Tokens that the other services behind these routes would check.
  void add_authn_of_others(PlanService& plan, Resolved& resolved) const {
    for (const std::string& host : resolved.reach) {
      const source::Service* other = in_.facts.service(host);
      if (other == nullptr || host == out_.hostname) continue;
      const ServiceAuthn authn = authn_of(in_.facts, in_.objects, *other, in_.jwks);
      if (authn.objects.empty()) continue;
      resolved.policies.insert(other->ns + "/" + requests_policy_name(other->name));
      for (const model::JwtRule& rule : authn.rules) {
        if (std::find(plan.jwt.begin(), plan.jwt.end(), rule) == plan.jwt.end())
          plan.jwt.push_back(rule);
      }
    }
  }

  // Whose clients a connection comes from is not asked, so a table for some of them is for none.
  bool plan_connections(PlanService& plan, Resolved& resolved) {
    for (const model::RouteTable* table : tables_) {
      if (!table->http.empty() && table->connections.empty()) refuse(*table, plan.key.port);
      if (!is_for_everybody(*table)) continue;
      for (const model::ConnectionRule& rule : table->connections) {
        if (rule.port && *rule.port != plan.key.port) continue;
        if (!rule.sni.empty() || !rule.destinations.empty() || !rule.source_labels.empty() ||
            rule.source_namespace || !plan.tcp_clusters.empty()) {
          continue;
        }
        for (const model::Backend& backend : rule.backends) {
          const Followed to = follow(in_.facts, in_.objects, backend, plan.key.port, table->api);
          if (!to.complaint.empty()) resolved.unresolved[table->from.key].push_back(to.complaint);
          if (!to.cluster || (backend.weight == 0 && rule.backends.size() > 1)) continue;
          plan.tcp_clusters.push_back(to.cluster->name());
          plan.tcp_weights.push_back(backend.weight == 0 ? 1 : backend.weight);
          resolved.clusters.insert(to.cluster->name());
          resolved.reach.insert(to.cluster->host);
        }
        note({{table, plan.key.port}}, resolved);
      }
    }
    if (plan.protocol == mesh::AppProtocol::kUnknown) plan.protocol = mesh::AppProtocol::kTcp;
    return !plan.tcp_clusters.empty();
  }

  void refuse_connections(const model::RouteTable& table) {
    if (table.connections.empty() || is_for_everybody(table)) return;
    out_.verdicts[table.from.key].push_back(
        {.table_port = table.service.port,
         .port = table.service.port,
         .accepted = false,
         .reason = "UnsupportedValue",
         .message = "TCP and TLS rules for the clients of some namespaces only are not supported: "
                    "they are for all when they are the service's namespace's own"});
  }

  void refuse(const model::RouteTable& table, std::uint16_t port) {
    if (table.service.port != port) return;  // it names other ports, or none in particular
    out_.verdicts[table.from.key].push_back(
        {.table_port = port,
         .port = port,
         .accepted = false,
         .reason = "UnsupportedProtocol",
         .message = "port " + std::to_string(port) + " of " + out_.hostname + " is not HTTP"});
  }

  void note(const std::vector<RouteVerdict>& verdicts, const Resolved& resolved) {
    for (const RouteVerdict& one : verdicts) {
      ObjectVerdict verdict{.table_port = one.table->service.port,
                            .port = one.port,
                            .accepted = one.accepted,
                            .reason = one.reason,
                            .message = one.message,
                            .warnings = one.warnings};
      verdict.unresolved = unresolved_of(in_.facts, in_.objects, *one.table, one.port);
      const auto found = resolved.unresolved.find(one.table->from.key);
      for (const std::string& text :
           found == resolved.unresolved.end() ? std::vector<std::string>{} : found->second) {
        if (std::find(verdict.unresolved.begin(), verdict.unresolved.end(), text) ==
            verdict.unresolved.end())
          verdict.unresolved.push_back(text);
      }
      for (const model::HttpRule& rule : one.table->http) {
        for (const model::Backend& backend : rule.backends)
          out_.mentions.insert(backend.service.hostname);
        for (const model::Mirror& mirror : rule.mirrors)
          out_.mentions.insert(mirror.to.service.hostname);
      }
      out_.verdicts[one.table->from.key].push_back(std::move(verdict));
    }
  }

  // Istio's proxies retry twice unless told otherwise; Linkerd's never do.
  bool default_retry() const {
    return ns_ == nullptr || label(ns_->annotations, mesh::kLinkerdInject).empty();
  }

  const Inputs& in_;
  const source::Service& service_;
  const source::Namespace* ns_;
  Reach own_;
  PolicyList targeting_;
  std::vector<mesh::Port> ports_;
  std::vector<const model::RouteTable*> tables_;
  std::vector<model::JwtRule> jwt_;
  ServiceRecord out_;
};

}  // namespace

std::optional<double> trace_sampling_of(const Inputs& inputs, const std::string& ns) {
  std::optional<double> of_root;
  for (const auto& [key, known] : inputs.objects.telemetry()) {
    for (const model::Telemetry& one : known.decoded.values) {
      if (!one.trace_sampling_percent || !one.selector.empty() || !one.targets.empty()) continue;
      if (one.ns == ns) return one.trace_sampling_percent;
      if (inputs.facts.is_root(one.ns)) of_root = one.trace_sampling_percent;
    }
  }
  return of_root;
}

const model::Gateway* waypoint_gateway(const Objects& objects, const std::string& ns,
                                       const std::string& name) {
  const auto found = objects.gateways().find({"Gateway.gateway.networking.k8s.io", ns, name});
  if (found == objects.gateways().end() || found->second.decoded.values.empty()) return nullptr;
  const model::Gateway& gateway = found->second.decoded.values.front();
  return gateway.kind == model::Gateway::Kind::kWaypoint ? &gateway : nullptr;
}

std::string principal_of(const Facts& facts, const std::string& ns, const std::string& account) {
  return mesh::Identity{facts.options.naming.trust_domain, ns, account}.principal();
}

std::string requests_policy_name(const std::string& service_name) {
  return "weft_requests_" + service_name;
}

ServiceRecord plan_service(const Inputs& inputs, const source::Service& service, const Keep* keep) {
  return Planner(inputs, service).run(keep);
}

}  // namespace weft::controlplane::translate::l7
