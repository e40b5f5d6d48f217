#include "controlplane/translate/mtls.h"

#include <algorithm>
#include <tuple>

#include "source/core.h"

namespace weft::controlplane::translate {
namespace {

using model::MtlsMode;
using model::PeerAuthn;

mesh::StringMatch anyone() { return {mesh::StringMatch::Kind::kPresence, ""}; }

mesh::Policy deny(std::string ns, std::string name) {
  return {.name = std::move(name),
          .ns = std::move(ns),
          .scope = mesh::PolicyScope::kWorkloadSelector,
          .action = mesh::PolicyAction::kDeny};
}

// Oldest first; one without a timestamp counts as youngest; then by namespace and name, so that it
// never depends on order.
bool older(const PeerAuthn* a, const PeerAuthn* b) {
  auto rank = [](const PeerAuthn* one) {
    return std::tuple(one->from.created.empty(), one->from.created, one->ns, one->name);
  };
  return rank(a) < rank(b);
}

template <class Want>
const PeerAuthn* oldest(const std::vector<const PeerAuthn*>& all, Want want) {
  const PeerAuthn* best = nullptr;
  for (const PeerAuthn* one : all) {
    if (want(*one) && (best == nullptr || older(one, best))) best = one;
  }
  return best;
}

}  // namespace

mesh::Policy static_strict(const std::string& root_ns) {
  mesh::Policy policy = deny(root_ns, kStaticStrictName);
  mesh::Match match;
  match.not_principals = {anyone()};
  policy.rules = {{{{{match}}}}};
  return policy;
}

Mtls effective_mtls(const std::vector<const PeerAuthn*>& all, const std::vector<std::string>& roots,
                    const std::string& ns, const mesh::Labels& labels) {
  auto in_root = [&](const std::string& name) {
    return std::find(roots.begin(), roots.end(), name) != roots.end();
  };
  const PeerAuthn* own = oldest(all, [&](const PeerAuthn& one) {
    return one.ns == ns && source::selects(one.selector, labels);
  });
  const PeerAuthn* of_ns = oldest(all, [&](const PeerAuthn& one) {
    return one.ns == ns && one.selector.empty() && !in_root(ns);
  });
  const PeerAuthn* of_mesh =
      oldest(all, [&](const PeerAuthn& one) { return in_root(one.ns) && one.selector.empty(); });
  Mtls out{.by_workload = own};
  for (const PeerAuthn* one : {own, of_ns, of_mesh}) {
    if (one == nullptr || one->mode == MtlsMode::kUnset) continue;
    out.strict = one->mode == MtlsMode::kStrict;
    break;
  }
  return out;
}

const PeerAuthn* overruled_by(const std::vector<const PeerAuthn*>& all,
                              const std::vector<std::string>& roots, const PeerAuthn& one) {
  auto in_root = [&](const std::string& name) {
    return std::find(roots.begin(), roots.end(), name) != roots.end();
  };
  const PeerAuthn* first = oldest(all, [&](const PeerAuthn& other) {
    if (other.selector.empty() != one.selector.empty()) return false;
    if (one.selector.empty() && in_root(one.ns)) return in_root(other.ns);
    if (other.ns != one.ns) return false;
    // Whoever carries the labels of the one carries those of the other.
    return std::all_of(other.selector.begin(), other.selector.end(), [&](const auto& label) {
      const auto found = one.selector.find(label.first);
      return found != one.selector.end() && found->second == label.second;
    });
  });
  return first == nullptr || (first->ns == one.ns && first->name == one.name) ? nullptr : first;
}

std::optional<mesh::Policy> port_policy(const PeerAuthn& authn, bool strict) {
  mesh::Policy policy = deny(authn.ns, "converted_peer_authentication_" + authn.name);
  mesh::Match nobody;
  nobody.not_principals = {anyone()};
  mesh::Rule except{{{{nobody}}}};  // one rule: nobody, and not this port, and not that port
  for (const auto& [port, mode] : authn.ports) {
    if (mode == MtlsMode::kUnset || (mode == MtlsMode::kStrict) == strict) continue;
    mesh::Match match;
    if (strict) {
      match.not_destination_ports = {port};
      except.clauses.push_back({{match}});
    } else {
      match = nobody;
      match.destination_ports = {port};
      policy.rules.push_back({{{{match}}}});
    }
  }
  if (strict && except.clauses.size() > 1) policy.rules = {except};
  if (policy.rules.empty()) return std::nullopt;
  return policy;
}

}  // namespace weft::controlplane::translate
