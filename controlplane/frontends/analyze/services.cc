// Services, enrollment, and marks of other meshes.
#include <algorithm>
#include <array>

#include "controlplane/frontends/analyze/facts.h"
#include "controlplane/frontends/unsupported.h"
#include "mesh/labels.h"

namespace weft::controlplane::analyze {

void check_services(Facts& facts) {
  constexpr std::array<std::string_view, 13> kProtocols = {
      "http", "http2", "https", "grpc",  "grpc-web", "tcp",  "tls",
      "udp",  "mongo", "mysql", "redis", "mesh",     "hbone"};
  for (const auto& [host, service] : facts.services) {
    const auto found = facts.objects.find({"Service", service.ns, service.name});
    if (found == facts.objects.end() || service.ns == "kube-system" ||
        (service.ns == "default" && service.name == "kubernetes"))
      continue;
    for (std::size_t i = 0; i < service.ports.size(); ++i) {
      const auto& port = service.ports[i];
      const bool named =
          std::any_of(kProtocols.begin(), kProtocols.end(), [&](std::string_view protocol) {
            return port.name == protocol || port.name.starts_with(std::string(protocol) + "-");
          });
      if (named || !port.app_protocol.empty() || port.protocol == "UDP") continue;
      facts.say(Level::kInfo, "IST0118", *found->second, source::element_path("spec.ports", i),
                "Port name " + port.name + " (port: " + std::to_string(port.port) +
                    ") doesn't follow the naming convention: missing prefix in service " +
                    service.ns + "/" + service.name +
                    " (name it http-…, grpc-…, tcp-… or set appProtocol)");
    }
  }
}

void check_enrollment(Facts& facts) {
  std::map<std::string, std::size_t> outside;  // pods without any label, by namespace
  for (const source::Pod& pod : facts.pods) {
    const auto ns = facts.namespaces.find(pod.ns);
    const mesh::Labels none;
    const mesh::Labels& labels = ns == facts.namespaces.end() ? none : ns->second.labels;
    const mesh::Labels& annotations = ns == facts.namespaces.end() ? none : ns->second.annotations;
    const mesh::Enrollment enrollment = mesh::decide_enrollment(
        {pod.labels, pod.annotations, labels, annotations, pod.host_network});
    if (enrollment.enrolled) continue;
    if (enrollment.reason == mesh::EnrollmentReason::kNoLabel) {
      ++outside[pod.ns];
      continue;
    }
    const bool wanted = mesh::decide_enrollment({none, none, labels, annotations, false}).enrolled;
    const auto object = facts.objects.find({"Pod", pod.ns, pod.name});
    if (wanted && enrollment.reason == mesh::EnrollmentReason::kHostNetwork &&
        object != facts.objects.end())
      facts.say(Level::kWarning, "IST0103", *object->second, "spec.hostNetwork",
                "The pod " + pod.ns + "/" + pod.name +
                    " is not in the mesh: it uses the node's own network");
  }
  for (const auto& [name, count] : outside) {
    const auto object = facts.objects.find({"Namespace", "", name});
    if (object == facts.objects.end() || facts.is_root(name) || name == "kube-system") continue;
    facts.say(Level::kInfo, "IST0102", *object->second, "metadata.labels",
              "The namespace is not enrolled in the mesh (" + std::to_string(count) +
                  " pods). Run 'kubectl label namespace " + name +
                  " weft.dev/mesh=enabled' to enroll it, or label it weft.dev/mesh=disabled.");
  }
}

void check_marks(Facts& facts) {
  for (const auto& [key, object] : facts.objects) {
    // What a controller made has them from its template.
    source::Reader reader(*object);
    if (reader.root()["metadata"]["ownerReferences"].present()) continue;
    for (auto& [path, text] : unsupported_marks(*object))
      facts.say(Level::kWarning, "WFT0001", *object, path, path + ": " + text);
  }
}

}  // namespace weft::controlplane::analyze
