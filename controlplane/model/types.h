// The intermediate model: what every API front end translates into and every back end reads. Pure
// values. L4 kinds are the mesh's own (mesh::Workload, mesh::Service, mesh::Policy); this file adds
// where they came from and what they need.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/model/authz.h"
#include "mesh/labels.h"
#include "mesh/policy.h"
#include "source/object.h"

namespace weft::controlplane::model {

// Which object said so.
struct Provenance {
  source::ObjectKey key;
  std::string origin;   // "file:line"
  std::string created;  // creationTimestamp; older wins where only one can
};

// A Kubernetes condition: what became of an object, for people.
struct Condition {
  std::string type;
  bool status = true;
  std::string reason, message;
  bool operator==(const Condition&) const = default;
};

struct TargetRef {
  std::string group, kind, name;
};

enum class Action : std::uint8_t { kAllow, kDeny, kAudit, kCustom };

struct AuthzPolicy {
  Provenance from;
  std::string ns, name;
  Action action = Action::kAllow;
  mesh::Labels selector;  // empty: the whole namespace, or the mesh when in a root namespace
  std::vector<TargetRef> targets;  // not empty: only what they name
  // The part that L4 can judge, already failing closed where L7 is needed. Its scope is set. Absent
  // for AUDIT, which decides nothing.
  std::optional<mesh::Policy> l4;
  std::vector<std::string> l7_fields;  // field paths that only L7 can judge
  std::vector<AuthzRule> rules;        // in full, for waypoints
  std::vector<Condition> conditions;
  std::vector<std::string> unsupported, warnings;  // as model::Decoded's
};

enum class MtlsMode : std::uint8_t { kUnset, kDisable, kPermissive, kStrict };

struct PeerAuthn {
  Provenance from;
  std::string ns, name;
  mesh::Labels selector;
  MtlsMode mode = MtlsMode::kUnset;
  std::map<std::uint16_t, MtlsMode> ports;  // by the port that the pod listens on
};

}  // namespace weft::controlplane::model
