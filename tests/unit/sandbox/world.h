// A store with the namespaces and accounts that manifests need, and short ways to fill it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "sandbox/admit.h"
#include "sandbox/controllers.h"
#include "sandbox/json.h"
#include "sandbox/store.h"
#include "source/object.h"

namespace weft::sandbox::test {

inline Json manifest(const std::string& text) {
  const auto objects = source::parse_manifest(text, "test.yaml");
  EXPECT_TRUE(objects.has_value()) << (objects ? "" : objects.error().text);
  return objects ? *objects->front()->body : Json::object();
}

struct World {
  Store store{""};
  Admission admission{store};
  Controllers controllers{store, admission, {"node1", "node2"}};

  World() {
    apply("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
    controllers.sync();
  }

  // The refusal's text, or "".
  std::string try_apply(const std::string& text) {
    auto body = manifest(text);
    if (!source::is_cluster_scoped(str(body, {"kind"})) && ns_of(body).empty())
      body["metadata"]["namespace"] = "default";
    Json out;
    const auto verb = admission.admit(body, "test.yaml:1", out);
    if (!verb) return verb.error().text;
    last = *verb;
    EXPECT_TRUE(store.put(out).has_value());
    return {};
  }
  void apply(const std::string& text) { EXPECT_EQ(try_apply(text), ""); }

  const Json& get(const std::string& kind, const std::string& name,
                  const std::string& ns = "default") {
    static const Json none;
    const auto* found = store.find(kind, ns, name);
    EXPECT_NE(found, nullptr) << kind << " " << name;
    return found == nullptr ? none : *found;
  }

  // A pod that a kubelet has made ready.
  void ready_pod(const std::string& name, const std::string& labels, const std::string& v4,
                 const std::string& v6, bool ready = true) {
    apply("{apiVersion: v1, kind: Pod, metadata: {name: " + name + ", labels: " + labels +
          "}, spec: {nodeName: node1, containers: [{name: c, command: [x], ports: [{name: web, "
          "containerPort: 8080}]}]}}");
    make_ready(name, v4, v6, ready);
  }
  void make_ready(const std::string& name, const std::string& v4, const std::string& v6,
                  bool ready = true) {
    store.update({"Pod", "default", name}, [&](Json& pod) {
      pod["status"] = {{"phase", "Running"},
                       {"podIP", v4},
                       {"podIPs", {{{"ip", v4}}, {{"ip", v6}}}},
                       {"conditions", {{{"type", "Ready"}, {"status", ready ? "True" : "False"}}}}};
    });
  }

  Verb last = Verb::kCreated;
};

}  // namespace weft::sandbox::test
