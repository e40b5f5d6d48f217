// Who and what a question is about: names as people write them, to pods, services and addresses.
// Pure.
#pragma once

#include <string>

#include "base/result.h"
#include "controlplane/translate/facts.h"
#include "mesh/snapshot.h"

namespace weft::controlplane::explain {

struct Place {
  const translate::Facts& facts;
  const mesh::Snapshot& snapshot;
};

// "POD", "NS/POD", "KIND/NAME" (pod, deployment, statefulset, job …: its first ready pod) or
// "NS/KIND/NAME". `ns`: where a name without one is looked for.
Parsed<mesh::WorkloadPtr> find_source(const Place& place, const std::string& text,
                                      const std::string& ns);

struct Destination {
  SocketAddress address;
  mesh::ServicePtr service;    // that was named, or has the address
  mesh::WorkloadPtr workload;  // the same
  std::string authority;       // what a client's Host header would say
};
// "NAME[:PORT]" with NAME as DNS has it (SERVICE, SERVICE.NS, SERVICE.NS.svc…), NS/SERVICE,
// pod/NAME, NS/POD, or an address. Without a port: the only one, or the only HTTP one.
Parsed<Destination> find_destination(const Place& place, const std::string& text,
                                     const mesh::Workload& source);

}  // namespace weft::controlplane::explain
