#include "sandbox/controllers.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

#include "sandbox/endpoints.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

constexpr const char* kHashLabel = "pod-template-hash";
constexpr const char* kRevisionLabel = "controller-revision-hash";

bool is_deleting(const Json& object) {
  return at(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

bool is_owned_by(const Json& object, const std::string& uid) {
  for (const auto& owner : list(object, {"metadata", "ownerReferences"})) {
    if (str(owner, {"uid"}) == uid) return true;
  }
  return false;
}

bool is_finished(const Json& pod) {
  const auto phase = str(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

void set_condition(Json& object, const char* type, bool is_true, const char* reason) {
  auto& conditions = object["status"]["conditions"];
  if (!conditions.is_array()) conditions = Json::array();
  const Json wanted = {{"type", type}, {"status", is_true ? "True" : "False"}, {"reason", reason}};
  for (auto& condition : conditions) {
    if (condition["type"] != type) continue;
    if (condition["status"] != wanted["status"]) {
      condition = wanted;
      condition["lastTransitionTime"] = now_rfc3339();
    }
    return;
  }
  conditions.push_back(wanted);
  conditions.back()["lastTransitionTime"] = now_rfc3339();
}

std::vector<Key> owned(const Store& store, const char* kind, const Json& owner) {
  std::vector<Key> keys;
  for (const auto* object : store.list(kind, ns_of(owner))) {
    if (is_owned_by(*object, uid_of(owner))) keys.push_back(key_of(*object));
  }
  return keys;
}

}  // namespace

Json owner_reference(const Json& owner) {
  return {{"apiVersion", str(owner, {"apiVersion"})},
          {"kind", str(owner, {"kind"})},
          {"name", name_of(owner)},
          {"uid", uid_of(owner)},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

Controllers::Controllers(Store& store, Admission& admission, std::vector<std::string> nodes)
    : store_(store), admission_(admission), nodes_(std::move(nodes)) {}

void Controllers::create_pod(const Json& owner, const Json& pod_template, const std::string& name) {
  Json pod = {{"apiVersion", "v1"},
              {"kind", "Pod"},
              {"metadata", Json::object()},
              {"spec", pod_template["spec"]}};
  if (pod_template.contains("metadata")) pod["metadata"] = pod_template["metadata"];
  pod["metadata"]["name"] = name;
  if (str(owner, {"kind"}) != "StatefulSet")
    pod["metadata"]["generateName"] = name.substr(0, name.size() - 5);
  pod["metadata"]["namespace"] = ns_of(owner);
  pod["metadata"]["ownerReferences"] = Json::array({owner_reference(owner)});
  Json out;
  const auto verb =
      admission_.admit(pod, fmt::format("{} {}", str(owner, {"kind"}), name_of(owner)), out);
  if (!verb) {
    store_.update(key_of(owner),
                  [&](Json& object) { object["status"]["message"] = verb.error().text; });
    return;
  }
  if (auto put = store_.put(std::move(out)); !put) spdlog::error("{}", put.error().text);
}

void Controllers::remove(const Key& key, long grace) {
  const auto* found = store_.find(key);
  if (found == nullptr) return;
  const Json object = *found;
  if (key.kind == "Pod" || key.kind == "Namespace") {
    const long seconds =
        grace >= 0 ? grace : number(object, {"spec", "terminationGracePeriodSeconds"}, 30);
    store_.update(key, [&](Json& o) {
      if (!is_deleting(o)) o["metadata"]["deletionTimestamp"] = now_rfc3339();
      if (key.kind == "Namespace") o["status"]["phase"] = "Terminating";
      const long before = number(o, {"metadata", "deletionGracePeriodSeconds"}, seconds);
      if (key.kind == "Pod")
        o["metadata"]["deletionGracePeriodSeconds"] = std::min(before, seconds);
    });
    admission_.forget(key);
    return;
  }
  store_.remove(key);
  admission_.forget(key);
  for (const char* kind : {"ReplicaSet.apps", "Pod"}) {
    for (const auto& child : owned(store_, kind, object)) remove(child, grace);
  }
}

void Controllers::namespaces() {
  for (const auto& key : store_.keys("Namespace")) {
    const auto* ns = store_.find(key);
    if (!is_deleting(*ns)) {
      if (store_.find("ServiceAccount", key.name, "default") != nullptr) continue;
      Json out;
      const Json account = {{"apiVersion", "v1"},
                            {"kind", "ServiceAccount"},
                            {"metadata", {{"name", "default"}, {"namespace", key.name}}}};
      if (admission_.admit(account, "", out)) (void)store_.put(std::move(out)).has_value();
      continue;
    }
    for (const auto& inside : store_.keys_in(key.name)) {
      if (inside.kind == "Pod" && is_deleting(*store_.find(inside))) continue;
      if (store_.find(inside) != nullptr) remove(inside, -1);
    }
    if (store_.keys_in(key.name).empty()) store_.remove(key);
  }
}

void Controllers::deployment(const Key& key) {
  const Json deployment = *store_.find(key);
  const auto& pod_template = deployment["spec"]["template"];
  const auto hash = template_hash(pod_template.dump());
  const auto name = key.name + "-" + hash;
  const long replicas = number(deployment, {"spec", "replicas"}, 1);
  const auto sets = owned(store_, "ReplicaSet.apps", deployment);
  const Key current{"ReplicaSet.apps", key.ns, name};
  const auto ready_in = [&](const Key& set) {
    return number(*store_.find(set), {"status", "readyReplicas"});
  };
  const auto scale = [&](const Key& set, long to) {
    store_.update(set, [&](Json& o) { o["spec"]["replicas"] = to; });
  };

  long old_pods = 0, old_ready = 0;
  for (const auto& set : sets) {
    if (set == current) continue;
    old_pods += number(*store_.find(set), {"status", "replicas"});
    old_ready += ready_in(set);
  }
  const bool recreate = str(deployment, {"spec", "strategy", "type"}) == "Recreate";
  if (store_.find(current) == nullptr) {
    Json set = {{"apiVersion", "apps/v1"},
                {"kind", "ReplicaSet"},
                {"metadata",
                 {{"name", name},
                  {"namespace", key.ns},
                  {"ownerReferences", Json::array({owner_reference(deployment)})}}},
                {"spec",
                 {{"replicas", 0},
                  {"selector", deployment["spec"]["selector"]},
                  {"template", pod_template}}}};
    set["spec"]["selector"]["matchLabels"][kHashLabel] = hash;
    set["spec"]["template"]["metadata"]["labels"][kHashLabel] = hash;
    set["metadata"]["labels"] = set["spec"]["template"]["metadata"]["labels"];
    Json out;
    const auto verb = admission_.admit(set, "Deployment " + key.name, out);
    if (!verb) {
      store_.update(key, [&](Json& o) { o["status"]["message"] = verb.error().text; });
      return;
    }
    if (auto put = store_.put(std::move(out)); !put) return;
  }
  // New pods first, then the old ones go, as many as the new ones that are ready; with Recreate the
  // other way round.
  if (!recreate || old_pods == 0) scale(current, replicas);
  const long fresh = ready_in(current);
  for (const auto& set : sets) {
    if (set == current) continue;
    const long there = number(*store_.find(set), {"spec", "replicas"});
    scale(set, recreate ? 0 : std::max(0L, std::min(there, replicas - fresh)));
  }
  const auto& status = *store_.find(current);
  const long pods = number(status, {"status", "replicas"});
  store_.update(key, [&](Json& o) {
    auto& s = o["status"];
    s["observedGeneration"] = o["metadata"]["generation"];
    s["replicas"] = pods + old_pods;
    s["updatedReplicas"] = pods;
    s["readyReplicas"] = fresh + old_ready;
    s["availableReplicas"] = fresh + old_ready;
    s["unavailableReplicas"] = std::max(0L, replicas - fresh - old_ready);
    set_condition(o, "Available", fresh + old_ready >= replicas, "MinimumReplicasAvailable");
    set_condition(
        o, "Progressing", true,
        fresh >= replicas && old_pods == 0 ? "NewReplicaSetAvailable" : "ReplicaSetUpdated");
  });
}

void Controllers::replica_set(const Key& key) {
  const Json set = *store_.find(key);
  const long wanted = number(set, {"spec", "replicas"});
  std::vector<Key> alive;
  long ready = 0;
  for (const auto& pod : owned(store_, "Pod", set)) {
    const auto& object = *store_.find(pod);
    if (is_deleting(object) || is_finished(object)) continue;
    alive.push_back(pod);
    if (pod_is_ready(object)) ++ready;
  }
  for (long i = static_cast<long>(alive.size()); i < wanted; ++i) {
    create_pod(set, set["spec"]["template"], fmt::format("{}-{}", key.name, random_suffix(5)));
  }
  // Those that are not ready go first, then the youngest.
  std::sort(alive.begin(), alive.end(), [&](const Key& a, const Key& b) {
    const bool ready_a = pod_is_ready(*store_.find(a)), ready_b = pod_is_ready(*store_.find(b));
    if (ready_a != ready_b) return ready_b;
    return str(*store_.find(a), {"metadata", "creationTimestamp"}) >
           str(*store_.find(b), {"metadata", "creationTimestamp"});
  });
  for (std::size_t i = 0; i + static_cast<std::size_t>(wanted) < alive.size(); ++i)
    remove(alive[i], -1);
  store_.update(key, [&](Json& o) {
    o["status"]["replicas"] = wanted;
    o["status"]["readyReplicas"] = ready;
    o["status"]["availableReplicas"] = ready;
    o["status"]["observedGeneration"] = o["metadata"]["generation"];
  });
}

// Pods 0…n-1, each with a name of its own that its successor takes over. One step at a time: a pod
// is made when those before it are ready, the highest goes first, and an update goes from the
// highest down; with podManagementPolicy Parallel only updates wait.
void Controllers::stateful_set(const Key& key) {
  const Json set = *store_.find(key);
  const long wanted = number(set, {"spec", "replicas"}, 1);
  const bool ordered = str(set, {"spec", "podManagementPolicy"}) != "Parallel";
  const bool replaces = str(set, {"spec", "updateStrategy", "type"}) != "OnDelete";
  const auto revision = template_hash(set["spec"]["template"].dump());
  const auto pod_key = [&](long i) {
    return Key{"Pod", key.ns, fmt::format("{}-{}", key.name, i)};
  };
  long ready = 0, there = 0, updated = 0;
  bool settled = true;  // all up to here are ready
  for (long i = 0; i < wanted; ++i) {
    const auto* pod = store_.find(pod_key(i));
    if (pod == nullptr && (settled || !ordered)) stateful_pod(set, i, revision);
    const bool good = pod != nullptr && pod_is_ready(*pod);
    settled = settled && good;
    ready += good ? 1 : 0;
    if (pod == nullptr) continue;
    ++there;
    if (str(*pod, {"metadata", "labels", kRevisionLabel}) == revision) ++updated;
    if (is_finished(*pod) && !is_deleting(*pod)) remove(pod_key(i), -1);
  }
  std::vector<Key> surplus;
  for (const auto& pod : owned(store_, "Pod", set)) {
    const auto dash = pod.name.rfind('-');
    if (std::strtol(pod.name.c_str() + dash + 1, nullptr, 10) >= wanted) surplus.push_back(pod);
  }
  std::sort(surplus.begin(), surplus.end(), [](const Key& a, const Key& b) {
    return std::pair(a.name.size(), a.name) > std::pair(b.name.size(), b.name);
  });
  for (const auto& pod : surplus) {
    if (!is_deleting(*store_.find(pod))) remove(pod, -1);
    if (ordered) break;
  }
  for (long i = wanted - 1; settled && surplus.empty() && replaces && i >= 0; --i) {
    const auto& pod = *store_.find(pod_key(i));
    if (str(pod, {"metadata", "labels", kRevisionLabel}) == revision) continue;
    remove(pod_key(i), -1);
    break;
  }
  store_.update(key, [&](Json& o) {
    auto& s = o["status"];
    s["observedGeneration"] = o["metadata"]["generation"];
    s["replicas"] = there + static_cast<long>(surplus.size());
    s["readyReplicas"] = ready;
    s["availableReplicas"] = ready;
    s["updatedReplicas"] = updated;
    s["updateRevision"] = key.name + "-" + revision;
    // Kubernetes has no condition here; `wait --for=condition=Available` is worth having anyway.
    set_condition(o, "Available", ready >= wanted && surplus.empty() && updated == wanted,
                  "AllReplicasReady");
  });
}

void Controllers::stateful_pod(const Json& set, long ordinal, const std::string& revision) {
  const auto name = fmt::format("{}-{}", name_of(set), ordinal);
  auto pod_template = set["spec"]["template"];
  auto& labels = pod_template["metadata"]["labels"];
  labels["statefulset.kubernetes.io/pod-name"] = name;
  labels["apps.kubernetes.io/pod-index"] = std::to_string(ordinal);
  labels[kRevisionLabel] = revision;
  pod_template["spec"]["hostname"] = name;
  if (const auto service = str(set, {"spec", "serviceName"}); !service.empty())
    pod_template["spec"]["subdomain"] = service;
  create_pod(set, pod_template, name);
}

void Controllers::job(const Key& key) {
  const Json job = *store_.find(key);
  long active = 0, succeeded = 0, failed = 0;
  for (const auto& pod : owned(store_, "Pod", job)) {
    const auto phase = str(*store_.find(pod), {"status", "phase"});
    if (phase == "Succeeded")
      ++succeeded;
    else if (phase == "Failed")
      ++failed;
    else
      ++active;
  }
  const long completions = number(job, {"spec", "completions"}, 1),
             parallelism = number(job, {"spec", "parallelism"}, 1);
  const bool gave_up = failed > number(job, {"spec", "backoffLimit"}, 6);
  for (; !gave_up && active < parallelism && succeeded + active < completions; ++active) {
    auto pod_template = job["spec"]["template"];
    pod_template["metadata"]["labels"]["job-name"] = key.name;
    pod_template["metadata"]["labels"]["batch.kubernetes.io/job-name"] = key.name;
    create_pod(job, pod_template, fmt::format("{}-{}", key.name, random_suffix(5)));
  }
  store_.update(key, [&](Json& o) {
    auto& s = o["status"];
    if (str(s, {"startTime"}).empty()) s["startTime"] = now_rfc3339();
    s["active"] = active;
    s["succeeded"] = succeeded;
    s["failed"] = failed;
    if (succeeded >= completions) {
      if (str(s, {"completionTime"}).empty()) s["completionTime"] = now_rfc3339();
      set_condition(o, "Complete", true, "CompletionsReached");
    } else if (gave_up) {
      set_condition(o, "Failed", true, "BackoffLimitExceeded");
    }
  });
}

void Controllers::schedule() {
  for (const auto& key : store_.keys("Pod")) {
    const auto& pod = *store_.find(key);
    if (!str(pod, {"spec", "nodeName"}).empty() || is_deleting(pod)) continue;
    const auto& node = nodes_[next_node_++ % nodes_.size()];
    store_.update(key, [&](Json& o) { o["spec"]["nodeName"] = node; });
  }
}

void Controllers::sync() {
  namespaces();
  for (const auto& key : store_.keys("Deployment.apps")) deployment(key);
  for (const auto& key : store_.keys("ReplicaSet.apps")) replica_set(key);
  for (const auto& key : store_.keys("StatefulSet.apps")) stateful_set(key);
  for (const auto& key : store_.keys("Job.batch")) job(key);
  schedule();
}

}  // namespace weft::sandbox
