// Manifests → World → wire, in one line. For tests of the control plane.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "controlplane/backends/ztunnel/encode.h"
#include "controlplane/translate/world.h"
#include "controlplane/xds/cache.h"
#include "source/object.h"

namespace weft::controlplane {

inline std::vector<source::ObjectPtr> objects(const std::string& yaml) {
  auto parsed = source::parse_manifest(yaml, "f.yaml");
  EXPECT_TRUE(parsed) << parsed.error().text;
  if (!parsed) return {};
  for (const auto& object : *parsed) {
    const auto bad = translate::admit(*object);
    EXPECT_FALSE(bad) << bad->text;
  }
  return *parsed;
}

// A world that one edits with manifests; remembers the latest of everything.
class TestWorld {
 public:
  explicit TestWorld(translate::Options options = {}) : world(std::move(options)) {}

  translate::Changes apply(const std::string& yaml) {
    return take(world.apply({.upserts = objects(yaml), .deletes = {}}));
  }
  translate::Changes erase(const std::string& kind, const std::string& ns,
                           const std::string& name) {
    return take(world.apply({.upserts = {}, .deletes = {{kind, ns, name}}}));
  }

  const mesh::Workload& workload(const std::string& ns, const std::string& name) {
    const std::string uid = "Kubernetes//Pod/" + ns + "/" + name;
    EXPECT_TRUE(workloads.contains(uid)) << uid;
    return workloads[uid];
  }

  translate::World world;
  std::map<std::string, mesh::Workload> workloads;
  std::map<std::string, mesh::Service> services;
  std::map<std::string, mesh::Policy> policies;

 private:
  translate::Changes take(translate::Changes changes) {
    for (const auto& one : changes.workloads) workloads[one.uid] = one;
    for (const auto& one : changes.services) services[one.key()] = one;
    for (const auto& one : changes.policies) policies[one.key()] = one;
    for (const auto& key : changes.removed_workloads) workloads.erase(key);
    for (const auto& key : changes.removed_services) services.erase(key);
    for (const auto& key : changes.removed_policies) policies.erase(key);
    return changes;
  }
};

inline std::string pod_yaml(const std::string& ns, const std::string& name, const std::string& ip,
                            const std::string& labels = "{app: web}",
                            const std::string& more_spec = "") {
  return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + ns +
         ", labels: " + labels + "}\nspec: {nodeName: node1, serviceAccountName: web" + more_spec +
         "}\nstatus: {phase: Running, podIP: \"" + ip +
         "\", conditions: [{type: Ready, status: \"True\"}]}\n";
}

}  // namespace weft::controlplane
