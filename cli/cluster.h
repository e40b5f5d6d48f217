// Cluster: a person's requests to an API server, one after the other. Kinds are found by discovery,
// so that any object in a manifest has a path. One owner, one thread.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/kube/client.h"

namespace weft::cli {

inline constexpr const char* kFieldManager = "weftctl";

// "gateway.networking.k8s.io/v1", "Gateway", …: what an object says of itself.
struct Ref {
  std::string api_version, kind, ns, name;

  std::string str() const;  // "deployment.apps/weft-controlplane"
  auto operator<=>(const Ref&) const = default;
};
Ref ref_of(const nlohmann::json& object);

enum class Applied : std::uint8_t { kCreated, kChanged, kUnchanged };
const char* to_string(Applied what);  // "created" …

struct ApplyOptions {
  bool dry_run = false;  // on the server: admitted and validated, not stored
  bool force = false;    // take fields that others own
};

class Cluster {
 public:
  // `kubeconfig` empty: KUBECONFIG, ~/.kube/config, or what a pod is given.
  static Parsed<Cluster> open(const std::string& kubeconfig);

  const std::string& server() const { return server_; }

  // Errors name the object and have the server's words.
  Parsed<nlohmann::json> get_path(const std::string& path);
  Parsed<std::optional<nlohmann::json>> get(const Ref& ref);
  // `selector` as "labelSelector=…", URL-encoded, or empty. A kind that is not installed is none.
  Parsed<std::vector<nlohmann::json>> list(const std::string& api_version, const std::string& kind,
                                           const std::string& ns, const std::string& selector);
  struct Outcome {
    Applied what;
    nlohmann::json object;  // as the server has it
  };
  // Server-side apply, strictly validated.
  Parsed<Outcome> apply(const nlohmann::json& object, const ApplyOptions& options);
  Parsed<void> merge(const Ref& ref, const nlohmann::json& change);
  // False: it was not there. What belongs to it goes in the background.
  Parsed<bool> remove(const Ref& ref);
  Parsed<nlohmann::json> create(const std::string& path, const nlohmann::json& body);
  // True when the server knows the kind.
  Parsed<bool> knows(const std::string& api_version, const std::string& kind);
  void forget_kinds() { kinds_.clear(); }  // after CRDs were installed

 private:
  struct Kind {
    std::string plural;
    bool namespaced = false;
  };
  Cluster() = default;
  Parsed<std::optional<Kind>> find_kind(const std::string& api_version, const std::string& kind);
  // Nothing when the server does not know the kind.
  Parsed<std::optional<std::string>> path_of(const Ref& ref);
  source::kube::Reply call(const source::kube::Call& call);

  std::unique_ptr<source::kube::Client> client_;
  std::string server_;
  std::map<std::string, std::map<std::string, Kind>> kinds_;  // by apiVersion, by kind
};

}  // namespace weft::cli
