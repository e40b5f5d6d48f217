#include "cli/check_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cli/crds.h"
#include "cli/installation.h"
#include "cli/rollout.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

constexpr int kMinorMin = 30;  // ValidatingAdmissionPolicy v1
constexpr const char* kClusterGroup = "cluster";
constexpr const char* kNodes = "nodes";
constexpr const char* kRights = "rights";
constexpr const char* kMesh = "mesh";

struct Right {
  const char *verb, *group, *resource, *ns;
};
constexpr Right kNeeded[] = {
    {"create", "", "namespaces", ""},
    {"patch", "", "namespaces", ""},
    {"patch", "apps", "daemonsets", kSystem},
    {"patch", "apps", "deployments", kSystem},
    {"patch", "", "services", kSystem},
    {"patch", "", "serviceaccounts", kSystem},
    {"patch", "", "configmaps", kSystem},
    {"patch", "rbac.authorization.k8s.io", "clusterroles", ""},
    {"patch", "rbac.authorization.k8s.io", "clusterrolebindings", ""},
    {"patch", "rbac.authorization.k8s.io", "roles", kSystem},
    {"patch", "rbac.authorization.k8s.io", "rolebindings", kSystem},
    {"patch", "networking.k8s.io", "networkpolicies", kSystem},
    {"patch", "admissionregistration.k8s.io", "validatingadmissionpolicies", ""},
    {"patch", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", ""},
    {"patch", "apiextensions.k8s.io", "customresourcedefinitions", ""},
};

Finding right_finding(Cluster& cluster, const Right& right) {
  const std::string what = fmt::format("you may {} {}{}{}", right.verb, right.resource,
                                       *right.group == '\0' ? "" : ".", right.group);
  Json attributes = {{"verb", right.verb}, {"group", right.group}, {"resource", right.resource}};
  if (*right.ns != '\0') attributes["namespace"] = right.ns;
  const auto answer = cluster.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                                     {{"apiVersion", "authorization.k8s.io/v1"},
                                      {"kind", "SelfSubjectAccessReview"},
                                      {"spec", {{"resourceAttributes", attributes}}}});
  if (!answer) return {kRights, what, Verdict::kBad, answer.error().text};
  const bool allowed = sandbox::truth(*answer, {"status", "allowed"});
  return {kRights, what, allowed ? Verdict::kGood : Verdict::kBad,
          "your user may not: ask an administrator of the cluster"};
}

std::vector<Finding> rights(Cluster& cluster) {
  std::vector<Finding> out;
  for (const auto& one : kNeeded) out.push_back(right_finding(cluster, one));
  return out;
}

Finding server_version(Cluster& cluster) {
  const auto version = cluster.get_path("/version");
  if (!version)
    return {kClusterGroup, "the API server answers", Verdict::kBad, version.error().text};
  return version_finding(*version);
}

void add_nodes(Cluster& cluster, std::vector<Finding>& findings) {
  const auto nodes = cluster.list("v1", "Node", "", "");
  if (!nodes)
    return findings.push_back(
        {kNodes, "nodes can be listed", Verdict::kWarning, nodes.error().text});
  if (nodes->empty())
    findings.push_back({kNodes, "there are nodes", Verdict::kWarning, "the cluster has none yet"});
  for (const auto& node : *nodes) {
    const auto some = node_findings(node);
    findings.insert(findings.end(), some.begin(), some.end());
  }
}

// Who else captures pods' traffic.
void add_others(Cluster& cluster, std::vector<Finding>& findings) {
  const auto daemonsets = cluster.list("apps/v1", "DaemonSet", "", "");
  if (!daemonsets)
    return findings.push_back(
        {kClusterGroup, "daemonsets can be listed", Verdict::kWarning, daemonsets.error().text});
  for (const auto& one : *daemonsets) {
    const auto name = sandbox::name_of(one);
    const bool other =
        name == "ztunnel" || name == "istio-cni-node" || name == "linkerd-cni" || name == "kmesh";
    if (!other) continue;
    findings.push_back(
        {kClusterGroup, "no other mesh captures pods", Verdict::kWarning,
         fmt::format("daemonset {}/{} is there: do not enroll its namespaces here as well",
                     sandbox::ns_of(one), name)});
  }
}

