// SharedState: the authority's files in a Secret of the cluster, so that a control plane that
// starts again, on whatever node, is the same authority; and the bundle that everybody trusts in a
// ConfigMap, for nodes to mount. The serving key is not among them: each start makes its own. One
// owner, one thread; every call blocks for as long as the API server takes.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "source/kube/client.h"

namespace weft::controlplane::ca {

struct SharedStateOptions {
  std::string ns,
      secret;  // of the Secret; the ConfigMap is SECRET-root-cert, its key root-cert.pem
  std::string state_dir;
  std::function<source::kube::Reply(const source::kube::Call&)> call;
};

class SharedState {
 public:
  explicit SharedState(SharedStateOptions options) : options_(std::move(options)) {}

  // Before the authority is opened: what the Secret holds becomes the state directory's files. No
  // Secret: nothing.
  std::optional<Problem> fetch();
  // Later: true when the Secret holds another state than the state directory did, and now the
  // directory does too. What another replica wrote beats what we have.
  Parsed<bool> refresh();
  // After it was opened, and whenever its files may have changed: writes what is new, unless
  // another replica wrote meanwhile: then the problem says so, and refresh() takes its state. The
  // first time it makes the Secret; when another replica was quicker, our files are removed and the
  // problem says so: start again.
  std::optional<Problem> publish();

 private:
  Parsed<std::optional<nlohmann::json>> get();  // nothing: there is no Secret
  // Writes the files of `secret` that are not there yet. True: there were some, or some went.
  Parsed<bool> take(const nlohmann::json& secret);
  std::optional<Problem> create(const std::map<std::string, std::string>& files);
  std::optional<Problem> replace(const std::map<std::string, std::string>& files);
  void note_version(const source::kube::Reply& reply);
  std::optional<Problem> tell(const std::string& bundle);

  const SharedStateOptions options_;
  bool exists_ = false;                           // the Secret
  std::string version_;                           // its resourceVersion, as we last saw or wrote it
  std::map<std::string, std::string> published_;  // by file name
  std::string told_;                              // the bundle in the ConfigMap
};

}  // namespace weft::controlplane::ca
