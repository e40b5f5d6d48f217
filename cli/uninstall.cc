// uninstall: every pod leaves the mesh first, by the agents' own order; then nodes, control plane,
// and what they made go.
#include <fmt/format.h>

#include <set>

#include "cli/bundle.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/installation.h"
#include "cli/rollout.h"
#include "mesh/leaving.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

// Labels that the control plane and we put on what we make.
constexpr const char* kMadeForWaypoints =
    "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dweft-controlplane";
constexpr const char* kOurCrds = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dweftctl";

struct Run {
  const Context& context;
  const UninstallArguments& arguments;
  Cluster cluster;
  Clock::time_point until{};

  void say(const Ref& ref) const {
    print(fmt::format("{}{}\n", ref.str(),
                      arguments.dry_run ? " would be removed (dry run)" : " removed"));
  }
};

Parsed<void> remove(Run& run, const Ref& ref) {
  if (run.arguments.dry_run) {
    const auto there = run.cluster.get(ref);
    if (!there) return std::unexpected(there.error());
    if (*there) run.say(ref);
    return {};
  }
  const auto gone = run.cluster.remove(ref);
  if (!gone) return std::unexpected(gone.error());
  if (*gone) run.say(ref);
  return {};
}

std::unexpected<Problem> not_in_time(Run& run, const std::string& what) {
  std::string text = what;
  if (const auto pods = run.cluster.list("v1", "Pod", kSystem, "")) {
    for (const auto& line : held_up(*pods)) text += "\n  " + line;
  }
  return problem(text);
}

Parsed<void> wait_pods_gone(Run& run, const char* name) {
  const auto gone = wait_until(run.until, [&]() -> Parsed<Step> {
    const auto pods = run.cluster.list(
        "v1", "Pod", kSystem, fmt::format("labelSelector=app.kubernetes.io%2Fname%3D{}", name));
    if (!pods) return std::unexpected(pods.error());
    return Step{pods->empty(),
                pods->empty() ? "" : fmt::format("{}: {} pods are ending", name, pods->size())};
  });
  if (!gone) return std::unexpected(gone.error());
  if (!*gone && !run.arguments.force)
    return not_in_time(
        run, fmt::format("pods of {} did not end in time; run it again, or with --force", name));
  return {};
}

// No pod is in the mesh afterwards, and no BPF program, link or map, and no plugin is on a node.
Parsed<void> free_nodes(Run& run) {
  const Ref ns{"v1", "Namespace", "", kSystem};
  const auto node = run.cluster.get({"apps/v1", "DaemonSet", kSystem, "weft-node"});
  if (!node) return std::unexpected(node.error());
  const Json daemonset = uninstall_daemonset(node->value_or(Json()));
  if (run.arguments.dry_run) return {};
  tell("every pod leaves the mesh");
  const Json change = {
      {"metadata", {{"annotations", {{std::string(mesh::kUninstalling), "true"}}}}}};
  if (auto said = run.cluster.merge(ns, change); !said) return said;
  const auto applied = run.cluster.apply(daemonset, {.dry_run = false, .force = true});
  if (!applied) return std::unexpected(applied.error());
  const auto free = wait_until(run.until, [&]() -> Parsed<Step> {
    const auto now = run.cluster.get(ref_of(daemonset));
    if (!now) return std::unexpected(now.error());
    const auto how = *now ? rollout(**now) : Rollout{false, "gone"};
    return Step{how.done, "nodes that are free: " + how.text};
  });
  if (!free) return std::unexpected(free.error());
  if (*free) return {};
  if (!run.arguments.force)
    return not_in_time(
        run,
        "not every node is free in time; nothing else was removed. Run it again, or with --force: "
        "a node that does not answer keeps what it has until it boots");
  tell("not every node is free; going on (--force)");
  return {};
}

// Nodes first: while one of ours runs there, it may be asked.
Parsed<void> remove_workloads(Run& run) {
  for (const auto& [kind, name] : {std::pair("DaemonSet", "weft-node"),
                                   {"DaemonSet", "weft-uninstall"},
                                   {"Deployment", "weft-controlplane"}}) {
    if (auto done = remove(run, {"apps/v1", kind, kSystem, name}); !done) return done;
    if (run.arguments.dry_run) continue;
    if (auto done = wait_pods_gone(run, name); !done) return done;
  }
  return {};
}