void add_crds(Cluster& cluster, std::vector<Finding>& findings) {
  for (const auto& [name, what] : {std::pair("httproutes.gateway.networking.k8s.io", "Gateway API"),
                                   {"authorizationpolicies.security.istio.io", "Istio's API"}}) {
    const auto crd = cluster.get({"apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name});
    const bool there = crd && *crd;
    const auto annotations =
        there ? sandbox::labels(**crd, {"metadata", "annotations"}) : mesh::Labels();
    const auto version = annotations.find("gateway.networking.k8s.io/bundle-version");
    findings.push_back(
        {kClusterGroup,
         fmt::format("CRDs of {}{} are there", what,
                     version == annotations.end() ? "" : " " + version->second),
         there ? Verdict::kGood : Verdict::kWarning,
         crd ? "they are not: install brings those that it has, else the mesh does without"
             : crd.error().text});
  }
}

void add_system(Cluster& cluster, std::vector<Finding>& findings) {
  const auto ns = cluster.get({"v1", "Namespace", "", kSystem});
  if (!ns)
    return findings.push_back({kClusterGroup, fmt::format("namespace {} is free", kSystem),
                               Verdict::kBad, ns.error().text});
  if (!*ns) return;
  const bool ending = !str(**ns, {"metadata", "deletionTimestamp"}).empty();
  findings.push_back({kClusterGroup, fmt::format("namespace {} is not ending", kSystem),
                      ending ? Verdict::kBad : Verdict::kGood, "wait until it is gone"});
}

std::vector<Finding> before(Cluster& cluster) {
  std::vector<Finding> findings = {server_version(cluster)};
  if (findings[0].verdict == Verdict::kBad) return findings;
  add_system(cluster, findings);
  add_others(cluster, findings);
  add_crds(cluster, findings);
  add_nodes(cluster, findings);
  for (auto& one : rights(cluster)) findings.push_back(std::move(one));
  return findings;
}

void add_workload(Cluster& cluster, const char* kind, const char* name,
                  std::vector<Finding>& findings) {
  const auto now = cluster.get({"apps/v1", kind, kSystem, name});
  const std::string what = fmt::format("{} is ready", name);
  if (!now) return findings.push_back({kMesh, what, Verdict::kBad, now.error().text});
  if (!*now)
    return findings.push_back({kMesh, what, Verdict::kBad, "it is not installed: weftctl install"});
  const auto how = rollout(**now);
  findings.push_back({kMesh, fmt::format("{} ({})", what, how.text),
                      how.done ? Verdict::kGood : Verdict::kBad, how.text});
}

std::vector<Finding> after(Cluster& cluster) {
  std::vector<Finding> findings = {server_version(cluster)};
  if (findings[0].verdict == Verdict::kBad) return findings;
  const auto installed = find_installation(cluster);
  if (!installed)
    findings.push_back({kMesh, "the record of the installation is whole", Verdict::kWarning,
                        installed.error().text});
  if (installed && *installed) {
    const auto& one = **installed;
    const bool same = one.version == WEFT_VERSION;
    findings.push_back({kMesh,
                        fmt::format("Weft {} is installed (profile {})", one.version, one.profile),
                        same ? Verdict::kGood : Verdict::kWarning,
                        fmt::format("this weftctl is {}: weftctl upgrade", WEFT_VERSION)});
  }
  add_workload(cluster, "Deployment", "weft-controlplane", findings);
  add_workload(cluster, "DaemonSet", "weft-node", findings);
  if (const auto pods = cluster.list("v1", "Pod", kSystem, "")) {
    for (const auto& line : held_up(*pods))
      findings.push_back({kMesh, "every pod of weft-system is ready", Verdict::kBad, line});
  }
  return findings;
}

}  // namespace

bool CheckArguments::names_a_cluster(const Context& context) const {
  const char* named = std::getenv("KUBECONFIG");
  return !kubeconfig.empty() || (context.sandbox.empty() && named != nullptr && *named != '\0');
}

Finding version_finding(const Json& version) {
  const auto text = str(version, {"gitVersion"});
  int major = 0, minor = 0;  // what follows is the vendor's: "+k3s1", "-gke.100"
  std::sscanf(text.c_str(), "v%d.%d", &major, &minor);
  const bool good = major > 1 || (major == 1 && minor >= kMinorMin);
  return {kClusterGroup,
          fmt::format("the API server is 1.{} or newer ({})", kMinorMin, text.empty() ? "?" : text),
          good ? Verdict::kGood : Verdict::kBad,
          "it has no ValidatingAdmissionPolicy: upgrade the cluster"};
}

std::vector<Finding> node_findings(const Json& node) {
  const auto name = sandbox::name_of(node);
  const auto system = str(node, {"status", "nodeInfo", "operatingSystem"}),
             kernel = str(node, {"status", "nodeInfo", "kernelVersion"}),
             machine = str(node, {"status", "nodeInfo", "architecture"});
  if (!system.empty() && system != "linux") return {};  // nothing of ours runs there
  int major = 0, minor = 0;
  std::sscanf(kernel.c_str(), "%d.%d", &major, &minor);
  const int version = major * 1000 + minor;
  std::vector<Finding> out = {
      {kNodes,
       fmt::format("{}: kernel {} is 5.15 or newer, best 6.1 or newer", name,
                   kernel.empty() ? "?" : kernel),
       version >= 6001   ? Verdict::kGood
       : version >= 5015 ? Verdict::kWarning
                         : Verdict::kBad,
       version >= 5015 ? "without 6.1 some features are off" : "weft-agent does not start there"}};
  if (machine != "amd64" && !machine.empty())
    out.push_back({kNodes, fmt::format("{}: architecture {} is amd64", name, machine),
                   Verdict::kWarning, "there are no images of Weft for it"});
  bool ready = false;
  for (const auto& one : sandbox::list(node, {"status", "conditions"}))
    ready = ready || (str(one, {"type"}) == "Ready" && str(one, {"status"}) == "True");
  if (!ready)
    out.push_back({kNodes, fmt::format("{}: is ready", name), Verdict::kWarning,
                   "it is not: install waits for it"});
  return out;
}

std::string what_forbids(Cluster& cluster) {
  std::vector<Finding> findings = {server_version(cluster)};
  if (findings[0].verdict != Verdict::kBad) {
    add_system(cluster, findings);
    for (auto& one : rights(cluster)) findings.push_back(std::move(one));
  }
  std::string text;
  for (const auto& one : findings) {
    if (one.verdict == Verdict::kBad)
      text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", one.what, one.hint);
  }
  return text;
}

int check_cluster(const Context& context, const CheckArguments& arguments) {
  auto cluster = Cluster::open(arguments.kubeconfig);
  if (!cluster) return fail_with(cluster.error());
  return report(context, arguments.pre ? before(*cluster) : after(*cluster));
}

}  // namespace weft::cli
