#include "controlplane/frontends/unsupported.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "controlplane/frontends/admit.h"
#include "source/fields.h"
#include "source/kinds.h"

namespace weft::controlplane {
namespace {

using source::Object;

constexpr std::string_view kWeights = "a VirtualService or an HTTPRoute with weights says it",
                           kRoutes = "a VirtualService or an HTTPRoute says it",
                           kPolicy = "an AuthorizationPolicy of security.istio.io says it",
                           kTcp = "tcp and tls rules of a VirtualService say it",
                           kTraffic = "the trafficPolicy of a DestinationRule says it",
                           kEntry = "a ServiceEntry with endpoints says it";

// What says the same. Kinds by name: where two groups have one, the advice is the same.
constexpr std::pair<std::string_view, std::string_view> kInstead[] = {
    {"TrafficSplit", kWeights},
    {"ServiceSplitter", kWeights},
    {"HTTPRouteGroup", kRoutes},
    {"ServiceProfile", kRoutes},
    {"ServiceRouter", kRoutes},
    {"HTTPRoute", "one of gateway.networking.k8s.io says it"},
    {"TrafficTarget", kPolicy},
    {"Server", kPolicy},
    {"ServerAuthorization", kPolicy},
    {"AuthorizationPolicy", kPolicy},
    {"MeshTLSAuthentication", kPolicy},
    {"NetworkAuthentication", kPolicy},
    {"ServiceIntentions", kPolicy},
    {"SecurityPolicy", kPolicy},
    {"JWTProvider", "a RequestAuthentication says it"},
    {"TCPRoute", kTcp},
    {"TLSRoute", kTcp},
    {"BackendTLSPolicy", kTraffic},
    {"BackendLBPolicy", kTraffic},
    {"BackendTrafficPolicy", kTraffic},
    {"XBackendTrafficPolicy", kTraffic},
    {"ServiceResolver", kTraffic},
    {"ServiceDefaults", kTraffic},
    {"WorkloadEntry", kEntry},
    {"WorkloadGroup", kEntry},
    {"ExternalWorkload", kEntry},
    {"ListenerSet", "the listeners of a Gateway say it"},
    {"XListenerSet", "the listeners of a Gateway say it"},
    {"IngressGateway", "a Gateway says it"},
    {"ReferencePolicy", "a ReferenceGrant says it"},
    {"Sidecar", "there are no sidecars to limit"},
    {"ProxyConfig", "there are no sidecars to configure"},
    {"IstioOperator", "weftctl install sets up Weft"},
    {"Ingress", "a Gateway with an HTTPRoute says it"}};

std::string_view instead(std::string_view kind) {
  const auto* const found = std::find_if(std::begin(kInstead), std::end(kInstead),
                                         [&](const auto& one) { return one.first == kind; });
  return found == std::end(kInstead) ? std::string_view() : found->second;
}

// Filters of WebAssembly have a kind of their own; the spelling of Envoy's API v2 has none.
std::string about_filter(const Object& object) {
  const std::string text =
      object.body->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  const bool old = text.find("\"config\":") != std::string::npos ||
                   text.find("envoy.config.filter.") != std::string::npos ||
                   text.find("\"envoy.http_connection_manager\"") != std::string::npos ||
                   text.find("\"envoy.router\"") != std::string::npos;
  if (old) out = "it is written for Envoy's API v2, which no Envoy takes any more; ";
  if (text.find("wasm") != std::string::npos)
    return out +
           "a WasmPlugin of extensions.istio.io/v1alpha1 is the kind for this, not supported yet "
           "either";
  return out +
         "a VirtualService or DestinationRule says most of it, a WasmPlugin is the kind for "
         "WebAssembly";
}

// Ingress objects are another controller's, unless they ask for the mesh's or for an API that is
// no more.
std::string about_ingress(const Object& object) {
  if (object.group() == "extensions")
    return "Kubernetes serves " + object.api_version +
           " no more since 1.22: write networking.k8s.io/v1, or a Gateway with an HTTPRoute; it "
           "has no effect here";
  source::Reader reader(object);
  const source::Field name = reader.root()["spec"]["ingressClassName"];
  std::string wanted = name.is_string() ? name.string() : "";
  if (const auto old = object.annotations.find("kubernetes.io/ingress.class");
      old != object.annotations.end())
    wanted = old->second;
  if (wanted != "istio" && wanted != "weft") return "";
  return "kind Ingress with class " + wanted + " is not supported yet: it has no effect (" +
         std::string(instead("Ingress")) + ")";
}

struct Mark {
  std::string_view prefix, instead;
};
// Longest first where one begins with another.
constexpr Mark kMarks[] = {
    {"config.linkerd.io/trace-collector", "a Telemetry says what is traced"},
    {"config.alpha.linkerd.io/trace-collector", "a Telemetry says what is traced"},
    {"config.linkerd.io/default-inbound-policy", kPolicy},
    {"config.linkerd.io/", ""},
    {"config.alpha.linkerd.io/", ""},
    {"config.beta.linkerd.io/", ""},
    {"balancer.linkerd.io/", "outlierDetection of a DestinationRule says it"},
    {"balancer.alpha.linkerd.io/", "outlierDetection of a DestinationRule says it"},
    {"retry.linkerd.io/", "retries of a VirtualService say it"},
    {"timeout.linkerd.io/", "timeout of a VirtualService says it"},
    {"sidecar.istio.io/inject", "label weft.dev/mesh: enabled or disabled says it"},
    {"sidecar.istio.io/", "there is no sidecar"},
    {"traffic.sidecar.istio.io/", "there is no sidecar"},
    {"proxy.istio.io/", "there is no sidecar"},
    {"readiness.status.sidecar.istio.io/", "there is no sidecar"},
    {"networking.istio.io/exportTo", ""},
    {"consul.hashicorp.com/", "label weft.dev/mesh: enabled enrolls a pod"},
    {"mesh.traefik.io/", "label weft.dev/mesh: enabled enrolls a pod"},
    {"openservicemesh.io/", "label weft.dev/mesh: enabled enrolls a pod"},
    {"appmesh.k8s.aws/", "label weft.dev/mesh: enabled enrolls a pod"},
    {"kuma.io/", "label weft.dev/mesh: enabled enrolls a pod"}};

// Marks that enroll, and what they may say.
struct Switch {
  std::string_view key, values;
};
constexpr Switch kSwitches[] = {{"weft.dev/mesh", "enabled disabled"},
                                {"istio.io/dataplane-mode", "ambient none"},
                                {"istio-injection", "enabled disabled"},
                                {"linkerd.io/inject", "enabled ingress disabled"}};

// "" when the value is one of the switch's.
std::string why_no_switch(const std::string& key, const nlohmann::json& value) {
  for (const Switch& one : kSwitches) {
    if (one.key != key || !value.is_string()) continue;
    const auto text = value.get<std::string>();
    const std::string words = " " + std::string(one.values) + " ";
    if (!text.empty() && words.find(" " + text + " ") != std::string::npos) return "";
    return key + ": \"" + text + "\" has no effect (there are: " + std::string(one.values) + ")";
  }
  return "";
}

void find_marks(const nlohmann::json& map, const std::string& path, const char* what,
                std::vector<std::pair<std::string, std::string>>& out) {
  if (!map.is_object()) return;
  for (const auto& [key, value] : map.items()) {
    if (std::string why = why_no_switch(key, value); !why.empty())
      out.emplace_back(source::member_path(path, key), std::move(why));
    const auto* const mark =
        std::find_if(std::begin(kMarks), std::end(kMarks),
                     [&](const Mark& one) { return key.starts_with(one.prefix); });
    if (mark == std::end(kMarks)) continue;
    std::string text = std::string(what) + " " + key + " is not supported yet: it has no effect";
    if (!mark->instead.empty()) text.append(" (").append(mark->instead).append(")");
    out.emplace_back(source::member_path(path, key), std::move(text));
  }
}

}  // namespace

std::string unsupported_kind(const Object& object) {
  if (object.kind == "Ingress" &&
      (object.group() == "extensions" || object.group() == "networking.k8s.io"))
    return about_ingress(object);
  if (!source::is_mesh_group(object.group()) || has_front_end(object.key().kind)) return "";
  std::string out = "kind " + object.kind + " of " + object.api_version +
                    " is not supported yet: it has no effect";
  const std::string advice =
      object.kind == "EnvoyFilter" ? about_filter(object) : std::string(instead(object.kind));
  return advice.empty() ? out : out + " (" + advice + ")";
}

std::vector<std::pair<std::string, std::string>> unsupported_marks(const Object& object) {
  std::vector<std::pair<std::string, std::string>> out;
  auto look = [&](const char* pointer, const std::string& path) {
    for (const auto& [field, what] :
         {std::pair("labels", "label"), std::pair("annotations", "annotation")}) {
      const nlohmann::json::json_pointer at(std::string(pointer) + "/" + field);
      if (object.body->contains(at)) find_marks(object.body->at(at), path + "." + field, what, out);
    }
  };
  look("/metadata", "metadata");
  look("/spec/template/metadata", "spec.template.metadata");
  return out;
}

}  // namespace weft::controlplane
