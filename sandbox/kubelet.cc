#include "sandbox/kubelet.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/net.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"
#include "sandbox/volumes.h"

namespace weft::sandbox {
namespace {

constexpr const char* kPodIps = "weft.dev/pod-ips";

bool is_deleting(const Json& pod) { return at(pod, {"metadata", "deletionTimestamp"}) != nullptr; }

}  // namespace

Kubelet::Kubelet(Loop& loop, Store& store, const Layout& layout, std::vector<const Node*> nodes,
                 bool hold, std::function<void()> wake)
    : loop_(loop), store_(store), layout_(layout), hold_(hold), wake_(std::move(wake)) {
  for (const auto* node : nodes) {
    nodes_[node->name()] = node;
    pools_.emplace(node->name(), PodPool(node->net()));
  }
}

Kubelet::~Kubelet() = default;

Parsed<std::pair<std::string, std::string>> Kubelet::addresses(const Json& pod, const Node& node) {
  std::set<std::string> used;
  for (const auto& [uid, run] : runs_) used.insert(run.ips.begin(), run.ips.end());
  const auto fixed = str(pod, {"metadata", "annotations", kPodIps});
  if (fixed.empty()) {
    auto pair = pools_.at(node.name()).take(used);
    if (!pair) return problem(fmt::format("no pod address is free on {}", node.name()));
    return *pair;
  }
  std::pair<std::string, std::string> result;
  for (std::size_t start = 0; start <= fixed.size();) {
    const auto comma = std::min(fixed.find(',', start), fixed.size());
    auto word = fixed.substr(start, comma - start);
    std::erase(word, ' ');
    const auto ip = IpAddress::parse(word);
    if (!ip)
      return problem(fmt::format("annotation {}: \"{}\" is not an IP address", kPodIps, word));
    const auto own = Cidr::parse(ip->is_v4() ? node.net().pods_v4() : node.net().pods_v6());
    if (!own->contains(*ip)) {
      return problem(fmt::format("annotation {}: {} is not in {} of {}; set spec.nodeName", kPodIps,
                                 word, own->str(), node.name()));
    }
    if (used.contains(ip->str()))
      return problem(fmt::format("annotation {}: {} belongs to another pod", kPodIps, word));
    (ip->is_v4() ? result.first : result.second) = ip->str();
    start = comma + 1;
  }
  return result;
}

void Kubelet::begin(const Json& pod) {
  const auto uid = uid_of(pod);
  const auto found = nodes_.find(str(pod, {"spec", "nodeName"}));
  if (found == nodes_.end()) return;
  const auto& node = *found->second;
  std::pair<std::string, std::string> ips;
  const bool host_network = truth(pod, {"spec", "hostNetwork"});
  if (host_network) {
    ips = {node.net().v4(), node.net().v6()};
  } else {
    auto given = addresses(pod, node);
    if (!given) {
      store_.update(key_of(pod), [&](Json& object) {
        object["status"]["reason"] = "FailedCreatePodSandBox";
        object["status"]["message"] = given.error().text;
      });
      retry_[uid] = Clock::now() + std::chrono::seconds(1);
      loop_.after(std::chrono::seconds(1), wake_);
      return;
    }
    ips = *given;
  }
  auto changed = [this, uid] {
    dirty_.insert(uid);
    wake_();
  };
  Run run;
  if (!host_network) {
    for (const auto& ip : {ips.first, ips.second}) {
      if (!ip.empty()) run.ips.insert(ip);
    }
  }
  run.pod = std::make_unique<PodRun>(
      PodRun::Surroundings{
          .loop = loop_,
          .store = store_,
          .layout = layout_,
          .node = node,
          .changed = changed,
          .hold = hold_},
      pod, ips.first, ips.second);
  auto* started = run.pod.get();
  runs_.emplace(uid, std::move(run));
  started->start();
}

void Kubelet::write_status(const std::string& uid) {
  const auto found = runs_.find(uid);
  if (found == runs_.end()) return;
  const auto& pod = *found->second.pod;
  store_.update(pod.key(), [&](Json& object) {
    if (uid_of(object) == uid) object["status"] = pod.status(object["status"]);
  });
}

void Kubelet::sync() {
  // Status first: a pod that is gone must not come back by a late write.
  const auto dirty = std::exchange(dirty_, {});
  for (const auto& uid : dirty) write_status(uid);
  for (auto it = runs_.begin(); it != runs_.end();) {
    if (it->second.pod->phase() != PodRun::Phase::kGone) {
      ++it;
      continue;
    }
    const auto key = it->second.pod->key();
    const auto* object = store_.find(key);
    const bool ours = object != nullptr && uid_of(*object) == it->first && is_deleting(*object);
    it = runs_.erase(it);
    if (ours) store_.remove(key);
    wake_();
  }

  std::set<std::string> wanted;
  for (const auto& key : store_.keys("Pod")) {
    const auto* pod = store_.find(key);
    if (pod == nullptr) continue;
    const auto uid = uid_of(*pod);
    wanted.insert(uid);
    const auto run = runs_.find(uid);
    if (run == runs_.end()) {
      if (is_deleting(*pod)) {
        store_.remove(key);
        wake_();
        continue;
      }
      const auto retry = retry_.find(uid);
      if (retry != retry_.end() && Clock::now() < retry->second) continue;
      retry_.erase(uid);
      begin(Json(*pod));
      continue;
    }
    if (auto versions = volume_versions(store_, *pod); versions != run->second.volumes) {
      if (!run->second.volumes.empty()) refresh_volumes(layout_, store_, *pod);
      run->second.volumes = std::move(versions);
    }
    if (!is_deleting(*pod)) continue;
    const long grace = number(*pod, {"metadata", "deletionGracePeriodSeconds"}, 30);
    const auto text = std::to_string(grace);
    if (run->second.terminating == text) continue;
    run->second.terminating = text;
    run->second.pod->terminate(std::chrono::seconds(grace));
  }
  for (auto& [uid, run] : runs_) {
    if (!wanted.contains(uid) && run.terminating.empty()) {
      run.terminating = "0";
      run.pod->terminate(std::chrono::seconds(0));
    }
  }
}

std::size_t Kubelet::signal_all(const std::string& label, const std::string& node, int number,
                                bool held) {
  std::size_t count = 0;
  for (auto& [uid, run] : runs_) {
    const auto* object = store_.find(run.pod->key());
    if (object == nullptr || at(*object, {"metadata", "labels", label}) == nullptr) continue;
    if (!node.empty() && run.pod->node().name() != node) continue;
    run.pod->signal(number, held);
    ++count;
  }
  return count;
}

Parsed<ExecTarget> Kubelet::target(const std::string& ns, const std::string& pod,
                                   const std::string& container) const {
  const auto* object = store_.find("Pod", ns, pod);
  if (object == nullptr)
    return problem(fmt::format("Error from server (NotFound): pods \"{}\" not found", pod));
  const auto run = runs_.find(uid_of(*object));
  if (run == runs_.end())
    return problem(fmt::format("pod {} has not been started yet: {}", pod,
                               str(*object, {"status", "message"}, "it is pending")));
  return run->second.pod->target(container);
}

}  // namespace weft::sandbox
