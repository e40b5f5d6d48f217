// Every command as a function: arguments in, exit code out. app.cc reads the command line and calls
// these.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace weft::cli {

struct UpArguments {
  int nodes = 2;
  std::vector<std::string> set;
  bool no_mesh = false;
};
int sandbox_up(const Context& context, const UpArguments& arguments);
int sandbox_down(const Context& context, bool all);
// Hidden: what `up` starts in the background.
int sandbox_daemon(const Context& context, const UpArguments& arguments, int progress);

struct ObjectArguments {
  std::vector<std::string> names;  // KIND NAME…, or KIND/NAME…
  std::string ns = "default";
  bool all_namespaces = false;
  bool all = false;
  std::vector<std::string> files;
  std::string selector;
  bool wait = true;
  bool ignore_not_found = false;
  bool no_headers = false;
  long grace = -1;
  std::string condition;  // of wait
  std::string timeout;
};
int sandbox_apply(const Context& context, const ObjectArguments& arguments);
int sandbox_delete(const Context& context, const ObjectArguments& arguments);
int sandbox_get(const Context& context, const ObjectArguments& arguments);
int sandbox_annotate(const Context& context, const ObjectArguments& arguments, const char* field);
int sandbox_wait(const Context& context, const ObjectArguments& arguments);

struct ExecArguments {
  std::string pod, ns = "default", container;
  std::vector<std::string> command;  // byte for byte as it was given
};
// Becomes the command: returns only when that fails.
int sandbox_exec(const Context& context, const ExecArguments& arguments);

struct ComponentArguments {
  std::string action, component, node, signal;
  std::string timeout = "40s";
};
int sandbox_component(const Context& context, const ComponentArguments& arguments);

struct LogArguments {
  std::string name, ns = "default", container, node;
  bool follow = false;
  long tail = -1;
};
int sandbox_logs(const Context& context, const LogArguments& arguments);

struct CertificateArguments {
  std::string account, ns = "default", out;
};
int sandbox_certificate(const Context& context, const CertificateArguments& arguments);

// -f: of these manifests, beside what a sandbox holds when one is up; else of the sandbox. 79 when
// a finding is an error.
int analyze(const Context& context, const ObjectArguments& arguments);

struct ExplainArguments {
  std::string source, destination, ns = "default";
  std::string method = "GET", path = "/";
  std::vector<std::string> headers;  // "NAME=VALUE"
};
// What becomes of a connection or request, and why. 80 when it does not get through.
int explain(const Context& context, const ExplainArguments& arguments);

struct CheckArguments {
  bool pre = false;
  std::string kubeconfig;  // --kubeconfig

  // --kubeconfig does; KUBECONFIG too, unless a sandbox is named. Else this machine is meant.
  bool names_a_cluster(const Context& context) const;
};
int check(const Context& context, const CheckArguments& arguments);

struct InstallArguments {
  std::string kubeconfig;  // empty: KUBECONFIG, ~/.kube/config, a pod's
  std::string profile;     // empty: default; of an upgrade, what is there
  std::vector<std::string> set;
  std::string dry_run;  // "", client, server
  std::string crds;     // file or directory; "none"; empty: beside this program
  std::string timeout = "5m";
  bool wait = true;
  bool skip_checks = false, force_conflicts = false;
  bool upgrade = false;  // something is there already
  bool reset = false;    // of an upgrade: forget the settings of before
  bool force = false;    // over a newer one
};
// 75: all is applied, and not ready in time.
int install(const Context& context, const InstallArguments& arguments);

struct UninstallArguments {
  std::string kubeconfig;
  std::string timeout = "5m";
  bool purge = false;  // CRDs that weftctl installed too, and every object of theirs
  bool dry_run = false;
  bool force = false;  // nodes that do not answer are left behind
};
int uninstall(const Context& context, const UninstallArguments& arguments);

int status(const Context& context);
int version(const Context& context);
// The roots now; `rotate`: the next step of A → A+B → B.
int ca(const Context& context, bool rotate);
int completion(const std::string& shell);

}  // namespace weft::cli
