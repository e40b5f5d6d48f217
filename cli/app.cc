#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "cli/bundle.h"
#include "cli/commands.h"
#include "cli/words.h"
#include "sandbox/settings.h"

namespace weft::cli {
namespace {

// Everything the options write into. One per run.
struct Line {
  Context context;
  UpArguments up;
  ObjectArguments objects;
  ExecArguments exec;
  ComponentArguments component;
  LogArguments logs;
  CertificateArguments certificate;
  ExplainArguments explain;
  int progress = -1;
  CheckArguments check;
  InstallArguments install;
  UninstallArguments uninstall;
  bool down_all = false, ignored = false;
  std::string shell;
  std::function<int()> command;
};

// WEFT_SANDBOX is looked at once, after the line is read (`finish`): as an option's envname it
// would beat the same flag given one command further left.
void add_name(CLI::App* app, Line& line, const char* flags) {
  app->add_option(flags, line.context.sandbox,
                  "Which sandbox (default: WEFT_SANDBOX, else the one that is up)");
}

void add_output(CLI::App* app, Line& line) {
  app->add_option("-o,--output", line.context.output,
                  "json; of get also yaml, wide, name, jsonpath=…");
}

CLI::App* add(CLI::App* parent, Line& line, const char* name, const char* help,
              std::function<int()> command) {
  auto* app = parent->add_subcommand(name, help);
  add_output(app, line);
  // The innermost command speaks first: `ca rotate` is not `ca`.
  app->callback([&line, command = std::move(command)] {
    if (!line.command) line.command = command;
  });
  return app;
}

void add_namespace(CLI::App* app, std::string& ns) {
  app->add_option("-n,--namespace", ns, "Namespace")->capture_default_str();
}

void add_object_options(CLI::App* app, Line& line) {
  add_namespace(app, line.objects.ns);
  app->add_option("-l,--selector", line.objects.selector, "Only objects with these labels");
  app->add_flag("-A,--all-namespaces", line.objects.all_namespaces, "In every namespace");
  app->add_flag("--ignore-not-found", line.objects.ignore_not_found,
                "An object that is not there is no error");
}

void add_object_commands(CLI::App* sandbox, Line& line) {
  auto& o = line.objects;
  auto* apply = add(sandbox, line, "apply", "Create or change objects from manifests",
                    [&line] { return sandbox_apply(line.context, line.objects); });
  apply->add_option("-f,--filename", o.files, "File, directory or - for stdin")
      ->required()
      ->allow_extra_args(false);
  add_namespace(apply, o.ns);

  auto* remove = add(sandbox, line, "delete", "Delete objects",
                     [&line] { return sandbox_delete(line.context, line.objects); });
  remove->add_option("-f,--filename", o.files, "File, directory or -")->allow_extra_args(false);
  remove->add_option("object", o.names, "KIND NAME… or KIND/NAME…");
  add_object_options(remove, line);
  remove->add_flag("--all", o.all, "All of this kind in the namespace");
  remove->add_option("--wait", o.wait, "Return when they are gone")->default_val(true);
  remove->add_option("--grace-period", o.grace, "Seconds between SIGTERM and SIGKILL");
  remove->add_option("--timeout", o.timeout, "How long to wait");
  remove->add_flag("--force", line.ignored, "Accepted; use --grace-period=0");

  auto* get = add(sandbox, line, "get", "Show objects",
                  [&line] { return sandbox_get(line.context, line.objects); });
  get->add_option("object", o.names, "KIND [NAME…] or KIND/NAME…")->required();
  add_object_options(get, line);
  get->add_flag("--no-headers", o.no_headers, "Rows only");

  for (const auto& [name, field] :
       {std::pair("label", "labels"), std::pair("annotate", "annotations")}) {
    auto* app = add(sandbox, line, name, "Set (key=value) or remove (key-)",
                    [&line, field] { return sandbox_annotate(line.context, line.objects, field); });
    app->add_option("object", o.names, "KIND NAME key=value|key-…")->required();
    add_namespace(app, o.ns);
    app->add_flag("--overwrite", line.ignored, "Accepted; always so");
  }

  auto* wait = add(sandbox, line, "wait", "Wait for a condition",
                   [&line] { return sandbox_wait(line.context, line.objects); });
  wait->add_option("object", o.names, "KIND NAME… or KIND/NAME…")->required();
  wait->add_option("--for", o.condition,
                   "CONDITION, condition=NAME[=VALUE], delete, jsonpath={…}=VALUE")
      ->required();
  wait->add_option("--timeout", o.timeout, "Default 30s");
  wait->add_flag("--all", o.all, "All of this kind");
  add_object_options(wait, line);
}

void add_process_commands(CLI::App* sandbox, Line& line) {
  auto* exec = add(sandbox, line, "exec", "Run a command in a pod",
                   [&line] { return sandbox_exec(line.context, line.exec); });
  add_namespace(exec, line.exec.ns);
  exec->add_option("-c,--container", line.exec.container, "Container (default: the first)");
  exec->add_flag("-i,--stdin,-t,--tty", line.ignored, "Accepted; always so");
  exec->add_option("pod", line.exec.pod, "Pod, or KIND/NAME: a pod of it")->required();
  // For --help: take_command() has taken it by then.
  exec->add_option("command", line.exec.command, "Command and its arguments, after --");

  for (const char* action : {"stop", "start", "restart"}) {
    auto* app = add(sandbox, line, action, "A component: agent, ztunnel, controlplane, envoy, dns",
                    [&line, action] {
                      line.component.action = action;
                      return sandbox_component(line.context, line.component);
                    });
    app->add_option("component", line.component.component, "Which")->required();
    app->add_option("--node", line.component.node, "Only on this node");
    app->add_option("--signal", line.component.signal, "Instead of TERM");
    app->add_option("--timeout", line.component.timeout, "How long to wait")->capture_default_str();
  }

  auto* logs = add(sandbox, line, "logs", "Show the log of a component or a pod",
                   [&line] { return sandbox_logs(line.context, line.logs); });
  logs->add_option("name", line.logs.name,
                   "agent, ztunnel, controlplane, dns, envoy, a pod or KIND/NAME")
      ->required();
  add_namespace(logs, line.logs.ns);
  logs->add_option("-c,--container", line.logs.container, "Container (default: the first)");
  logs->add_option("--node", line.logs.node, "Of a component");
  logs->add_flag("-f,--follow", line.logs.follow, "Go on as it grows");
  logs->add_option("--tail", line.logs.tail, "Only the last lines");

  auto* certificate = add(sandbox, line, "certificate", "Key, chain and roots of a workload",
                          [&line] { return sandbox_certificate(line.context, line.certificate); });
  certificate->add_option("serviceaccount", line.certificate.account, "ServiceAccount")->required();
  add_namespace(certificate, line.certificate.ns);
  certificate
      ->add_option("--out", line.certificate.out,
                   "Directory to write key.pem, chain.pem and roots.pem to")
      ->required();
}

void add_up_options(CLI::App* app, Line& line) {
  app->add_option("--nodes", line.up.nodes, "How many nodes")
      ->capture_default_str()
      ->check(CLI::Range(1, sandbox::kNodesMax));
  app->add_option("--set", line.up.set, "KEY=VALUE, see below")->allow_extra_args(false);
  app->add_flag("--no-mesh", line.up.no_mesh, "Pods and Services only, nothing of Weft");
}

void add_sandbox(CLI::App* app, Line& line) {
  auto* sandbox =
      app->add_subcommand("sandbox", "Nodes and pods on this machine, from Kubernetes manifests");
  sandbox->require_subcommand(1);
  add_output(sandbox, line);
  add_name(sandbox, line, "--name,--sandbox");
  auto* up = add(sandbox, line, "up", "Make a sandbox",
                 [&line] { return sandbox_up(line.context, line.up); });
  add_up_options(up, line);
  up->footer("Keys of --set:\n" + sandbox::settings_help());
  auto* down = add(sandbox, line, "down", "Remove a sandbox and all that is in it",
                   [&line] { return sandbox_down(line.context, line.down_all); });
  down->add_flag("--all", line.down_all, "Every sandbox of this machine");
  auto* daemon = add(sandbox, line, "daemon", "",
                     [&line] { return sandbox_daemon(line.context, line.up, line.progress); });
  add_up_options(daemon, line);
  daemon->add_option("--progress", line.progress);
  daemon->group("");
  add_object_commands(sandbox, line);
  add_process_commands(sandbox, line);
  for (auto* command : sandbox->get_subcommands({})) add_name(command, line, "--name,--sandbox");
}

CLI::App* add_explain(CLI::App* parent, Line& line) {
  auto* app = add(parent, line, "explain",
                  "What becomes of a request, and which objects decide (exit 80: it is refused)",
                  [&line] { return explain(line.context, line.explain); });
  auto& e = line.explain;
  app->add_option("source", e.source, "POD, NS/POD, deployment/NAME or NS/deployment/NAME")
      ->required();
  app->add_option("destination", e.destination,
                  "SERVICE, SERVICE.NS, NS/SERVICE, pod/NAME or an address, with :PORT")
      ->required();
  add_namespace(app, e.ns);
  app->add_option("-X,--method", e.method, "Method of the request")->capture_default_str();
  app->add_option("-p,--path", e.path, "Path of the request, query included")
      ->capture_default_str();
  app->add_option("-H,--header", e.headers, "NAME=VALUE; may come several times")
      ->allow_extra_args(false);
  app->footer(
      "Says from the control plane's knowledge what the data plane does: path, route, policies.\n"
      "Exit codes: 0 it gets an answer as routed, 80 it is refused or leads nowhere, 1 cannot "
      "tell.");
  return app;
}

void add_kubeconfig(CLI::App* app, std::string& into, const char* help) {
  app->add_option("--kubeconfig", into, help);
}
constexpr const char* kWhichCluster = "Which cluster (default: KUBECONFIG, else ~/.kube/config)";

void add_install(CLI::App* parent, Line& line, bool upgrade) {
  auto& i = line.install;
  auto* app =
      add(parent, line, upgrade ? "upgrade" : "install",
          upgrade ? "Bring the Weft of a cluster to this version, with the settings that it has"
                  : "Put Weft on a cluster, by server-side apply",
          [&line, upgrade] {
            line.install.upgrade = upgrade;
            return install(line.context, line.install);
          });
  add_kubeconfig(app, i.kubeconfig, kWhichCluster);
  app->add_option("--profile", i.profile,
                  std::string("default, istio-compat, minimal or high-availability (default: ") +
                      (upgrade ? "what is there)" : "default)"));
  app->add_option("--set", i.set, "KEY=VALUE, see below; may come several times")
      ->allow_extra_args(false);
  app->add_option("--crds", i.crds,
                  "CRDs of Gateway API and Istio: file or directory, or none (default: those "
                  "beside this program)");
  app->add_option("--dry-run", i.dry_run,
                  "client: show what would be applied; server: have it admitted, and not stored");
  app->add_flag("--wait,!--no-wait", i.wait, "Return when it is ready (default)");
  app->add_option("--timeout", i.timeout, "How long to wait")->capture_default_str();
  app->add_flag("--skip-checks", i.skip_checks, "Not what `check --pre` asks first");
  app->add_flag("--force-conflicts", i.force_conflicts, "Take fields that others have set");
  app->add_flag("--force", i.force, "Over a newer Weft too");
  if (upgrade) app->add_flag("--reset-values", i.reset, "Forget the --set of before");
  app->footer("Keys of --set:\n" + bundle_settings_help() +
              "Exit codes: 0 it is ready, 1 failed, 64 wrong usage, 75 all is applied and not "
              "ready in time.");
}

void add_installation(CLI::App* app, Line& line) {
  add_install(app, line, false);
  add_install(app, line, true);
  auto* remove =
      add(app, line, "uninstall", "Take Weft off a cluster: traffic goes on, nothing stays",
          [&line] { return uninstall(line.context, line.uninstall); });
  add_kubeconfig(remove, line.uninstall.kubeconfig, kWhichCluster);
  remove->add_flag("--purge", line.uninstall.purge,
                   "The CRDs that weftctl installed too, and every object of theirs");
  remove->add_flag("--dry-run", line.uninstall.dry_run, "Only say what would go");
  remove->add_flag("--force", line.uninstall.force, "Go on without nodes that do not answer");
  remove->add_option("--timeout", line.uninstall.timeout, "How long to wait, all in all")
      ->capture_default_str();
}

// What the whole line means, once it is read. False: said what is wrong with it.
bool finish(Line& line, bool get, bool installs) {
  const char* named = std::getenv("WEFT_SANDBOX");
  if (line.context.sandbox.empty() && named != nullptr) line.context.sandbox = named;
  const auto& output = line.context.output;
  if (output.empty() || output == "json" || output == "wide") return true;
  if (installs && output == "yaml") return true;
  if (get && (output == "yaml" || output == "name" || output.starts_with("jsonpath="))) return true;
  std::fprintf(stderr, "-o %s: no such format here; write %s\n", output.c_str(),
               get        ? "json, yaml, wide, name or jsonpath={…}"
               : installs ? "json or yaml"
                          : "json");
  return false;
}

// A command that changes a sandbox nobody named says which one it found.
void say_which(const CLI::App& app, Line& line) {
  if (!line.context.sandbox.empty() || line.down_all) return;
  const auto chosen = [](const CLI::App& parent, std::initializer_list<const char*> commands) {
    return std::any_of(commands.begin(), commands.end(),
                       [&](const char* name) { return parent.got_subcommand(name); });
  };
  const bool changes =
      (app.got_subcommand("sandbox") &&
       chosen(*app.get_subcommand("sandbox"),
              {"apply", "delete", "label", "annotate", "stop", "start", "restart"})) ||
      (app.got_subcommand("ca") && chosen(*app.get_subcommand("ca"), {"rotate"}));
  if (!changes) return;
  const auto found = find_sandbox(line.context);
  if (!found) return;  // the command says it
  line.context.sandbox = found->name;
  std::fprintf(stderr, "sandbox %s\n", found->name.c_str());
}

// What CLI11 reads, last word first; a command to run is none of it. `help sandbox get` is `sandbox
// get --help`.
std::vector<std::string> words_of(int argc, char** argv, Line& line) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (!words.empty() && words[0] == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  line.exec.command = take_command(words);
  std::reverse(words.begin(), words.end());
  return words;
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app("weftctl: a mesh on this machine, from the outside", "weftctl");
  Line line;
  app.require_subcommand(1);
  app.set_version_flag("--version", "weftctl " WEFT_VERSION, "Version of this weftctl");
  add_name(&app, line, "--sandbox");
  add_output(&app, line);
  auto* check_app =
      add(&app, line, "check", "Can this machine, or a cluster, run a mesh, and does it?",
          [&line] { return check(line.context, line.check); });
  check_app->add_flag("--pre", line.check.pre, "Only what must be there before");
  add_kubeconfig(check_app, line.check.kubeconfig,
                 "The cluster to check (default: KUBECONFIG, else this machine)");
  add_installation(&app, line);
  auto* status_app = add(&app, line, "status", "Who is enrolled, since when, why not",
                         [&line] { return status(line.context); });
  auto* ca_app = add(&app, line, "ca", "The roots that the mesh trusts",
                     [&line] { return ca(line.context, false); });
  add(ca_app, line, "status", "Which roots there are", [&line] { return ca(line.context, false); });
  add(ca_app, line, "rotate", "The next step from the old root to a new one",
      [&line] { return ca(line.context, true); });
  auto* analyze_app =
      add(&app, line, "analyze", "What is wrong with objects, by file and line (exit 79: errors)",
          [&line] { return analyze(line.context, line.objects); });
  analyze_app->add_option("-f,--filename", line.objects.files, "File, directory or - for stdin")
      ->allow_extra_args(false);
  add_namespace(analyze_app, line.objects.ns);
  analyze_app->add_flag("-A,--all-namespaces", line.objects.all_namespaces, "In every namespace");
  auto* explain_app = add_explain(&app, line);
  auto* version_app = add(&app, line, "version", "Versions of client and server",
                          [&line] { return version(line.context); });
  for (auto* command : ca_app->get_subcommands({})) add_name(command, line, "--sandbox");
  auto* completion_app = app.add_subcommand("completion", "Shell completion: bash, zsh or fish");
  completion_app->add_option("shell", line.shell)->required();
  completion_app->callback([&line] { line.command = [&line] { return completion(line.shell); }; });
  for (auto* command : {check_app, status_app, ca_app, version_app, analyze_app, explain_app})
    add_name(command, line, "--sandbox");
  add_sandbox(&app, line);
  try {
    app.parse(words_of(argc, argv, line));
  } catch (const CLI::RequiredError& error) {
    const auto words = app.remaining(true);
    if (words.empty()) return app.exit(error), kUsage;
    if (words[0].starts_with("-")) {
      std::fprintf(stderr, "weftctl: there is no option %s before the command\n", words[0].c_str());
      return kUsage;
    }
    std::fprintf(stderr,
                 "weftctl: there is no command \"%s\"; `weftctl --help` and `weftctl sandbox "
                 "--help` list them\n",
                 words[0].c_str());
    return kUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  const bool get =
      app.got_subcommand("sandbox") && app.get_subcommand("sandbox")->got_subcommand("get");
  const bool installs = app.got_subcommand("install") || app.got_subcommand("upgrade");
  if (!finish(line, get, installs)) return kUsage;
  say_which(app, line);
  return line.command ? line.command() : kUsage;
}

}  // namespace weft::cli
