#include "source/kube/resource.h"

namespace weft::source::kube {

std::string Resource::api_version(std::size_t version) const {
  return group.empty() ? versions.at(version) : group + "/" + versions.at(version);
}

std::string Resource::path(std::size_t version) const {
  return (group.empty() ? "/api/" : "/apis/") + api_version(version) + "/" + plural;
}

std::string Resource::key_kind() const { return group.empty() ? kind : kind + "." + group; }

std::vector<Resource> controlplane_resources() {
  const std::string gateway = "gateway.networking.k8s.io";
  const std::string security = "security.istio.io", networking = "networking.istio.io";
  const std::vector<std::string> istio = {"v1", "v1beta1"};
  return {
      {"", {"v1"}, "namespaces", "Namespace", ""},
      {"", {"v1"}, "nodes", "Node", ""},
      {"", {"v1"}, "pods", "Pod", ""},
      {"", {"v1"}, "services", "Service", ""},
      {"", {"v1"}, "serviceaccounts", "ServiceAccount", ""},
      {"", {"v1"}, "secrets", "Secret", "fieldSelector=type%3Dkubernetes.io%2Ftls"},
      {"discovery.k8s.io", {"v1"}, "endpointslices", "EndpointSlice", ""},
      {gateway, {"v1", "v1beta1"}, "gatewayclasses", "GatewayClass", ""},
      {gateway, {"v1", "v1beta1"}, "gateways", "Gateway", ""},
      {gateway, {"v1", "v1beta1"}, "httproutes", "HTTPRoute", ""},
      {gateway, {"v1"}, "grpcroutes", "GRPCRoute", ""},
      {gateway, {"v1", "v1beta1"}, "referencegrants", "ReferenceGrant", ""},
      {security, istio, "authorizationpolicies", "AuthorizationPolicy", ""},
      {security, istio, "peerauthentications", "PeerAuthentication", ""},
      {security, istio, "requestauthentications", "RequestAuthentication", ""},
      {networking, istio, "virtualservices", "VirtualService", ""},
      {networking, istio, "destinationrules", "DestinationRule", ""},
      {networking, istio, "serviceentries", "ServiceEntry", ""},
      {networking, istio, "gateways", "Gateway", ""},
      {"telemetry.istio.io", {"v1", "v1alpha1"}, "telemetries", "Telemetry", ""},
  };
}

std::vector<Resource> node_resources(const std::string& node) {
  return {
      {"", {"v1"}, "namespaces", "Namespace", ""},
      {"", {"v1"}, "pods", "Pod", "fieldSelector=spec.nodeName%3D" + node},
  };
}

}  // namespace weft::source::kube
