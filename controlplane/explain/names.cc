#include "controlplane/explain/names.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "controlplane/frontends/core/workloads.h"
#include "controlplane/translate/by_name.h"
#include "mesh/waypoint.h"

namespace weft::controlplane::explain {
namespace {

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == by) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

bool is_pod(const std::string& kind) { return kind == "pod" || kind == "pods" || kind == "po"; }
bool is_service(const std::string& kind) {
  return kind == "service" || kind == "services" || kind == "svc";
}
bool is_owner(const std::string& kind) {
  constexpr const char* kKinds[] = {
      "deployment", "deployments", "deploy", "statefulset", "statefulsets", "sts", "job", "jobs",
      "replicaset", "replicasets", "rs",     "daemonset",   "daemonsets",   "ds"};
  return std::any_of(std::begin(kKinds), std::end(kKinds),
                     [&](const char* one) { return kind == one; });
}

// A name in its parts; kind "" where none was written.
struct Named {
  std::string ns, kind, name;
};
std::optional<Named> parse(const std::string& text, const std::string& ns) {
  const auto parts = split(text, '/');
  if (std::any_of(parts.begin(), parts.end(), [](const auto& one) { return one.empty(); }))
    return std::nullopt;
  if (parts.size() == 1) return Named{ns, "", parts[0]};
  if (parts.size() == 3) return Named{parts[0], parts[1], parts[2]};
  if (parts.size() != 2) return std::nullopt;
  const bool kind = is_pod(parts[0]) || is_owner(parts[0]) || is_service(parts[0]);
  return kind ? Named{ns, parts[0], parts[1]} : Named{parts[0], "", parts[1]};
}

mesh::WorkloadPtr pod_named(const Place& place, const std::string& ns, const std::string& name) {
  return place.snapshot.workload_by_uid(core::pod_uid(place.facts.options.naming, ns, name));
}

// The first by name of those that are ready, else of all.
mesh::WorkloadPtr pod_of(const Place& place, const std::string& ns, const std::string& owner) {
  mesh::WorkloadPtr best;
  for (const auto& [uid, one] : place.snapshot.world().workloads) {
    if (one->ns != ns || one->workload_name != owner) continue;
    if (!best || std::pair(!one->healthy, one->name) < std::pair(!best->healthy, best->name))
      best = one;
  }
  return best;
}

std::string ports_text(const mesh::Service& service) {
  std::string out;
  for (const mesh::Port& one : service.ports)
    out += (out.empty() ? "" : ", ") + std::to_string(one.service_port);
  return out;
}

std::optional<std::uint16_t> port_of(const std::string& text) {
  if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != text.npos)
    return std::nullopt;
  const unsigned long port = std::stoul(text);
  if (port == 0 || port > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

// The port of somebody who named none.
Parsed<std::uint16_t> only_port(const std::vector<mesh::Port>& ports, const std::string& what) {
  std::vector<std::uint16_t> http;
  for (const mesh::Port& one : ports) {
    if (mesh::is_http(one.app_protocol)) http.push_back(one.service_port);
  }
  if (ports.size() == 1) return ports.front().service_port;
  if (http.size() == 1) return http.front();
  std::string list;
  for (const mesh::Port& one : ports)
    list += (list.empty() ? "" : ", ") + std::to_string(one.service_port);
  return problem("destination: " + what + " needs a port, write " + what + ":PORT" +
                 (list.empty() ? "" : "; it has " + list));
}

struct Port {
  std::optional<std::uint16_t> given;
  std::string text;  // ":80" or ""
};

Parsed<Destination> to_service(const mesh::ServicePtr& service, const Place& place,
                               const Port& port, const std::string& authority) {
  Destination out{.service = service, .authority = authority + port.text};
  const auto number =
      port.given ? Parsed<std::uint16_t>(*port.given) : only_port(service->ports, authority);
  if (!number) return std::unexpected(number.error());
  if (!port.given && *number != 80) out.authority += ":" + std::to_string(*number);
  const bool known =
      std::any_of(service->ports.begin(), service->ports.end(),
                  [&](const mesh::Port& one) { return one.service_port == *number; });
  if (!known)
    return problem("destination: Service " + service->ns + "/" + service->name + " has no port " +
                   std::to_string(*number) + ", it has " + ports_text(*service));
  if (!service->addresses.empty()) {
    out.address = {service->addresses.front().ip, *number};
    return out;
  }
  // Headless: its name is its pods' addresses.
  for (const mesh::WorkloadPtr& pod : place.snapshot.endpoints(service->key())) {
    if (!pod->healthy || pod->addresses.empty()) continue;
    out.workload = pod;
    out.address = {pod->addresses.front(), *number};
    return out;
  }
  return problem("destination: Service " + service->ns + "/" + service->name +
                 " is headless and no pod behind it is ready: its name has no address");
}

Parsed<Destination> to_pod(const mesh::WorkloadPtr& pod, const Port& port,
                           const std::string& authority) {
  if (pod->addresses.empty())
    return problem("destination: pod " + pod->ns + "/" + pod->name + " has no address yet");
  if (!port.given)
    return problem("destination: pod " + pod->name + " needs a port, write pod/" + pod->name +
                   ":PORT");
  return Destination{.address = {pod->addresses.front(), *port.given},
                     .service = nullptr,
                     .workload = pod,
                     .authority = authority + port.text};
}

Parsed<Destination> to_address(const Place& place, const SocketAddress& address,
                               const std::string& text, const std::string& ns) {
  Destination out{.address = address, .authority = text};
  out.workload = place.snapshot.workload_by_ip(address.ip);
  if (!out.workload) out.service = place.snapshot.service_by_vip(address.ip, ns);
  return out;
}

mesh::ServicePtr service_named(const Place& place, const std::string& ns, const std::string& name) {
  const source::Service* service = translate::find(place.facts.services, ns, name);
  if (service == nullptr) return nullptr;
  return place.snapshot.service_by_key(ns + "/" + place.facts.hostname(*service));
}

// "NAME", "NAME.NS", "NAME.NS.svc", "NAME.NS.svc.DOMAIN".
mesh::ServicePtr service_by_dns(const Place& place, const std::string& text,
                                const std::string& ns) {
  const std::string domain = ".svc." + place.facts.options.naming.cluster_domain;
  std::string name = text;
  if (name.ends_with(".")) name.pop_back();
  if (name.ends_with(domain)) name.erase(name.size() - domain.size());
  if (name.ends_with(".svc")) name.erase(name.size() - 4);
  const auto dot = name.find('.');
  if (dot == std::string::npos) return service_named(place, ns, name);
  return service_named(place, name.substr(dot + 1), name.substr(0, dot));
}

}  // namespace

Parsed<mesh::WorkloadPtr> find_source(const Place& place, const std::string& text,
                                      const std::string& ns) {
  const auto named = parse(text, ns);
  if (!named)
    return problem("source: \"" + text + "\" is no POD, NS/POD, KIND/NAME or NS/KIND/NAME");
  mesh::WorkloadPtr found;
  if (named->kind.empty() || is_pod(named->kind)) found = pod_named(place, named->ns, named->name);
  if (!found && (named->kind.empty() || is_owner(named->kind)))
    found = pod_of(place, named->ns, named->name);
  if (found && !found->addresses.empty()) return found;
  return problem("source: there is no running " +
                 (named->kind.empty() ? "pod or deployment" : named->kind) + " \"" + named->name +
                 "\" in namespace " + named->ns + "; name it NS/POD or NS/deployment/NAME");
}

Parsed<Destination> find_destination(const Place& place, const std::string& text,
                                     const mesh::Workload& source) {
  if (const auto address = SocketAddress::parse(text))
    return to_address(place, *address, text, source.ns);
  if (IpAddress::parse(text))
    return problem("destination: " + text + " needs a port, write ADDRESS:PORT");
  const auto colon = text.rfind(':');
  const std::string name = text.substr(0, colon);
  Port port;
  if (colon != std::string::npos) {
    port = {port_of(text.substr(colon + 1)), text.substr(colon)};
    if (!port.given)
      return problem("destination: \"" + text.substr(colon + 1) + "\" is no port, in " + text);
    if (*port.given == 80) port.text.clear();
  }
  const auto named = parse(name, source.ns);
  if (!named)
    return problem("destination: \"" + text +
                   "\" is no SERVICE, SERVICE.NS, NS/SERVICE, pod/NAME or address");
  const bool slash = name.find('/') != std::string::npos;
  if (named->kind.empty() || is_service(named->kind)) {
    const auto service = slash ? service_named(place, named->ns, named->name)
                               : service_by_dns(place, named->name, named->ns);
    if (service)
      return to_service(service, place, port, slash ? named->name + "." + named->ns : named->name);
  }
  if (named->kind.empty() || is_pod(named->kind)) {
    if (const auto pod = pod_named(place, named->ns, named->name))
      return to_pod(pod, port, named->name);
  }
  return problem("destination: there is no Service or pod \"" + named->name + "\" in namespace " +
                 named->ns + "; name it SERVICE.NS, NS/SERVICE, NS/POD or by address");
}

}  // namespace weft::controlplane::explain
