// References and conflicts of VirtualServices, HTTPRoutes and GRPCRoutes.
#include <algorithm>
#include <set>

#include "controlplane/frontends/analyze/facts.h"
#include "controlplane/frontends/istio/route_parts.h"
#include "controlplane/frontends/values.h"

namespace weft::controlplane::analyze {
namespace {

using source::Field;
using source::Object;

class VirtualServiceCheck {
 public:
  VirtualServiceCheck(Facts& facts, const Object& object) : facts_(facts), object_(object) {}

  void run() {
    source::Reader reader(object_);
    const Field spec = reader.root()["spec"];
    for (const Field& rule : spec["http"].list()) {
      for (const Field& one : rule["route"].list()) destination(one["destination"]);
      if (rule["mirror"].present()) destination(rule["mirror"]);
      for (const Field& one : rule["mirrors"].list()) destination(one["destination"]);
      for (const Field& match : rule["match"].list()) claims(spec, match);
    }
    for (const char* kind : {"tls", "tcp"}) {
      for (const Field& rule : spec[kind].list()) {
        for (const Field& one : rule["route"].list()) destination(one["destination"]);
      }
    }
    for (const Field& one : spec["gateways"].list()) gateway(spec, one);
  }

 private:
  void say(Level level, const char* code, const Field& field, std::string message) {
    facts_.say(level, code, object_, field.path(), std::move(message));
  }

  void destination(const Field& field) {
    const std::string written = field["host"].string();
    const model::ServiceKey key = read::service(written, object_.ns, facts_.options.domain);
    if (facts_.knows_services() && !facts_.has_host(key.hostname)) {
      say(Level::kError, "IST0101", field["host"],
          "Referenced host not found: \"" + written + "\"" + facts_.similar_host(key.hostname));
      return;
    }
    const std::string subset = field["subset"].string();
    if (!subset.empty() && !has_subset(key.hostname, subset))
      say(Level::kError, "IST0101", field["subset"],
          "Referenced host+subset in destinationrule not found: \"" + written + "+" + subset +
              "\"");
    const auto service = facts_.services.find(key.hostname);
    if (service == facts_.services.end()) return;
    const auto& ports = service->second.ports;
    const std::uint16_t port = field["port"]["number"].port();
    if (port == 0 && ports.size() > 1) {
      say(Level::kError, "IST0112", field,
          "This VirtualService routes to a service \"" + written +
              "\" that exposes multiple ports. Specifying a port in the destination is required "
              "to disambiguate.");
    } else if (port != 0 && std::none_of(ports.begin(), ports.end(),
                                         [&](const auto& one) { return one.port == port; })) {
      say(Level::kError, "IST0101", field["port"]["number"],
          "Referenced host:port not found: \"" + written + ":" + std::to_string(port) + "\"");
    }
  }

  bool has_subset(const std::string& host, const std::string& subset) const {
    return std::any_of(facts_.destinations.begin(), facts_.destinations.end(),
                       [&](const auto& rule) {
                         return istio::host_covers(rule.host, host) &&
                                std::any_of(rule.subsets.begin(), rule.subsets.end(),
                                            [&](const auto& one) { return one.name == subset; });
                       });
  }

  void claims(const Field& spec, const Field& match) {
    for (const char* map : {"headers", "withoutHeaders"}) {
      for (const std::string& name : match[map].keys()) {
        if (!name.starts_with("@request.auth.claims")) continue;
        std::set<std::string> namespaces = {object_.ns};
        for (const Field& one : spec["gateways"].list()) {
          const std::string gateway = istio::gateway_name(one, object_.ns);
          namespaces.insert(gateway.substr(0, gateway.find('/')));
        }
        const bool any = std::any_of(facts_.authns.begin(), facts_.authns.end(),
                                     [&](const model::RequestAuthn& one) {
                                       return facts_.is_root(one.ns) || namespaces.contains(one.ns);
                                     });
        if (!any)
          say(Level::kError, "IST0149", match[map][name],
              "The virtual service uses the JWT claim based routing without request "
              "authentication");
      }
    }
  }

