#include "agent/enroll.h"

#include <algorithm>

#include "mesh/labels.h"
#include "mesh/leaving.h"

namespace weft::agent {

namespace {

mesh::Enrollment judge(const source::Pod& pod, const std::map<std::string, source::Namespace>& namespaces) {
  static const mesh::Labels kNone;
  const auto ns = namespaces.find(pod.ns);
  const bool known = ns != namespaces.end();
  return mesh::decide_enrollment({.pod_labels = pod.labels,
                                  .pod_annotations = pod.annotations,
                                  .namespace_labels = known ? ns->second.labels : kNone,
                                  .namespace_annotations = known ? ns->second.annotations : kNone,
                                  .host_network = pod.host_network});
}

PlainPod plain(const source::Pod& pod, std::string reason, std::string key, bool wanted) {
  return {pod.uid, pod.ns, pod.name, pod.ips, std::move(reason), std::move(key), wanted, pod.finished()};
}

}  // namespace

bool is_uninstalling(const std::map<std::string, source::Namespace>& namespaces) {
  const auto system = namespaces.find(std::string(mesh::kSystemNamespace));
  if (system == namespaces.end()) return false;
  const auto said = system->second.annotations.find(std::string(mesh::kUninstalling));
  return said != system->second.annotations.end() && said->second == "true";
}

Desired decide_pods(const std::vector<source::Pod>& pods, const std::map<std::string, source::Namespace>& namespaces,
                    const std::string& node, const ArrivedIps& arrived) {
  Desired desired;
  const bool leaving = is_uninstalling(namespaces);
  for (const auto& pod : pods) {
    if (pod.node_name != node) continue;
    if (leaving) {
      desired.plain.push_back(plain(pod, "the mesh is being uninstalled", std::string(mesh::kUninstalling), false));
      continue;
    }
    const auto verdict = judge(pod, namespaces);
    const auto ips = pod.ips.empty() && arrived ? arrived(pod.uid) : pod.ips;
    if (!verdict.enrolled) {
      desired.plain.push_back(plain(pod, to_string(verdict.reason), verdict.key, false));
    } else if (pod.finished()) {
      desired.plain.push_back(plain(pod, "the pod has finished", verdict.key, false));
    } else if (pod.uid.empty()) {
      desired.plain.push_back(plain(pod, "the pod has no metadata.uid", verdict.key, true));
    } else if (ips.empty()) {
      desired.plain.push_back(plain(pod, "the pod has no address yet", verdict.key, true));
    } else {
      DesiredPod wanted{pod.uid, pod.ns, pod.name, pod.service_account, ips, to_string(verdict.reason), verdict.key};
      std::ranges::sort(wanted.ips);
      desired.pods.emplace(pod.uid, std::move(wanted));
    }
  }
  std::ranges::sort(desired.plain, {}, [](const PlainPod& pod) { return std::pair(pod.ns, pod.name); });
  return desired;
}

}  // namespace weft::agent
