#include "sandbox/kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

#include "source/kinds.h"
#include "source/object.h"

namespace weft::sandbox {
namespace {

constexpr const char* kNetworking = "networking.istio.io";
constexpr const char* kSecurity = "security.istio.io";
constexpr const char* kGateway = "gateway.networking.k8s.io";

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string plural_of(std::string_view kind) {
  auto word = lower(kind);
  if (word == "endpoints") return word;
  if (word.ends_with("y") && !word.ends_with("ay")) return word.substr(0, word.size() - 1) + "ies";
  if (word.ends_with("s") || word.ends_with("x") || word.ends_with("ch")) return word + "es";
  return word + "s";
}

Kind make(std::string_view kind, std::string_view group,
          std::vector<std::string> short_names = {}) {
  return {std::string(kind), std::string(group), plural_of(kind), std::move(short_names),
          !source::is_cluster_scoped(kind)};
}

bool is_called(const Kind& kind, const std::string& word) {
  if (word == lower(kind.kind) || word == kind.plural) return true;
  return std::find(kind.short_names.begin(), kind.short_names.end(), word) !=
         kind.short_names.end();
}

}  // namespace

const std::vector<Kind>& known_kinds() {
  static const std::vector<Kind> kinds = {
      make("Namespace", "", {"ns"}),
      make("Node", "", {"no"}),
      make("Pod", "", {"po"}),
      make("Service", "", {"svc"}),
      make("Deployment", "apps", {"deploy"}),
      make("ReplicaSet", "apps", {"rs"}),
      make("StatefulSet", "apps", {"sts"}),
      make("Job", "batch"),
      make("ServiceAccount", "", {"sa"}),
      make("ConfigMap", "", {"cm"}),
      make("Secret", ""),
      make("Endpoints", "", {"ep"}),
      make("EndpointSlice", "discovery.k8s.io"),
      make("AuthorizationPolicy", kSecurity, {"ap"}),
      make("PeerAuthentication", kSecurity, {"pa"}),
      make("RequestAuthentication", kSecurity, {"ra"}),
      make("VirtualService", kNetworking, {"vs"}),
      make("DestinationRule", kNetworking, {"dr"}),
      make("ServiceEntry", kNetworking, {"se"}),
      make("WorkloadEntry", kNetworking, {"we"}),
      make("Sidecar", kNetworking),
      make("GatewayClass", kGateway, {"gc"}),
      make("Gateway", kGateway, {"gtw"}),
      make("Gateway", kNetworking, {"gw"}),
      make("HTTPRoute", kGateway),
      make("GRPCRoute", kGateway),
      make("ReferenceGrant", kGateway, {"refgrant"}),
      make("Telemetry", "telemetry.istio.io"),
  };
  return kinds;
}

Kind kind_of(std::string_view api_version, std::string_view kind) {
  const auto slash = api_version.find('/');
  const auto group =
      slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  for (const auto& known : known_kinds()) {
    if (known.kind == kind && known.group == group) return known;
  }
  return make(kind, group);
}

std::string without_effect(std::string_view api_version, std::string_view kind) {
  constexpr std::pair<std::string_view, std::string_view> kInstead[] = {
      {"DaemonSet", "a Pod with nodeName for each node runs it"},
      {"CronJob", "a Job runs it once"},
      {"ReplicationController", "a Deployment runs its pods"},
      {"NetworkPolicy", "an AuthorizationPolicy limits who reaches enrolled pods"},
      {"HorizontalPodAutoscaler", "spec.replicas of the Deployment says how many pods there are"},
      {"PersistentVolumeClaim", "an emptyDir or a hostPath is a volume here"},
      {"PersistentVolume", "an emptyDir or a hostPath is a volume here"},
      {"Ingress", "a Gateway with an HTTPRoute lets requests in"}};
  const auto slash = api_version.find('/');
  const auto group =
      slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  if (source::is_mesh_group(group)) return "";
  const bool known = std::any_of(known_kinds().begin(), known_kinds().end(), [&](const Kind& one) {
    return one.kind == kind && one.group == group;
  });
  if (known) return "";
  std::string out =
      fmt::format("kind {} of {}: a sandbox keeps it and does nothing with it", kind, api_version);
  const auto* const instead = std::find_if(std::begin(kInstead), std::end(kInstead),
                                           [&](const auto& one) { return one.first == kind; });
  if (instead != std::end(kInstead)) out += fmt::format(" ({})", instead->second);
  return out;
}

Kind find_kind(std::string_view typed, const std::vector<std::string>& present) {
  const auto word = lower(typed);
  const auto dot = word.find('.');
  const auto name = word.substr(0, dot);
  const auto group = dot == std::string::npos ? std::string() : word.substr(dot + 1);
  const auto matches = [&](const Kind& kind) {
    return is_called(kind, name) && (group.empty() || kind.group == group);
  };
  for (const auto& kind : known_kinds()) {
    if (matches(kind)) return kind;
  }
  for (const auto& key : present) {
    const auto split = key.find('.');
    const auto kind =
        make(key.substr(0, split), split == std::string::npos ? "" : key.substr(split + 1));
    if (matches(kind)) return kind;
  }
  return {};
}

}  // namespace weft::sandbox
