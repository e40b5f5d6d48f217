#include "controlplane/translate/l7/clusters.h"

#include <algorithm>
#include <charconv>

#include "controlplane/translate/l7/rules.h"

namespace weft::controlplane::translate::l7 {
namespace {

// Who says what a host is: one that names it before one with a wildcard, then the oldest, so that a
// later object of whatever namespace takes nobody's traffic.
const model::ExternalService* external(const Objects& objects, const std::string& host) {
  const model::ExternalService* best = nullptr;
  bool best_names_it = false;
  for (const auto& [key, known] : objects.externals()) {
    for (const model::ExternalService& one : known.decoded.values) {
      for (const std::string& pattern : one.hosts) {
        if (!covers(pattern, host)) continue;
        const bool names_it = pattern == host;
        const bool better =
            best == nullptr || (names_it != best_names_it ? names_it : older(one.from, best->from));
        if (!better) continue;
        best = &one;
        best_names_it = names_it;
      }
    }
  }
  return best;
}

// An address of the family that the service speaks first.
const IpAddress& choose(const std::vector<IpAddress>& ips, const source::Service& service) {
  const bool v6 = !service.cluster_ips.empty() && service.cluster_ips.front().is_v6();
  const auto found =
      std::find_if(ips.begin(), ips.end(), [&](const IpAddress& ip) { return ip.is_v6() == v6; });
  return found == ips.end() ? ips.front() : *found;
}

void add_endpoints(const Facts& facts, const source::Service& service, const mesh::Labels& labels,
                   model::PlanCluster& out, std::uint16_t service_port) {
  for (const ServiceEndpoint& endpoint : facts.endpoints(service)) {
    if (!endpoint.usable || endpoint.ips.empty()) continue;
    if (!labels.empty() &&
        (endpoint.pod == nullptr || !source::selects(labels, endpoint.pod->labels))) {
      continue;
    }
    const auto port =
        std::find_if(endpoint.ports.begin(), endpoint.ports.end(),
                     [&](const mesh::Port& one) { return one.service_port == service_port; });
    if (port == endpoint.ports.end()) continue;
    model::PlanEndpoint made{.address = choose(endpoint.ips, service).str(),
                             .port = port->target_port};
    if (endpoint.pod != nullptr)
      made.workload_uid = core::pod_uid(facts.options.naming, service.ns, endpoint.pod->name);
    const auto node = facts.nodes.find(endpoint.node);
    if (node != facts.nodes.end()) {
      const auto label = [&](const char* name) {
        const auto found = node->second.labels.find(name);
        return found == node->second.labels.end() ? std::string() : found->second;
      };
      made.locality = {label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"),
                       label("topology.istio.io/subzone")};
    } else {
      made.locality.zone = endpoint.zone;
    }
    out.endpoints.push_back(std::move(made));
  }
  std::sort(out.endpoints.begin(), out.endpoints.end(),
            [](const model::PlanEndpoint& a, const model::PlanEndpoint& b) {
              return std::tie(a.workload_uid, a.address, a.port) <
                     std::tie(b.workload_uid, b.address, b.port);
            });
}

mesh::AppProtocol protocol_of(const std::string& name) {
  if (name == "HTTP2") return mesh::AppProtocol::kHttp2;
  if (name == "GRPC") return mesh::AppProtocol::kGrpc;
  if (name == "TLS" || name == "HTTPS") return mesh::AppProtocol::kTls;
  if (name == "TCP") return mesh::AppProtocol::kTcp;
  return mesh::AppProtocol::kHttp11;
}

void fill_external(const model::ExternalService& service, const ClusterKey& key,
                   const mesh::Labels& labels, model::PlanCluster& out) {
  using Resolution = model::ExternalService::Resolution;
  using Discovery = model::PlanCluster::Discovery;
  const auto port =
      std::find_if(service.ports.begin(), service.ports.end(),
                   [&](const model::ExternalPort& one) { return one.port == key.port; });
  std::uint16_t target = key.port;
  if (port != service.ports.end()) {
    out.protocol = protocol_of(port->protocol);
    if (port->target_port != 0) target = port->target_port;
  }
  out.discovery = service.resolution == Resolution::kNone     ? Discovery::kOriginalDestination
                  : service.resolution == Resolution::kStatic ? Discovery::kEndpoints
                  : service.resolution == Resolution::kDns    ? Discovery::kDns
                                                              : Discovery::kDnsLogical;
  for (const model::ExternalEndpoint& endpoint : service.endpoints) {
    if (!labels.empty() && !source::selects(labels, endpoint.labels)) continue;
    std::uint16_t at = target;
    if (port != service.ports.end() && endpoint.ports.contains(port->name))
      at = endpoint.ports.at(port->name);
    out.endpoints.push_back(
        {.address = endpoint.address, .port = at, .weight = endpoint.weight.value_or(1)});
  }
  if (service.endpoints.empty() && out.discovery != Discovery::kEndpoints &&
      out.discovery != Discovery::kOriginalDestination) {
    out.endpoints.push_back({.address = key.host, .port = target});
  }
}

}  // namespace

std::string ClusterKey::name() const {
  return "outbound|" + std::to_string(port) + "|" + subset + "|" + host;
}

std::optional<ClusterKey> ClusterKey::parse(const std::string& name) {
  const std::size_t first = name.find('|');
  const std::size_t second = first == std::string::npos ? first : name.find('|', first + 1);
  const std::size_t third = second == std::string::npos ? second : name.find('|', second + 1);
  if (third == std::string::npos) return std::nullopt;
  ClusterKey out{.host = name.substr(third + 1),
                 .subset = name.substr(second + 1, third - second - 1)};
  std::from_chars(name.data() + first + 1, name.data() + second, out.port);
  return out;
}

bool is_http(mesh::AppProtocol protocol) {
  using enum mesh::AppProtocol;
  return protocol == kHttp11 || protocol == kHttp2 || protocol == kGrpc;
}

std::optional<mesh::Port> port_of(const Facts& facts, const source::Service& service,
                                  std::uint16_t port) {
  const auto made = core::make_service(facts.options.naming, service);
  if (!made) return std::nullopt;
  for (const mesh::Port& one : made->ports) {
    if (one.service_port == port) return one;
  }
  return std::nullopt;
}

Credential credential_of(const Objects& objects, const std::string& ns,
                         const model::ClientTls& tls) {
  using Mode = model::ClientTls::Mode;
  Credential out;
  if (tls.credential_name.empty() || (tls.mode != Mode::kSimple && tls.mode != Mode::kMutual))
    return out;
  const std::string name = ns + "/" + tls.credential_name;
  const auto found = objects.certificates().find(name);
  const auto roots = objects.certificates().find(name + "-cacert");
  if (found != objects.certificates().end()) out.ca_pem = found->second.ca_pem;
  if (out.ca_pem.empty() && roots != objects.certificates().end())
    out.ca_pem = roots->second.ca_pem;
  if (tls.mode == Mode::kSimple) {
    if (out.ca_pem.empty() && !tls.skip_verify) {
      const bool there = found != objects.certificates().end();
      out.problem = "Secret " + name + (there ? " holds no ca.crt" : " is not there");
    }
    return out;
  }
  if (found == objects.certificates().end()) {
    out.problem = "Secret " + name + " is not there";
  } else if (found->second.chain_pem.empty()) {
    out.problem = "Secret " + name + " " +
                  (found->second.problem.empty() ? "holds no tls.crt" : found->second.problem);
  } else {
    out.certificate = model::PlanCertificate{.name = name,
                                             .chain_pem = found->second.chain_pem,
                                             .key_pem = found->second.key_pem,
                                             .ca_pem = found->second.ca_pem};
  }
  if (!out.problem.empty()) out.ca_pem.clear();
  return out;
}

void secure(const Objects& objects, model::Plan& plan) {
  for (auto& [name, cluster] : plan.clusters) {
    if (!cluster.policy.tls || cluster.policy.tls->credential_name.empty()) continue;
    Credential found = credential_of(objects, plan.ns, *cluster.policy.tls);
    if (!found.problem.empty()) {
      cluster.endpoints.clear();
      cluster.discovery = model::PlanCluster::Discovery::kEndpoints;
      cluster.policy.load_balancer.reset();
      cluster.policy.tls.reset();
      continue;
    }
    cluster.policy.tls->ca_pem = std::move(found.ca_pem);
    cluster.policy.tls->credential_name = found.certificate ? found.certificate->name : "";
    if (found.certificate && std::find(plan.certificates.begin(), plan.certificates.end(),
                                       *found.certificate) == plan.certificates.end())
      plan.certificates.push_back(std::move(*found.certificate));
  }
  std::sort(plan.certificates.begin(), plan.certificates.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
}

MergedRule rules_for(const Facts& facts, const Objects& objects, const std::string& host) {
  const source::Service* service = facts.service(host);
  std::string ns = service != nullptr ? service->ns : "";
  if (service == nullptr) {
    const model::ExternalService* outside = external(objects, host);
    if (outside != nullptr) ns = outside->ns;
  }
  return merge_rules(objects.destinations_for(host), ns, facts.options.root_namespaces);
}

Followed follow(const Facts& facts, const Objects& objects, const model::Backend& backend,
                std::uint16_t listener_port, model::Api api) {
  Followed out;
  if (!backend.broken.empty()) {
    out.broken = out.complaint = backend.broken;
    return out;
  }
  const bool strict = api == model::Api::kGatewayApi;
  const std::string& host = backend.service.hostname;
  auto missing = [&](const std::string& what) {
    out.complaint = "BackendNotFound: " + what;
    if (strict) out.broken = out.complaint;
  };
  ClusterKey key{.host = host, .port = backend.service.port, .subset = backend.subset};
  out.service = facts.service(host);
  const model::ExternalService* outside =
      out.service == nullptr ? external(objects, host) : nullptr;
  if (out.service != nullptr) {
    std::vector<std::uint16_t> ports;
    for (const source::ServicePort& one : out.service->ports) {
      if (one.protocol == "TCP") ports.push_back(one.port);
    }
    auto has = [&](std::uint16_t port) {
      return std::find(ports.begin(), ports.end(), port) != ports.end();
    };
    if (key.port == 0) key.port = ports.size() == 1 ? ports.front() : listener_port;
    if (!has(key.port))
      missing("service " + out.service->ns + "/" + out.service->name + " has no port " +
              std::to_string(key.port));
  } else if (outside != nullptr) {
    if (key.port == 0)
      key.port = outside->ports.size() == 1 ? outside->ports.front().port : listener_port;
  } else {
    if (key.port == 0) key.port = listener_port;
    missing("there is no service " + host);
  }
  if (!key.subset.empty()) {
    const MergedRule rules = rules_for(facts, objects, host);
    const model::Subset* subset = rules.subset(key.subset);
    if (subset == nullptr)
      missing("no DestinationRule defines subset " + key.subset + " of " + host);
    if (subset != nullptr) out.labels = subset->labels;
  }
  if (out.broken.empty()) out.cluster = std::move(key);
  return out;
}

model::PlanCluster make_cluster(const Facts& facts, const Objects& objects, const ClusterKey& key) {
  model::PlanCluster out{.name = key.name(), .subset = key.subset};
  out.service = {.ns = "", .hostname = key.host, .port = key.port};
  const MergedRule rules = rules_for(facts, objects, key.host);
  const model::Subset* subset = key.subset.empty() ? nullptr : rules.subset(key.subset);
  out.policy = rules.policy(key.port, subset);
  const mesh::Labels labels = subset == nullptr ? mesh::Labels{} : subset->labels;
  const bool nobody = !key.subset.empty() && subset == nullptr;
  if (const source::Service* service = facts.service(key.host)) {
    out.service.ns = service->ns;
    const auto port = port_of(facts, *service, key.port);
    if (port && port->app_protocol != mesh::AppProtocol::kUnknown)
      out.protocol = port->app_protocol;
    if (!nobody) add_endpoints(facts, *service, labels, out, key.port);
  } else if (const model::ExternalService* outside = external(objects, key.host)) {
    out.service.ns = outside->ns;
    if (!nobody) fill_external(*outside, key, labels, out);
  }
  return out;
}

}  // namespace weft::controlplane::translate::l7
