#include "controlplane/frontends/analyze/facts.h"

#include <algorithm>

#include "controlplane/frontends/admit.h"
#include "controlplane/frontends/analyze/mend.h"
#include "controlplane/frontends/istio/route_parts.h"
#include "controlplane/frontends/shapes.h"
#include "controlplane/frontends/unsupported.h"

namespace weft::controlplane::analyze {
namespace {

using source::Object;

Finding refusal(const Object& object, const std::string& text) {
  // "file:line: field: why": the place is said apart.
  Finding finding{.level = Level::kError, .object = object.key(), .place = object.origin};
  finding.message = text;
  const std::string file = object.origin.substr(0, object.origin.rfind(':')) + ":";
  if (text.starts_with(object.origin + ": ")) {
    finding.message = text.substr(object.origin.size() + 2);
  } else if (text.starts_with(file)) {
    const std::size_t end = text.find(": ", file.size());
    if (end != std::string::npos) {
      finding.place = text.substr(0, end);
      finding.message = text.substr(end + 2);
    }
  }
  finding.code = text.find(": unknown field") != std::string::npos            ? "IST0108"
                 : text.find("regular expression (RE2)") != std::string::npos ? "IST0122"
                                                                              : "IST0106";
  return finding;
}

bool is_within(std::string_view inner, std::string_view outer) {
  return inner.starts_with(outer) &&
         (inner.size() == outer.size() || inner[outer.size()] == '.' || inner[outer.size()] == '[');
}

// What is left of a mesh object when the fields that its front end refuses are taken out, each of
// them a finding: one wrong field does not hide what else there is to say. Null when that is
// nothing.
source::ObjectPtr admitted(Facts& facts, source::ObjectPtr object) {
  constexpr std::size_t kMendsMax = 32;
  std::vector<std::string> gone;
  while (const auto bad = admit_mesh(*object)) {
    Finding finding = refusal(*object, bad->text);
    const std::string path = finding.message.substr(0, finding.message.find(": "));
    const bool follows = std::any_of(gone.begin(), gone.end(), [&](const std::string& one) {
      return is_within(one, path) || is_within(path, one);
    });
    if (follows || gone.size() == kMendsMax) return nullptr;
    facts.findings.push_back(std::move(finding));
    object = without(*object, path);
    if (!object) return nullptr;
    gone.push_back(path);
  }
  return object;
}

void gather_core(Facts& facts, const Object& object) {
  const source::ObjectKey key = object.key();
  if (const auto wrong = source::admit_core(object)) {
    facts.findings.push_back(refusal(object, wrong->text));
  } else if (key.kind == "Service") {
    const auto service = source::decode_service(object);
    if (service)
      facts.services[key.name + "." + key.ns + ".svc." + facts.options.domain] = *service;
  } else if (key.kind == "Namespace") {
    const auto ns = source::decode_namespace(object);
    if (ns) facts.namespaces[key.name] = *ns;
  } else if (key.kind == "Pod") {
    const auto pod = source::decode_pod(object);
    if (pod && !pod->finished()) facts.pods.push_back(*pod);
  }
}

}  // namespace

void Facts::say(Level level, const char* code, const Object& object, std::string_view path,
                std::string message) {
  findings.push_back({level, code, object.key(), object.at(path), std::move(message)});
}

bool Facts::is_root(std::string_view ns) const {
  const auto& roots = options.root_namespaces;
  return std::find(roots.begin(), roots.end(), ns) != roots.end();
}

bool Facts::selected(std::string_view ns, const mesh::Labels& selector) const {
  return std::any_of(pods.begin(), pods.end(), [&](const source::Pod& pod) {
    return (pod.ns == ns || is_root(ns)) && source::selects(selector, pod.labels);
  });
}

bool Facts::has_host(std::string_view hostname) const {
  if (services.contains(std::string(hostname))) return true;
  return std::any_of(externals.begin(), externals.end(), [&](const auto& external) {
    return std::any_of(external.hosts.begin(), external.hosts.end(), [&](const std::string& host) {
      return istio::host_covers(host, hostname) || istio::host_covers(hostname, host);
    });
  });
}

std::string Facts::similar_host(std::string_view hostname) const {
  // One letter off, or the same name in another namespace.
  const std::string_view name = hostname.substr(0, hostname.find('.'));
  for (const auto& [host, service] : services) {
    std::size_t same = 0, most = std::min(service.name.size(), name.size());
    while (same < most && service.name[same] == name[same]) ++same;
    std::size_t tail = 0;
    while (tail + same < most &&
           service.name[service.name.size() - 1 - tail] == name[name.size() - 1 - tail])
      ++tail;
    if (same + tail + 1 >= std::max(service.name.size(), name.size()))
      return " (did you mean " + host + "?)";
  }
  return "";
}

void gather(Facts& facts) {
  for (const auto& [key, given] : facts.objects) {
    const source::ObjectPtr object = admitted(facts, given);
    if (!object || decode_mesh(facts, object)) continue;
    if (const std::string text = unsupported_kind(*object); !text.empty())
      facts.say(Level::kWarning, "WFT0001", *object, "kind", text);
    for (const auto& [path, text] : doubtful(*object))
      facts.say(Level::kInfo, "WFT0002", *object, path, path + ": " + text);
    gather_core(facts, *object);
  }
}

}  // namespace weft::controlplane::analyze