// Waypoints and gateways, in whatever namespace. The control plane that would make them again is
// gone.
Parsed<void> remove_waypoints(Run& run) {
  for (const auto& [api, kind] : {std::pair("apps/v1", "Deployment"),
                                  {"v1", "Service"},
                                  {"v1", "Secret"},
                                  {"v1", "ServiceAccount"}}) {
    const auto made = run.cluster.list(api, kind, "", kMadeForWaypoints);
    if (!made) return std::unexpected(made.error());
    for (const auto& one : *made) {
      if (auto done = remove(run, ref_of(one)); !done) return done;
    }
  }
  return {};
}

// What was applied, by the record of it; without one (kubectl apply -k), what any profile has.
Parsed<std::vector<Ref>> applied_objects(Run& run) {
  const auto record = find_installation(run.cluster);
  if (!record) return std::unexpected(record.error());
  std::vector<Ref> out;
  if (*record) out = (*record)->objects;
  std::set<Ref> known(out.begin(), out.end());
  for (const auto& profile : profiles()) {
    const auto objects = bundle(profile, {});
    if (!objects) return std::unexpected(objects.error());
    for (const auto& one : *objects) {
      if (known.insert(ref_of(one)).second) out.push_back(ref_of(one));
    }
  }
  return out;
}

// Labels on an object that a profile of another made, or a person of the same name, are not there.
Parsed<bool> is_ours(Run& run, const Ref& ref) {
  const auto there = run.cluster.get(ref);
  if (!there) return std::unexpected(there.error());
  if (!*there) return false;
  const auto labels = sandbox::labels(**there, {"metadata", "labels"});
  const auto part = labels.find("app.kubernetes.io/part-of");
  return part != labels.end() && part->second == "weft";
}

Parsed<void> remove_rest(Run& run) {
  const auto objects = applied_objects(run);
  if (!objects) return std::unexpected(objects.error());
  for (auto one = objects->rbegin(); one != objects->rend(); ++one) {
    if (one->kind == "Namespace") continue;  // ours goes last, others' stay
    const auto ours = is_ours(run, *one);
    if (!ours) return std::unexpected(ours.error());
    if (!*ours) continue;
    if (auto done = remove(run, *one); !done) return done;
  }
  return {};
}

Parsed<void> remove_crds(Run& run) {
  const auto crds =
      run.cluster.list("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", kOurCrds);
  if (!crds) return std::unexpected(crds.error());
  if (!run.arguments.purge) {
    if (!crds->empty())
      tell(fmt::format(
          "{} CRDs that weftctl installed stay, with the objects of theirs (--purge removes both)",
          crds->size()));
    return {};
  }
  for (const auto& one : *crds) {
    if (auto done = remove(run, ref_of(one)); !done) return done;
  }
  return {};
}

Parsed<void> remove_namespace(Run& run) {
  const Ref ns{"v1", "Namespace", "", kSystem};
  if (auto done = remove(run, ns); !done) return done;
  if (run.arguments.dry_run) return {};
  const auto gone = wait_until(run.until, [&]() -> Parsed<Step> {
    const auto now = run.cluster.get(ns);
    if (!now) return std::unexpected(now.error());
    return Step{!*now, *now ? fmt::format("namespace {} is ending", kSystem) : ""};
  });
  if (!gone) return std::unexpected(gone.error());
  if (!*gone)
    return problem(fmt::format("namespace {} is not gone in time; it is being deleted", kSystem));
  return {};
}

Parsed<void> all(Run& run) {
  const auto ns = run.cluster.get({"v1", "Namespace", "", kSystem});
  if (!ns) return std::unexpected(ns.error());
  const bool there = ns->has_value();
  if (there && str(**ns, {"metadata", "deletionTimestamp"}).empty()) {
    if (auto done = free_nodes(run); !done) return done;
    if (auto done = remove_workloads(run); !done) return done;
  }
  if (auto done = remove_waypoints(run); !done) return done;
  if (auto done = remove_rest(run); !done) return done;
  if (auto done = remove_crds(run); !done) return done;
  if (there) return remove_namespace(run);
  return {};
}

}  // namespace

int uninstall(const Context& context, const UninstallArguments& arguments) {
  const auto timeout = parse_duration(arguments.timeout);
  if (!timeout) return fail_with("--timeout: " + timeout.error().text), kUsage;
  auto cluster = Cluster::open(arguments.kubeconfig);
  if (!cluster) return fail_with(cluster.error());
  Run run{.context = context,
          .arguments = arguments,
          .cluster = std::move(*cluster),
          .until = Clock::now() + *timeout};
  if (auto done = all(run); !done) return fail_with(done.error());
  if (!arguments.dry_run)
    tell("Weft is gone. Labels and policies that people wrote stay, and mean nothing now");
  return kOk;
}

}  // namespace weft::cli
