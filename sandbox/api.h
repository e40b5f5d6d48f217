// The daemon's requests: what `weftctl sandbox …` asks for. One JSON object in, one out; {"error":
// text} when refused.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sandbox/admit.h"
#include "sandbox/controllers.h"
#include "sandbox/kinds.h"
#include "sandbox/kubelet.h"
#include "sandbox/loop.h"
#include "sandbox/store.h"
#include "sandbox/supervisor.h"

namespace weft::sandbox {

class Api {
 public:
  struct Parts {
    const Layout& layout;
    Store& store;
    Admission& admission;
    Controllers& controllers;
    Kubelet& kubelet;
    Supervisor& supervisor;
    std::vector<const Node*> nodes;
  };
  explicit Api(Parts parts) : parts_(std::move(parts)) {}

  nlohmann::json answer(const nlohmann::json& request);

 private:
  using Json = nlohmann::json;
  Parsed<Json> dispatch(const Json& request);
  Parsed<Json> apply(const Json& request);
  Parsed<Json> get(const Json& request) const;
  Parsed<Json> remove(const Json& request);
  Parsed<Json> annotate(const Json& request);
  Parsed<Json> exec(const Json& request) const;
  Parsed<Json> component(const Json& request);
  Parsed<Json> envoy(const std::string& action, const std::string& node, int signal);
  Parsed<Json> logs(const Json& request) const;
  Parsed<Json> container_log(const Json& pod, std::string container) const;
  Parsed<Json> envoy_log(const std::string& node) const;
  std::string other_nodes(const std::string& component) const;
  Json status() const;
  Parsed<void> node_named(const std::string& name) const;
  Parsed<Key> find_one(const Json& request) const;
  Json computed(const Json& request, const Kind& kind) const;
  std::vector<Key> find_many(const Json& request, const std::string& kind) const;

  Parts parts_;
};

// A Unix socket at `path` (0600) that answers each line with `answer(line)`. Lives on the loop
// until the loop ends.
Parsed<void> serve(Loop& loop, const std::string& path,
                   std::function<std::string(const std::string&)> answer);

}  // namespace weft::sandbox
