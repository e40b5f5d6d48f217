// up, down, and the daemon that up starts.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "cli/commands.h"
#include "sandbox/cgroup.h"
#include "sandbox/cleanup.h"
#include "sandbox/daemon.h"
#include "sandbox/json.h"
#include "sandbox/process.h"

namespace weft::cli {
namespace {

namespace fs = std::filesystem;
using sandbox::Layout;

std::string own_directory() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().string();
}

Parsed<void> check_programs(const std::string& bin) {
  for (const char* name : {"weft-agent", "weft-ztunnel", "weft-controlplane"}) {
    const auto path = bin + "/" + name;
    if (access(path.c_str(), X_OK) != 0) {
      return problem(fmt::format(
          "{} is missing: build it (`make build`), or start without a mesh (`--no-mesh`)", path));
    }
  }
  return {};
}

std::string name_of(const Context& context) {
  return context.sandbox.empty() ? std::string(sandbox::kDefaultName) : context.sandbox;
}

// Reads the daemon's progress lines until "ready" or "error: …". Empty: ready.
std::string follow_progress(int fd, bool show) {
  std::string buffer;
  for (;;) {
    char chunk[1024];
    const auto n = read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return buffer.empty() ? "the sandbox's daemon ended without a word" : buffer;
    buffer.append(chunk, static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = buffer.find('\n')) != std::string::npos;) {
      const auto line = buffer.substr(0, end);
      if (line == "ready") return {};
      if (line.starts_with("error: ")) return buffer.substr(7);
      if (show) {
        std::fprintf(stderr, "  %s\n", line.c_str());
      }
      buffer.erase(0, end + 1);
    }
  }
}

Parsed<pid_t> start_daemon(const Layout& layout, const UpArguments& arguments, Fd& progress) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return problem(fmt::format("pipe: {}", std::strerror(errno)));
  progress = Fd(ends[0]);
  const Fd write_end(ends[1]);
  const auto mount = sandbox::cgroup2_mount();
  if (!mount) return problem(mount.error().text);
  const auto cgroup = *mount + "/" + layout.cgroup() + "/daemon";
  for (const auto& dir : {cgroup, layout.logs()}) {
    if (auto made = sandbox::make_directories(dir); !made) return problem(made.error().text);
  }
  const Fd log(open((layout.logs() + "/sandbox.log").c_str(),
                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  sandbox::Spawn what;
  what.program = "/proc/self/exe";
  what.argv = {"weft-sandbox",
               "--sandbox",
               layout.name,
               "sandbox",
               "daemon",
               "--nodes",
               std::to_string(arguments.nodes),
               "--progress",
               "3"};
  if (arguments.no_mesh) what.argv.push_back("--no-mesh");
  for (const auto& pair : arguments.set) {
    what.argv.push_back("--set");
    what.argv.push_back(pair);
  }
  what.env = sandbox::plain_environment();
  what.entry.cgroup_dir = cgroup;
  what.out = log.get();
  what.files_max = 1 << 16;  // a few for each pod
  // The pipe must survive exec under a known number.
  what.keep = write_end.get();
  return sandbox::spawn(what);
}

}  // namespace

int sandbox_up(const Context& context, const UpArguments& arguments) {
  if (geteuid() != 0)
    return fail_with("weftctl sandbox up makes namespaces and cgroups: run it as root");
  const Layout layout{name_of(context)};
  if (!sandbox::is_sandbox_name(layout.name)) {
    std::fprintf(stderr, "\"%s\" is no sandbox name: at most 20 letters, digits and dashes\n",
                 layout.name.c_str());
    return kUsage;
  }
  const auto settings = sandbox::parse_settings(arguments.set);
  if (!settings) {
    fail_with(settings.error());
    return kUsage;
  }
  if (!arguments.no_mesh) {
    if (auto there = check_programs(own_directory()); !there) return fail_with(there.error());
  }
  if (sandbox::is_up(layout)) {
    return fail_with(fmt::format(
        "sandbox {0} is up already: `weftctl sandbox down --sandbox {0}` removes it", layout.name));
  }
  if (sandbox::exists(layout)) {
    std::fprintf(stderr, "  removing what a sandbox %s that ended badly has left\n",
                 layout.name.c_str());
    if (auto removed = sandbox::destroy(layout); !removed) return fail_with(removed.error());
  }
  const auto start = Clock::now();
  Fd progress;
  const auto pid = start_daemon(layout, arguments, progress);
  if (!pid) return fail_with(pid.error());
  const auto error = follow_progress(progress.get(), !context.json());
  if (!error.empty()) {
    fail_with(fmt::format("sandbox {} did not start: {}", layout.name, error));
    // What the components said last is the best hint there is; it goes with the directory.
    const auto kept = fmt::format("/tmp/weft-sandbox-{}-logs", layout.name);
    std::error_code ignored;
    fs::remove_all(kept, ignored);
    fs::copy(layout.logs(), kept, fs::copy_options::recursive, ignored);
    std::fprintf(stderr, "logs are in %s\n", kept.c_str());
    if (auto removed = sandbox::destroy(layout); !removed) fail_with(removed.error());
    return kFailure;
  }
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  if (context.json()) {
    print(sandbox::Json{{"name", layout.name}, {"nodes", arguments.nodes}, {"milliseconds", ms}}
              .dump() +
          "\n");
  } else {
    print(fmt::format("sandbox {} is up: {} node{}{}, {}.{:01} s\n", layout.name, arguments.nodes,
                      arguments.nodes == 1 ? "" : "s", arguments.no_mesh ? ", no mesh" : "",
                      ms / 1000, ms % 1000 / 100));
  }
  return kOk;
}

int sandbox_down(const Context& context, bool all) {
  if (geteuid() != 0)
    return fail_with("weftctl sandbox down removes namespaces and cgroups: run it as root");
  std::vector<Layout> layouts;
  std::error_code error;
  if (all) {
    for (const auto& entry : fs::directory_iterator(std::string(sandbox::kStateRoot), error)) {
      if (entry.is_directory()) layouts.push_back({entry.path().filename().string()});
    }
  } else {
    auto found = find_sandbox(context);
    layouts.push_back(found ? *found : Layout{name_of(context)});
    if (!found && context.sandbox.empty() && !sandbox::exists(layouts[0]) &&
        fs::exists(std::string(sandbox::kStateRoot), error)) {
      return fail_with(found.error());
    }
  }
  int code = kOk;
  for (const auto& layout : layouts) {
    const auto removed = sandbox::take_down(layout);
    if (!removed)
      code = fail_with(removed.error());
    else if (context.json())
      print(sandbox::Json{{"name", layout.name}, {"removed", *removed}}.dump() + "\n");
    else
      print(fmt::format("sandbox {} {}\n", layout.name, *removed ? "is down" : "was not up"));
  }
  return code;
}

int sandbox_daemon(const Context& context, const UpArguments& arguments, int progress) {
  fcntl(progress, F_SETFD, FD_CLOEXEC);
  const auto settings = sandbox::parse_settings(arguments.set);
  if (!settings) return fail_with(settings.error());
  return sandbox::run_daemon({.layout = {context.sandbox},
                              .nodes = arguments.nodes,
                              .settings = *settings,
                              .mesh = !arguments.no_mesh,
                              .bin = own_directory(),
                              .progress = progress});
}

}  // namespace weft::cli
