// A small world for mesh tests: workloads and services by a line each.
#pragma once

#include "mesh/snapshot.h"

namespace weft::mesh {

inline IpAddress ip(const char* text) { return *IpAddress::parse(text); }

inline Workload pod(const char* name, const char* address, TunnelProtocol protocol = TunnelProtocol::kHbone) {
  Workload w;
  w.uid = std::string("Kubernetes//Pod/default/") + name;
  w.name = name;
  w.ns = "default";
  w.addresses = {ip(address)};
  w.tunnel_protocol = protocol;
  w.service_account = name;
  w.node = "node1";
  return w;
}

inline Service service(const char* name, const char* vip, std::vector<Port> ports) {
  Service s;
  s.name = name;
  s.ns = "default";
  s.hostname = std::string(name) + ".default.svc.cluster.local";
  if (vip) s.addresses = {{"", ip(vip), std::nullopt}};
  s.ports = std::move(ports);
  s.canonical = true;
  return s;
}

struct Builder {
  World world;
  Builder& add(Workload w) {
    const std::string key = w.uid;
    world.workloads[key] = std::make_shared<const Workload>(std::move(w));
    return *this;
  }
  Builder& add(Service s) {
    const std::string key = s.key();
    world.services[key] = std::make_shared<const Service>(std::move(s));
    return *this;
  }
  Builder& add(Policy p) {
    const std::string key = p.key();
    world.policies[key] = std::make_shared<const Policy>(std::move(p));
    return *this;
  }
  std::shared_ptr<const Snapshot> build() { return Snapshot::build(world, 1, ""); }
};

}  // namespace weft::mesh
