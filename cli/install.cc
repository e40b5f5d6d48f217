// install, upgrade: the bundle to a cluster by server-side apply, then wait until it works.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/bundle.h"
#include "cli/check_cluster.h"
#include "cli/commands.h"
#include "cli/crds.h"
#include "cli/duration.h"
#include "cli/installation.h"
#include "cli/rollout.h"
#include "cli/table.h"
#include "mesh/leaving.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

constexpr auto kServedWithin = std::chrono::seconds(30);
constexpr const char* kStandIn = "default";  // for a dry run, while weft-system is not there

// One `install` or `upgrade`.
struct Run {
  const Context& context;
  const InstallArguments& arguments;
  std::vector<Json> objects;
  std::chrono::milliseconds timeout{};
  std::optional<Cluster> cluster = std::nullopt;
  std::vector<Json> made = {};  // what the server answered

  bool dry() const { return !arguments.dry_run.empty(); }
};

void show(const Context& context, const std::vector<Json>& objects) {
  if (context.json()) {
    print(Json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", objects}}.dump(2) + "\n");
    return;
  }
  std::string text;
  for (const auto& one : objects) text += (text.empty() ? "" : "---\n") + to_yaml(one);
  print(text);
}

// "created deployment.apps/weft-controlplane", when nobody asked for the objects themselves.
void say(const Run& run, Applied what, const Ref& ref) {
  if (run.context.output.empty() && what != Applied::kUnchanged)
    print(fmt::format("{} {}{}\n", ref.str(), to_string(what), run.dry() ? " (dry run)" : ""));
}

Parsed<Applied> apply(Run& run, const Json& object, const Ref& name) {
  auto done =
      run.cluster->apply(object, {.dry_run = run.dry(), .force = run.arguments.force_conflicts});
  if (!done) return std::unexpected(done.error());
  say(run, done->what, name);
  done->object["metadata"].erase("managedFields");
  run.made.push_back(std::move(done->object));
  return done->what;
}

// --- CRDs

bool wanted(const Run& run) { return run.arguments.crds != "none"; }

Parsed<std::vector<Json>> our_crds(const Run& run) {
  if (!wanted(run)) return std::vector<Json>();
  if (!run.arguments.crds.empty()) return read_crds(run.arguments.crds);
  const auto beside = crds_beside_us();
  if (beside.empty()) return std::vector<Json>();
  return read_crds(beside);
}

struct CrdTally {
  std::size_t same = 0;
  std::map<std::string, std::size_t> said;  // of many CRDs one line

  void note(const CrdPlan& plan, const std::string& group) {
    switch (plan.verdict) {
      case CrdVerdict::kMissing:
      case CrdVerdict::kOurs:
        return;
      case CrdVerdict::kSame:
        ++same;
        return;
      case CrdVerdict::kOlder:
        ++said[fmt::format(
            "{}: the cluster's CRDs are older ({}, this weftctl has {}) and not ours: they stay",
            group, plan.theirs, plan.ours)];
        return;
      case CrdVerdict::kNewer:
        ++said[fmt::format("{}: the cluster's CRDs are newer ({}, this weftctl has {}): they stay",
                           group, plan.theirs, plan.ours)];
        return;
      case CrdVerdict::kChannel:
        ++said[fmt::format("{}: the cluster's CRDs are of another channel ({}): they stay", group,
                           plan.theirs)];
        return;
    }
  }
};

// Established, and found by discovery, which is a moment later.
Parsed<void> wait_served(Run& run, const std::vector<Json>& crds) {
  const auto waited = wait_until(Clock::now() + kServedWithin, [&]() -> Parsed<Step> {
    run.cluster->forget_kinds();
    for (const auto& crd : crds) {
      for (const auto& version : sandbox::list(crd, {"spec", "versions"})) {
        if (!sandbox::truth(version, {"served"})) continue;
        const auto known =
            run.cluster->knows(str(crd, {"spec", "group"}) + "/" + str(version, {"name"}),
                               str(crd, {"spec", "names", "kind"}));
        if (!known) return std::unexpected(known.error());
        if (!*known) return Step{false, ""};
      }
    }
    return Step{true, ""};
  });
  if (!waited) return std::unexpected(waited.error());
  if (!*waited) return problem("the CRDs were applied and are not served in time");
  return {};
}

Parsed<void> install_crds(Run& run) {
  auto crds = our_crds(run);
  if (!crds) return std::unexpected(crds.error());
  CrdTally tally;
  std::vector<Json> installed;
  for (auto& crd : *crds) {
    const Ref ref = ref_of(crd);
    const auto theirs = run.cluster->get(ref);
    if (!theirs) return std::unexpected(theirs.error());
    const auto plan = plan_crd(crd, theirs->value_or(Json()));
    tally.note(plan, str(crd, {"spec", "group"}));
    if (plan.verdict != CrdVerdict::kMissing && plan.verdict != CrdVerdict::kOurs) continue;
    crd["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "weftctl";
    auto done = apply(run, crd, ref);
    if (!done) return std::unexpected(done.error());
    installed.push_back(crd);
  }
  for (const auto& [text, count] : tally.said) tell(fmt::format("{} ({} of them)", text, count));
  if (!run.dry() && !installed.empty()) return wait_served(run, installed);
  return {};
}

// L7 is asked for in objects of these kinds.
void say_what_is_missing(Run& run) {
  for (const auto& [api, kind, what] :
       {std::tuple("gateway.networking.k8s.io/v1", "HTTPRoute", "Gateway API"),
        {"security.istio.io/v1", "AuthorizationPolicy", "Istio's API"}}) {
    const auto known = run.cluster->knows(api, kind);
    if (known && !*known)
      tell(fmt::format("the cluster has no CRDs of {}: the mesh does without ({})", what,
                       wanted(run) ? "--crds DIR installs them" : "--crds=none"));
  }
}

// --- The bundle

// A dry run of an object whose namespace is not there yet is one in another namespace.
Parsed<void> apply_bundle(Run& run) {
  std::set<std::string> absent;
  for (const auto& object : run.objects) {
    const Ref ref = ref_of(object);
    const auto known = run.cluster->knows(ref.api_version, ref.kind);
    if (!known) return std::unexpected(known.error());
    if (!*known) {
      tell(fmt::format("{}: left out, the cluster does not know {}", ref.str(), ref.api_version));
      continue;
    }
    Json sent = object;
    if (run.dry() && absent.contains(ref.ns)) sent["metadata"]["namespace"] = kStandIn;
    const auto done = apply(run, sent, ref);
    if (!done) return std::unexpected(done.error());
    if (ref.kind == "Namespace" && *done == Applied::kCreated && run.dry()) absent.insert(ref.name);
  }
  return {};
}

// What an earlier version or another profile had and this one has not.
Parsed<void> prune(Run& run, const Installation& before) {
  std::set<Ref> now;
  for (const auto& one : run.objects) now.insert(ref_of(one));
  for (auto one = before.objects.rbegin(); one != before.objects.rend(); ++one) {
    if (now.contains(*one) || one->kind == "Namespace") continue;
    if (run.dry()) {
      if (run.context.output.empty()) print(one->str() + " would be removed (dry run)\n");
      continue;
    }
    const auto gone = run.cluster->remove(*one);
    if (!gone) return std::unexpected(gone.error());
    if (*gone && run.context.output.empty()) print(one->str() + " removed\n");
  }
  return {};
}

Parsed<bool> wait_ready(Run& run) {
  std::vector<Ref> wanted;
  for (const auto& one : run.objects) {
    const auto kind = str(one, {"kind"});
    if (kind == "Deployment" || kind == "DaemonSet") wanted.push_back(ref_of(one));
  }
  tell(fmt::format("waiting for {} to be ready", kSystem));
  return wait_until(Clock::now() + run.timeout, [&]() -> Parsed<Step> {
    Step all{true, ""};
    for (const auto& ref : wanted) {
      const auto now = run.cluster->get(ref);
      if (!now) return std::unexpected(now.error());
      const auto how = *now ? rollout(**now) : Rollout{false, "gone"};
      all.done = all.done && how.done;
      all.text += fmt::format("{}{}: {}", all.text.empty() ? "" : ", ", ref.name, how.text);
    }
    return all;
  });
}

int not_ready(Run& run) {
  tell(fmt::format("not ready after {} s; everything is applied, and goes on by itself",
                   run.timeout.count() / 1000));
  if (const auto pods = run.cluster->list("v1", "Pod", kSystem, "")) {
    for (const auto& line : held_up(*pods)) tell("  " + line);
  }
  return kNotInTime;
}

// --- The order of it

// Of two values of one key the later counts.
std::vector<std::string> merged(const std::vector<std::string>& before,
                                const std::vector<std::string>& now) {
  const auto key = [](const std::string& pair) { return pair.substr(0, pair.find('=')); };
  std::vector<std::string> out;
  for (const auto& pair : before) {
    if (std::ranges::none_of(now, [&](const std::string& one) { return key(one) == key(pair); }))
      out.push_back(pair);
  }
  out.insert(out.end(), now.begin(), now.end());
  return out;
}

// Reads what is there; an upgrade goes on with its profile and settings.
Parsed<std::optional<Installation>> look(Run& run, std::string& profile,
                                         std::vector<std::string>& set) {
  auto before = find_installation(*run.cluster);
  if (!before) return std::unexpected(before.error());
  const bool upgrade = run.arguments.upgrade;
  if (upgrade && !*before)
    return problem(fmt::format("{}: weftctl has not installed Weft there: use `weftctl install`",
                               run.cluster->server()));
  if (*before && compare_versions((*before)->version, WEFT_VERSION) > 0 && !run.arguments.force)
    return problem(fmt::format(
        "{}: a newer Weft is there ({}, this weftctl has {}): use its weftctl, or --force",
        run.cluster->server(), (*before)->version, WEFT_VERSION));
  if (upgrade && profile.empty()) profile = (*before)->profile;
  if (upgrade && !run.arguments.reset) set = merged((*before)->set, set);
  return before;
}

// An uninstall that was begun is called off.
Parsed<void> stay(Run& run) {
  const Ref ref{"v1", "Namespace", "", kSystem};
  const auto ns = run.cluster->get(ref);
  if (!ns) return std::unexpected(ns.error());
  if (!*ns) return {};
  if (!str(**ns, {"metadata", "deletionTimestamp"}).empty())
    return problem(
        fmt::format("namespace {} is being deleted: try again when it is gone", kSystem));
  if (!sandbox::labels(**ns, {"metadata", "annotations"})
           .contains(std::string(mesh::kUninstalling)) ||
      run.dry())
    return {};
  tell("an uninstall was begun; it is called off");
  if (auto off = run.cluster->merge(
          ref, {{"metadata", {{"annotations", {{mesh::kUninstalling, nullptr}}}}}});
      !off)
    return off;
  const auto gone = run.cluster->remove({"apps/v1", "DaemonSet", kSystem, "weft-uninstall"});
  if (!gone) return std::unexpected(gone.error());
  return {};
}

Parsed<void> change(Run& run, const std::string& profile, const std::vector<std::string>& set,
                    const std::optional<Installation>& before) {
  if (auto done = stay(run); !done) return done;
  if (auto done = install_crds(run); !done) return done;
  say_what_is_missing(run);
  if (auto done = apply_bundle(run); !done) return done;
  if (before) {
    if (auto done = prune(run, *before); !done) return done;
  }
  if (run.dry()) return {};
  Installation now{.version = WEFT_VERSION, .profile = profile, .set = set, .objects = {}};
  for (const auto& one : run.objects) now.objects.push_back(ref_of(one));
  const auto noted = run.cluster->apply(to_config_map(now), {.dry_run = false, .force = true});
  if (!noted) return std::unexpected(noted.error());
  return {};
}

bool says_usage(const InstallArguments& arguments, const Context& context) {
  if (!arguments.dry_run.empty() && arguments.dry_run != "client" &&
      arguments.dry_run != "server") {
    tell(fmt::format("--dry-run={}: expected client or server", arguments.dry_run));
    return true;
  }
  if (!context.output.empty() && context.output != "yaml" && context.output != "json") {
    tell(fmt::format("-o {}: no such format here; write yaml or json", context.output));
    return true;
  }
  return false;
}

}  // namespace

int install(const Context& context, const InstallArguments& arguments) {
  if (says_usage(arguments, context)) return kUsage;
  std::string profile = arguments.profile;
  auto set = arguments.set;
  const auto timeout = parse_duration(arguments.timeout);
  if (!timeout) return fail_with("--timeout: " + timeout.error().text), kUsage;
  // What is written wrong is wrong without any cluster.
  if (const auto tried = bundle(profile.empty() ? "default" : profile, set); !tried)
    return fail_with(tried.error()), kUsage;
  Run run{.context = context, .arguments = arguments, .objects = {}, .timeout = *timeout};
  std::optional<Installation> before;
  if (arguments.dry_run != "client") {
    auto cluster = Cluster::open(arguments.kubeconfig);
    if (!cluster) return fail_with(cluster.error());
    run.cluster.emplace(std::move(*cluster));
    if (!arguments.skip_checks) {
      if (const auto bad = what_forbids(*run.cluster); !bad.empty())
        return fail_with(bad +
                         "\n`weftctl check --pre` says more; --skip-checks goes on all the same");
    }
    auto there = look(run, profile, set);
    if (!there) return fail_with(there.error());
    before = std::move(*there);
  }
  if (profile.empty()) profile = "default";
  auto objects = bundle(profile, set);
  if (!objects) return fail_with(objects.error());
  run.objects = std::move(*objects);
  if (arguments.dry_run == "client") return show(context, run.objects), kOk;
  if (auto done = change(run, profile, set, before); !done) return fail_with(done.error());
  if (!context.output.empty()) show(context, run.made);
  if (run.dry() || !arguments.wait) return kOk;
  const auto ready = wait_ready(run);
  if (!ready) return fail_with(ready.error());
  if (!*ready) return not_ready(run);
  tell(
      fmt::format("Weft {} is there (profile {}). Enroll a namespace: kubectl label namespace NAME "
                  "weft.dev/mesh=enabled",
                  WEFT_VERSION, profile));
  return kOk;
}

}  // namespace weft::cli
