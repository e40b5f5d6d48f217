#include "sandbox/endpoints.h"

#include <algorithm>

#include "sandbox/json.h"
#include "source/core.h"

namespace weft::sandbox {
namespace {

bool is_v6(const std::string& ip) { return ip.find(':') != std::string::npos; }

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

void add_backend(ServicePort& port, const std::string& ip, int number) {
  if (number == 0 || ip.empty()) return;
  (is_v6(ip) ? port.v6 : port.v4).push_back({ip, number});
}

void add_selected_pods(const Store& store, const Json& service, ServiceView& view) {
  const auto selector = labels(service, {"spec", "selector"});
  if (selector.empty()) return;
  const bool publish_all = truth(service, {"spec", "publishNotReadyAddresses"});
  for (const auto* pod : store.list("Pod", view.ns)) {
    if (!source::selects(selector, labels(*pod, {"metadata", "labels"}))) continue;
    const auto ips = pod_ips(*pod);
    const auto phase = str(*pod, {"status", "phase"});
    if (ips.empty() || phase == "Succeeded" || phase == "Failed") continue;
    if (!publish_all && !pod_is_ready(*pod)) continue;
    HeadlessPod headless{.ips = ips};
    if (str(*pod, {"spec", "subdomain"}) == view.name)
      headless.hostname = str(*pod, {"spec", "hostname"});
    view.pods.push_back(std::move(headless));
    std::size_t i = 0;
    for (const auto& port : list(service, {"spec", "ports"})) {
      for (const auto& ip : ips) add_backend(view.ports[i], ip, target_port(*pod, port));
      ++i;
    }
  }
}

// A Service without a selector gets its backends from EndpointSlices that a person wrote.
void add_slices(const Store& store, ServiceView& view) {
  for (const auto* slice : store.list("EndpointSlice.discovery.k8s.io", view.ns)) {
    if (str(*slice, {"metadata", "labels", "kubernetes.io/service-name"}) != view.name) continue;
    for (const auto& endpoint : list(*slice, {"endpoints"})) {
      if (!truth(endpoint, {"conditions", "ready"}, true)) continue;
      HeadlessPod headless{.hostname = str(endpoint, {"hostname"}), .ips = {}};
      for (const auto& address : list(endpoint, {"addresses"})) {
        if (!address.is_string()) continue;
        headless.ips.push_back(address.get<std::string>());
        for (const auto& port : list(*slice, {"ports"})) {
          for (auto& mine : view.ports) {
            if (str(port, {"name"}) == mine.name &&
                lower(str(port, {"protocol"}, "TCP")) == mine.protocol) {
              add_backend(mine, headless.ips.back(), static_cast<int>(number(port, {"port"})));
            }
          }
        }
      }
      view.pods.push_back(std::move(headless));
    }
  }
}

}  // namespace

int target_port(const Json& pod, const Json& port) {
  const auto* target = at(port, {"targetPort"});
  if (target == nullptr) return static_cast<int>(number(port, {"port"}));
  if (target->is_number()) return target->get<int>();
  const auto protocol = str(port, {"protocol"}, "TCP");
  for (const auto& container : list(pod, {"spec", "containers"})) {
    for (const auto& candidate : list(container, {"ports"})) {
      if (str(candidate, {"name"}) == target->get<std::string>() &&
          str(candidate, {"protocol"}, "TCP") == protocol) {
        return static_cast<int>(number(candidate, {"containerPort"}));
      }
    }
  }
  return 0;
}

bool pod_is_ready(const Json& pod) {
  if (at(pod, {"metadata", "deletionTimestamp"}) != nullptr) return false;
  for (const auto& condition : list(pod, {"status", "conditions"})) {
    if (str(condition, {"type"}) == "Ready") return str(condition, {"status"}) == "True";
  }
  return false;
}

std::vector<std::string> pod_ips(const Json& pod) {
  std::vector<std::string> ips;
  for (const auto& entry : list(pod, {"status", "podIPs"})) ips.push_back(str(entry, {"ip"}));
  if (ips.empty() && !str(pod, {"status", "podIP"}).empty())
    ips.push_back(str(pod, {"status", "podIP"}));
  return ips;
}

std::vector<ServiceView> service_views(const Store& store) {
  std::vector<ServiceView> views;
  for (const auto* service : store.list("Service")) {
    ServiceView view{.ns = ns_of(*service), .name = name_of(*service)};
    if (str(*service, {"spec", "type"}) == "ExternalName")
      view.external_name = str(*service, {"spec", "externalName"});
    for (const auto& ip : list(*service, {"spec", "clusterIPs"})) {
      if (ip.is_string() && ip.get<std::string>() != "None")
        view.vips.push_back(ip.get<std::string>());
    }
    for (const auto& port : list(*service, {"spec", "ports"})) {
      view.ports.push_back({.name = str(port, {"name"}),
                            .protocol = lower(str(port, {"protocol"}, "TCP")),
                            .port = static_cast<int>(number(port, {"port"}))});
    }
    add_selected_pods(store, *service, view);
    add_slices(store, view);
    for (auto& port : view.ports) {
      std::sort(port.v4.begin(), port.v4.end());
      std::sort(port.v6.begin(), port.v6.end());
    }
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace weft::sandbox
