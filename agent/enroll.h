// Who shall be enrolled on this node, and why, or why not. Pure: objects in, two lists out.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/net.h"
#include "source/core.h"

namespace weft::agent {

// A pod of this node that the mesh shall carry.
struct DesiredPod {
  std::string uid, ns, name, service_account;
  std::vector<IpAddress> ips;  // never empty, sorted
  std::string reason;          // "enabled by namespace", for people
  std::string key;             // the label or annotation that decided
  bool operator==(const DesiredPod&) const = default;
};

// A pod of this node that it shall not.
struct PlainPod {
  std::string uid, ns, name;
  std::vector<IpAddress> ips;
  std::string reason, key;
  bool wanted = false;  // asks to be enrolled and cannot yet: it has no address
  bool finished = false;
};

// The addresses of a pod by its UID; none when nobody told.
using ArrivedIps = std::function<std::vector<IpAddress>(const std::string& uid)>;

struct Desired {
  std::map<std::string, DesiredPod> pods;  // by UID
  std::vector<PlainPod> plain;             // in the order of namespace and name
};

// `pods` may hold other nodes' pods; a pod whose namespace is unknown is judged as one in a namespace without labels.
// Finished pods never: their address may be another's already. A pod that is being deleted stays until its object goes:
// its last connections are its users'.
// Nobody, when the mesh's own namespace says that it is being uninstalled.
// `arrived` knows the addresses of a pod whose object has none yet (arrivals.h).
Desired decide_pods(const std::vector<source::Pod>& pods, const std::map<std::string, source::Namespace>& namespaces,
                    const std::string& node, const ArrivedIps& arrived = {});

// The annotation mesh::kUninstalling is "true" on the mesh's own namespace.
bool is_uninstalling(const std::map<std::string, source::Namespace>& namespaces);

}  // namespace weft::agent
