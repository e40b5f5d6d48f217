#include "source/kinds.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "source/spelling.h"

namespace weft::source {
namespace {

constexpr std::string_view kIstio = "networking.istio.io", kSecurity = "security.istio.io",
                           kExtensions = "extensions.istio.io",
                           kGateway = "gateway.networking.k8s.io",
                           kGatewayX = "gateway.networking.x-k8s.io", kPolicy = "policy.linkerd.io",
                           kSpecs = "specs.smi-spec.io", kConsul = "consul.hashicorp.com",
                           kEnvoy = "gateway.envoyproxy.io";
constexpr std::string_view kThree = "v1 v1beta1 v1alpha3", kAlpha = "v1alpha1",
                           kSmi = "v1alpha4 v1alpha3 v1alpha2 v1alpha1";

constexpr Kind kKinds[] = {{kIstio, "VirtualService", kThree},
                           {kIstio, "DestinationRule", kThree},
                           {kIstio, "ServiceEntry", kThree},
                           {kIstio, "Gateway", kThree},
                           {kIstio, "Sidecar", kThree},
                           {kIstio, "WorkloadEntry", kThree},
                           {kIstio, "WorkloadGroup", kThree},
                           {kIstio, "EnvoyFilter", "v1alpha3"},
                           {kIstio, "ProxyConfig", "v1beta1"},
                           {kSecurity, "AuthorizationPolicy", "v1 v1beta1"},
                           {kSecurity, "PeerAuthentication", "v1 v1beta1"},
                           {kSecurity, "RequestAuthentication", "v1 v1beta1"},
                           {"telemetry.istio.io", "Telemetry", "v1 v1alpha1"},
                           {kExtensions, "WasmPlugin", kAlpha},
                           {kExtensions, "TrafficExtension", kAlpha},
                           {"install.istio.io", "IstioOperator", kAlpha},
                           {kGateway, "GatewayClass", "v1 v1beta1 v1alpha2"},
                           {kGateway, "Gateway", "v1 v1beta1 v1alpha2"},
                           {kGateway, "HTTPRoute", "v1 v1beta1 v1alpha2"},
                           {kGateway, "GRPCRoute", "v1 v1alpha2"},
                           {kGateway, "TLSRoute", "v1 v1alpha3 v1alpha2"},
                           {kGateway, "TCPRoute", "v1 v1alpha2"},
                           {kGateway, "UDPRoute", "v1 v1alpha2"},
                           {kGateway, "ListenerSet", "v1"},
                           {kGateway, "BackendTLSPolicy", "v1 v1alpha3 v1alpha2"},
                           {kGateway, "BackendLBPolicy", "v1alpha2"},
                           {kGateway, "ReferenceGrant", "v1 v1beta1 v1alpha2"},
                           {kGateway, "ReferencePolicy", "v1alpha2"},
                           {kGatewayX, "XListenerSet", kAlpha},
                           {kGatewayX, "XBackendTrafficPolicy", kAlpha},
                           {kGatewayX, "XBackend", kAlpha},
                           {kGatewayX, "XMesh", kAlpha},
                           {"split.smi-spec.io", "TrafficSplit", kSmi},
                           {"access.smi-spec.io", "TrafficTarget", kSmi},
                           {kSpecs, "HTTPRouteGroup", kSmi},
                           {kSpecs, "TCPRoute", kSmi},
                           {kSpecs, "UDPRoute", kSmi},
                           {"metrics.smi-spec.io", "TrafficMetrics", kAlpha},
                           {"linkerd.io", "ServiceProfile", "v1alpha2 v1alpha1"},
                           {kPolicy, "Server", "v1beta3 v1beta2 v1beta1 v1alpha1"},
                           {kPolicy, "ServerAuthorization", "v1beta1 v1alpha1"},
                           {kPolicy, "AuthorizationPolicy", kAlpha},
                           {kPolicy, "MeshTLSAuthentication", kAlpha},
                           {kPolicy, "NetworkAuthentication", kAlpha},
                           {kPolicy, "HTTPRoute", "v1beta3 v1beta2 v1beta1 v1alpha1"},
                           {kPolicy, "HTTPLocalRateLimitPolicy", kAlpha},
                           {kPolicy, "EgressNetwork", kAlpha},
                           {"workload.linkerd.io", "ExternalWorkload", "v1beta1 v1alpha1"},
                           {"multicluster.linkerd.io", "Link", "v1alpha3 v1alpha2 v1alpha1"},
                           {kConsul, "ServiceIntentions", kAlpha},
                           {kConsul, "ServiceDefaults", kAlpha},
                           {kConsul, "ServiceRouter", kAlpha},
                           {kConsul, "ServiceSplitter", kAlpha},
                           {kConsul, "ServiceResolver", kAlpha},
                           {kConsul, "ProxyDefaults", kAlpha},
                           {kConsul, "Mesh", kAlpha},
                           {kConsul, "MeshService", kAlpha},
                           {kConsul, "JWTProvider", kAlpha},
                           {kConsul, "ExportedServices", kAlpha},
                           {kConsul, "IngressGateway", kAlpha},
                           {kConsul, "TerminatingGateway", kAlpha},
                           {kConsul, "SamenessGroup", kAlpha},
                           {kConsul, "GatewayClassConfig", kAlpha},
                           {kConsul, "GatewayPolicy", kAlpha},
                           {kConsul, "RouteRetryFilter", kAlpha},
                           {kConsul, "RouteTimeoutFilter", kAlpha},
                           {kConsul, "RouteAuthFilter", kAlpha},
                           {kConsul, "ControlPlaneRequestLimit", kAlpha},
                           {kConsul, "PeeringAcceptor", kAlpha},
                           {kConsul, "PeeringDialer", kAlpha},
                           {kConsul, "Registration", kAlpha},
                           {kEnvoy, "Backend", kAlpha},
                           {kEnvoy, "BackendTrafficPolicy", kAlpha},
                           {kEnvoy, "ClientTrafficPolicy", kAlpha},
                           {kEnvoy, "EnvoyExtensionPolicy", kAlpha},
                           {kEnvoy, "EnvoyPatchPolicy", kAlpha},
                           {kEnvoy, "EnvoyProxy", kAlpha},
                           {kEnvoy, "HTTPRouteFilter", kAlpha},
                           {kEnvoy, "SecurityPolicy", kAlpha}};

bool has_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t end = words.find(' ');
    if (words.substr(0, end) == word) return true;
    words = end == std::string_view::npos ? "" : words.substr(end + 1);
  }
  return false;
}