  void gateway(const Field& spec, const Field& field) {
    const std::string name = istio::gateway_name(field, object_.ns);
    if (name == "mesh") return;
    const auto found = facts_.gateways.find(name);
    if (found == facts_.gateways.end()) {
      if (facts_.gateway_apis.contains(name)) return;
      say(Level::kError, "IST0101", field,
          "Referenced gateway not found: \"" + field.string() + "\"");
      return;
    }
    for (const Field& host : spec["hosts"].list()) {
      const std::string text = read::lower(host.string());
      bool served = false;
      for (const model::Listener& listener : found->second.listeners) {
        for (const std::string& one : listener.hosts)
          served = served || istio::host_covers(one, text) || istio::host_covers(text, one);
      }
      if (!served)
        say(Level::kWarning, "IST0132", host,
            "one or more host [" + text + "] defined in VirtualService " + object_.ns + "/" +
                object_.name + " not found in Gateway " + name);
    }
  }

  Facts& facts_;
  const Object& object_;
};

// Several VirtualServices for one host of the mesh.
void check_mesh_hosts(Facts& facts) {
  std::map<std::string, std::vector<std::pair<const Object*, std::string>>> by_host;
  for (const auto& object : facts.virtual_services) {
    source::Reader reader(*object);
    const Field spec = reader.root()["spec"];
    bool mesh = spec["gateways"].list().empty();
    for (const Field& one : spec["gateways"].list()) mesh = mesh || one.string() == "mesh";
    if (!mesh) continue;
    for (const Field& host : spec["hosts"].list()) {
      const auto key = read::service(host.string(), object->ns, facts.options.domain);
      by_host[key.hostname].emplace_back(object.get(), host.path());
    }
  }
  for (const auto& [host, owners] : by_host) {
    if (owners.size() < 2) continue;
    std::string names;
    for (const auto& [object, path] : owners)
      names += (names.empty() ? "" : ",") + object->ns + "/" + object->name;
    for (const auto& [object, path] : owners)
      facts.say(Level::kError, "IST0109", *object, path,
                "The VirtualServices " + names +
                    " associated with mesh gateway define the same host " + host +
                    " which can lead to undefined behavior. This can be fixed by merging the "
                    "conflicting VirtualServices into a single resource.");
  }
}

}  // namespace

void check_virtual_services(Facts& facts) {
  for (const auto& object : facts.virtual_services) VirtualServiceCheck(facts, *object).run();
  check_mesh_hosts(facts);
}

void check_gateway_routes(Facts& facts) {
  for (const auto& object : facts.routes) {
    source::Reader reader(*object);
    const Field spec = reader.root()["spec"];
    auto missing = [&](const Field& field, const std::string& kind, const std::string& name) {
      facts.say(Level::kError, "IST0101", *object, field.path(),
                "Referenced " + kind + " not found: \"" + name + "\"");
    };
    auto reference = [&](const Field& ref, const char* usual) {
      const std::string kind = ref["kind"].string(usual), ns = ref["namespace"].string(object->ns),
                        name = ref["name"].string();
      if (kind == "Gateway" && !facts.gateway_apis.contains(ns + "/" + name))
        missing(ref["name"], "gateway", ns + "/" + name);
      if (kind != "Service") return;
      const auto host = name + "." + ns + ".svc." + facts.options.domain;
      const auto service = facts.services.find(host);
      if (service == facts.services.end()) {
        if (!facts.services.empty()) missing(ref["name"], "service", ns + "/" + name);
        return;
      }
      const std::uint16_t port = ref["port"].port();
      const auto& ports = service->second.ports;
      if (port != 0 && std::none_of(ports.begin(), ports.end(),
                                    [&](const auto& one) { return one.port == port; }))
        missing(ref["port"], "host:port", name + ":" + std::to_string(port));
    };
    for (const Field& ref : spec["parentRefs"].list()) reference(ref, "Gateway");
    for (const Field& rule : spec["rules"].list()) {
      for (const Field& ref : rule["backendRefs"].list()) reference(ref, "Service");
      for (const Field& filter : rule["filters"].list()) {
        const Field ref = filter["requestMirror"]["backendRef"];
        if (ref.present()) reference(ref, "Service");
      }
    }
  }
}

}  // namespace weft::controlplane::analyze
