// exec: this process moves into the pod's cgroup and namespaces and becomes the command, so
// streams, signals and the exit code are its own.
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/commands.h"
#include "cli/objects.h"
#include "sandbox/json.h"
#include "sandbox/process.h"

namespace weft::cli {
namespace {

// A container's root directory is that of its mount namespace, which setns() enters.
std::string enter_container(const sandbox::Json& target) {
  const auto pid = static_cast<pid_t>(target["pid"].get<long>());
  const Fd mnt = sandbox::open_namespace(pid, "mnt"), net = sandbox::open_namespace(pid, "net");
  const Fd uts = sandbox::open_namespace(pid, "uts"),
           cgroup = sandbox::open_namespace(pid, "cgroup");
  if (!mnt || !net || !uts || !cgroup) return "the container has just ended";
  return sandbox::enter({.cgroup_dir = sandbox::str(target, {"cgroup"}),
                         .mnt = mnt.get(),
                         .net = net.get(),
                         .uts = uts.get(),
                         .cgroup = cgroup.get()});
}

}  // namespace

int sandbox_exec(const Context& context, const ExecArguments& arguments) {
  if (arguments.command.empty()) {
    std::fprintf(stderr, "error: you must specify at least one command for the container\n");
    return kUsage;
  }
  const auto named = pod_named(context, arguments.pod, arguments.ns);
  if (!named) return fail_with(named.error());
  const auto& pod = *named;
  const auto target = ask(context, {{"cmd", "exec"},
                                    {"namespace", arguments.ns},
                                    {"name", pod},
                                    {"container", arguments.container}});
  if (!target) return fail_with(target.error());
  if (const auto text = enter_container(*target); !text.empty())
    return fail_with(fmt::format("cannot enter pod {}: {}", pod, text));
  if (chdir(sandbox::str(*target, {"cwd"}, "/").c_str()) != 0 && chdir("/") != 0)
    return fail_with("cannot change directory");
  std::vector<std::string> lines;
  for (const auto& line : (*target)["env"]) lines.push_back(line.get<std::string>());
  if (const char* term = getenv("TERM")) lines.push_back(std::string("TERM=") + term);
  std::vector<char*> argv, env;
  for (const auto& word : arguments.command) argv.push_back(const_cast<char*>(word.c_str()));
  for (auto& line : lines) {
    if (line.starts_with("PATH=")) setenv("PATH", line.c_str() + 5, 1);
    env.push_back(line.data());
  }
  argv.push_back(nullptr);
  env.push_back(nullptr);
  execvpe(argv[0], argv.data(), env.data());
  const int error = errno;
  std::fprintf(stderr, "cannot run \"%s\" in pod %s: %s\n", argv[0], pod.c_str(),
               std::strerror(error));
  return error == ENOENT ? 127 : 126;
}

}  // namespace weft::cli
