#include "sandbox/bootstrap.h"

#include "sandbox/json.h"
#include "sandbox/layout.h"

namespace weft::sandbox {
namespace {

Json meta(const std::string& name, const std::string& ns = "") {
  Json m = {{"name", name}};
  if (!ns.empty()) m["namespace"] = ns;
  return m;
}

std::vector<Json> node_objects(int nodes) {
  std::vector<Json> objects;
  for (int i = 1; i <= nodes; ++i) {
    const NodeNet net{i};
    Json node = {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", meta(net.name())}};
    node["metadata"]["labels"] = {{"kubernetes.io/hostname", net.name()},
                                  {"kubernetes.io/os", "linux"}};
    node["spec"] = {{"podCIDR", net.pods_v4()}, {"podCIDRs", {net.pods_v4(), net.pods_v6()}}};
    objects.push_back(std::move(node));
  }
  return objects;
}

}  // namespace

std::vector<Json> first_objects(int nodes) {
  std::vector<Json> objects;
  for (const char* name : {"default", "kube-system", "weft-system"}) {
    objects.push_back({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", meta(name)}});
  }
  for (auto& node : node_objects(nodes)) objects.push_back(std::move(node));
  const auto port = [](const char* name, const char* protocol) {
    return Json{{"name", name}, {"port", 53}, {"targetPort", 53}, {"protocol", protocol}};
  };
  objects.push_back({{"apiVersion", "v1"},
                     {"kind", "Service"},
                     {"metadata", meta("kube-dns", "kube-system")},
                     {"spec",
                      {{"clusterIPs", {kDnsV4, kDnsV6}},
                       {"ports", {port("dns", "UDP"), port("dns-tcp", "TCP")}}}}});
  for (const bool v6 : {false, true}) {
    Json slice = {
        {"apiVersion", "discovery.k8s.io/v1"},
        {"kind", "EndpointSlice"},
        {"metadata", meta(v6 ? "kube-dns-v6" : "kube-dns-v4", "kube-system")},
        {"addressType", v6 ? "IPv6" : "IPv4"},
        {"endpoints", Json::array({{{"addresses", {v6 ? kControlV6 : kControlV4}},
                                    {"conditions", {{"ready", true}}}}})},
        {"ports", Json::array({{{"name", "dns"}, {"port", 53}, {"protocol", "UDP"}},
                               {{"name", "dns-tcp"}, {"port", 53}, {"protocol", "TCP"}}})}};
    slice["metadata"]["labels"]["kubernetes.io/service-name"] = "kube-dns";
    objects.push_back(std::move(slice));
  }
  return objects;
}

}  // namespace weft::sandbox
