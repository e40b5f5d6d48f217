// Kubelet: makes the pods that the store says are on our nodes, ends those that are being deleted,
// writes their status. All nodes of a sandbox in one object; daemon's loop only. Level-triggered:
// sync() looks at the store and does what is missing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sandbox/address.h"
#include "sandbox/loop.h"
#include "sandbox/pod_run.h"
#include "sandbox/store.h"

namespace weft::sandbox {

class Kubelet {
 public:
  // `wake` is called when sync() has something to do. `hold`: pods of the mesh wait for the agent.
  Kubelet(Loop& loop, Store& store, const Layout& layout, std::vector<const Node*> nodes, bool hold,
          std::function<void()> wake);
  ~Kubelet();

  void sync();
  // As PodRun::signal, for every pod of ours with label `label`; `node` empty: all nodes. How many.
  std::size_t signal_all(const std::string& label, const std::string& node, int number, bool held);
  Parsed<ExecTarget> target(const std::string& ns, const std::string& pod,
                            const std::string& container) const;

 private:
  struct Run {
    std::unique_ptr<PodRun> pod;
    std::set<std::string> ips;
    std::string volumes;      // volume_versions() as the pod has them
    std::string terminating;  // deletionGracePeriodSeconds last obeyed
  };
  void begin(const nlohmann::json& pod);
  void write_status(const std::string& uid);
  Parsed<std::pair<std::string, std::string>> addresses(const nlohmann::json& pod,
                                                        const Node& node);

  Loop& loop_;
  Store& store_;
  const Layout& layout_;
  std::map<std::string, const Node*> nodes_;
  std::map<std::string, PodPool> pools_;
  const bool hold_;
  std::function<void()> wake_;
  std::map<std::string, Run> runs_;                 // by uid
  std::set<std::string> dirty_;                     // uids whose status may have changed
  std::map<std::string, Clock::time_point> retry_;  // uids that could not begin
};

}  // namespace weft::sandbox
