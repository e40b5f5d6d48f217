// Selectors and targets of policies, gateways' conflicts, services and enrollment.
#include <algorithm>
#include <array>

#include "controlplane/frontends/analyze/facts.h"
#include "mesh/labels.h"

namespace weft::controlplane::analyze {
namespace {

using source::Field;
using source::Object;

std::string text_of(const mesh::Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) out += (out.empty() ? "" : ",") + name + "=" + value;
  return out;
}

void check_target(Facts& facts, const Object& object, const Field& ref) {
  const std::string kind = ref["kind"].string(), name = ref["name"].string();
  const std::string place = object.ns + "/" + name;
  bool found = true;
  if (kind == "Service") {
    found = facts.services.empty() ||
            facts.services.contains(name + "." + object.ns + ".svc." + facts.options.domain);
  } else if (kind == "Gateway") {
    found = facts.gateway_apis.contains(place);
  } else if (kind == "ServiceEntry") {
    found = std::any_of(facts.externals.begin(), facts.externals.end(),
                        [&](const auto& one) { return one.ns == object.ns && one.name == name; });
  }
  if (!found)
    facts.say(Level::kError, "IST0101", object, ref["name"].path(),
              "Referenced " + kind + " not found: \"" + place + "\"");
}

void check_conflicts(Facts& facts) {
  // (selector, port, host) → who has it
  std::map<std::string, std::vector<std::string>> owners;
  for (const auto& [name, gateway] : facts.gateways) {
    for (const auto& listener : gateway.listeners) {
      for (const std::string& host : listener.hosts) {
        auto& list =
            owners[text_of(gateway.selector) + " " + std::to_string(listener.port) + " " + host];
        if (list.empty() || list.back() != name) list.push_back(name);
      }
    }
  }
  for (const auto& [place, names] : owners) {
    if (names.size() < 2) continue;
    for (const std::string& name : names) {
      const auto& gateway = facts.gateways.at(name);
      std::string others;
      for (const std::string& other : names)
        if (other != name) others += (others.empty() ? "" : ",") + other;
      facts.say(Level::kError, "IST0145", *facts.objects.at(gateway.from.key), "spec.servers",
                "Conflict with gateways " + others + " (selector, port, host: " + place + ")");
    }
  }
}

}  // namespace

void check_gateways(Facts& facts) {
  const mesh::Labels edge = {{"istio", "ingressgateway"}};  // an Envoy of Weft's own serves it
  const bool knows_secrets =
      std::any_of(facts.objects.begin(), facts.objects.end(),
                  [](const auto& one) { return one.first.kind == "Secret"; });
  for (const auto& [name, gateway] : facts.gateways) {
    const Object& object = *facts.objects.at(gateway.from.key);
    const bool served = gateway.selector.empty() || gateway.selector == edge ||
                        std::any_of(facts.pods.begin(), facts.pods.end(), [&](const auto& pod) {
                          return source::selects(gateway.selector, pod.labels);
                        });
    if (!served && !facts.pods.empty())
      facts.say(Level::kError, "IST0101", object, "spec.selector",
                "Referenced selector not found: \"" + text_of(gateway.selector) + "\"");
    for (const auto& listener : gateway.listeners) {
      if (!listener.tls || !knows_secrets) continue;
      for (const std::string& secret : listener.tls->secrets) {
        const bool there =
            std::any_of(facts.objects.begin(), facts.objects.end(), [&](const auto& one) {
              return one.first.kind == "Secret" && "/" + one.first.name == secret;
            });
        if (!there)
          facts.say(Level::kError, "IST0101", object, "spec.servers",
                    "Referenced credentialName not found: \"" + secret.substr(1) + "\"");
      }
    }
  }
  check_conflicts(facts);
}

void check_policies(Facts& facts) {
  constexpr std::array<std::string_view, 4> kKinds = {
      "AuthorizationPolicy.security.istio.io", "PeerAuthentication.security.istio.io",
      "RequestAuthentication.security.istio.io", "Telemetry.telemetry.istio.io"};
  for (const auto& [key, pointer] : facts.objects) {
    if (std::find(kKinds.begin(), kKinds.end(), key.kind) == kKinds.end()) continue;
    source::Reader reader(*pointer);
    const Field spec = reader.root()["spec"];
    const mesh::Labels selector = spec["selector"]["matchLabels"].string_map();
    if (!selector.empty() && !facts.pods.empty() && !facts.selected(key.ns, selector))
      facts.say(Level::kWarning, "IST0127", *pointer, "spec.selector",
                "No matching workloads for this resource with the following labels: " +
                    text_of(selector));
    for (const Field& ref : spec["targetRefs"].list()) check_target(facts, *pointer, ref);
    if (spec["targetRef"].present()) check_target(facts, *pointer, spec["targetRef"]);
  }
  std::map<std::string, std::vector<const model::Telemetry*>> plain;
  for (const auto& one : facts.telemetries) {
    if (one.selector.empty() && one.targets.empty()) plain[one.ns].push_back(&one);
  }
  for (const auto& [ns, list] : plain) {
    if (list.size() < 2) continue;
    std::string names;
    for (const auto* one : list) names += (names.empty() ? "" : ",") + one->name;
    for (const auto* one : list)
      facts.say(
          Level::kError, "IST0160", *facts.objects.at(one->from.key), "metadata.name",
          "The Telemetries [" + names + "] in namespace \"" + ns + "\" have no workload selector.");
  }
}

}  // namespace weft::controlplane::analyze