void add_served(const Kind& kind, std::string& out) {
  for (std::string_view words = kind.versions; !words.empty();) {
    const std::size_t end = words.find(' ');
    out.append(out.empty() ? "" : ", ").append(kind.group).append("/").append(words.substr(0, end));
    words = end == std::string_view::npos ? "" : words.substr(end + 1);
  }
}

}  // namespace

std::span<const Kind> mesh_kinds() { return kKinds; }

bool is_mesh_group(std::string_view group) {
  return std::any_of(std::begin(kKinds), std::end(kKinds),
                     [&](const Kind& one) { return one.group == group; });
}

std::string why_no_kind(std::string_view api_version, std::string_view kind) {
  const std::size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return "";
  const std::string_view group = api_version.substr(0, slash);
  if (!is_mesh_group(group)) return "";
  std::vector<std::string> names;
  for (const Kind& one : kKinds) {
    if (one.group != group) continue;
    if (one.kind != kind) {
      names.emplace_back(one.kind);
      continue;
    }
    if (has_word(one.versions, api_version.substr(slash + 1))) return "";
    std::string served;
    add_served(one, served);
    return std::string(kind) + " has no such version (there are: " + served + ")";
  }
  std::string out(group);
  out.append(" has no kind ").append(kind);
  if (const std::string likely = likely_name(kind, names); !likely.empty())
    return out.append(" (did you mean ").append(likely).append("?)");
  if (const std::string served = api_versions_of(kind); !served.empty())
    return out.append(" (it is one of ").append(served).append(")");
  return out;
}

std::string api_versions_of(std::string_view kind) {
  std::string out;
  for (const Kind& one : kKinds) {
    if (one.kind == kind) add_served(one, out);
  }
  return out;
}

}  // namespace weft::source
