// Which pods stand behind a Service now: what kube-proxy, DNS and `get endpoints` are made from.
// Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sandbox/store.h"

namespace weft::sandbox {

struct Backend {
  std::string ip;
  int port = 0;
  auto operator<=>(const Backend&) const = default;
};

struct ServicePort {
  std::string name;
  std::string protocol = "tcp";  // tcp | udp
  int port = 0;
  std::vector<Backend> v4, v6;  // sorted
};

struct HeadlessPod {
  std::string
      hostname;  // of a pod with spec.hostname and this Service as its subdomain; else empty
  std::vector<std::string> ips;
};

struct ServiceView {
  std::string ns, name;
  std::vector<std::string> vips;  // empty: headless or ExternalName
  std::string external_name;
  std::vector<ServicePort> ports;
  std::vector<HeadlessPod> pods;  // ready ones (all with publishNotReadyAddresses)
};

// Ordered by namespace and name.
std::vector<ServiceView> service_views(const Store& store);

// The number behind a Service port's targetPort in this pod; 0: the pod has no port of that name.
int target_port(const nlohmann::json& pod, const nlohmann::json& service_port);
bool pod_is_ready(const nlohmann::json& pod);  // condition Ready, not deleting
std::vector<std::string> pod_ips(const nlohmann::json& pod);

}  // namespace weft::sandbox
