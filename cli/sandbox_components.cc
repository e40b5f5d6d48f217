// stop, start, restart, signal; logs; certificate.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <thread>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/objects.h"
#include "sandbox/client.h"
#include "sandbox/file.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

constexpr auto kPoll = std::chrono::milliseconds(15);

// "KILL", "SIGKILL", "9" → 9; 0 if it is none.
int signal_number(const std::string& text) {
  const auto name = text.starts_with("SIG") ? text.substr(3) : text;
  for (int s = 1; s < NSIG; ++s) {
    const char* abbreviation = sigabbrev_np(s);
    if (name == std::to_string(s) || (abbreviation != nullptr && name == abbreviation)) return s;
  }
  return 0;
}

bool stays_alive(int signal) {
  return signal == SIGSTOP || signal == SIGCONT || signal == SIGHUP || signal == SIGUSR1 ||
         signal == SIGUSR2;
}

bool is_meant(const Json& state, const ComponentArguments& arguments) {
  if (str(state, {"name"}) != arguments.component) return false;
  const auto node = str(state, {"node"});
  return arguments.node.empty() || node.empty() || node == arguments.node;
}

// Waits until every component meant is in `state` and, for a restart, is another process than
// before.
int wait_for_state(const Context& context, const ComponentArguments& arguments,
                   const std::string& state, const std::map<std::string, long>& before) {
  const auto limit = parse_duration(arguments.timeout);
  if (!limit) return fail_with(limit.error());
  const auto deadline = Deadline::after(Clock::now(), *limit);
  for (;;) {
    const auto answer = ask(context, {{"cmd", "status"}});
    if (!answer) return fail_with(answer.error());
    std::string waiting;
    for (const auto& c : (*answer)["components"]) {
      if (!is_meant(c, arguments)) continue;
      const auto old = before.find(str(c, {"node"}));
      const bool same =
          old != before.end() && old->second > 0 && old->second == sandbox::number(c, {"pid"});
      if (str(c, {"state"}) != state || same)
        waiting = fmt::format("{} {}: {} {}", str(c, {"name"}), str(c, {"node"}), str(c, {"state"}),
                              str(c, {"lastEnd"}));
    }
    if (waiting.empty()) return kOk;
    if (deadline.passed(Clock::now()))
      return fail_with(fmt::format("timed out: {}; look at `weftctl sandbox logs {}`", waiting,
                                   arguments.component));
    std::this_thread::sleep_for(kPoll);
  }
}

void print_tail(FILE* file, long lines) {
  if (lines < 0) return;
  std::fseek(file, 0, SEEK_END);
  long at = std::ftell(file), seen = 0;
  while (at > 0 && seen <= lines) {
    std::fseek(file, --at, SEEK_SET);
    if (std::fgetc(file) == '\n') ++seen;
  }
  std::fseek(file, at == 0 && seen <= lines ? 0 : at + 1, SEEK_SET);
}

}  // namespace

int sandbox_component(const Context& context, const ComponentArguments& arguments) {
  const int signal = arguments.signal.empty() ? SIGTERM : signal_number(arguments.signal);
  if (signal == 0) {
    std::fprintf(stderr, "--signal %s: there is no such signal\n", arguments.signal.c_str());
    return kUsage;
  }
  const auto before = ask(context, {{"cmd", "status"}});
  if (!before) return fail_with(before.error());
  std::map<std::string, long> pids;
  for (const auto& c : (*before)["components"]) {
    if (is_meant(c, arguments)) pids[str(c, {"node"})] = sandbox::number(c, {"pid"}, -1);
  }
  const bool only_signal = arguments.action == "stop" && stays_alive(signal);
  const auto answer = ask(context, {{"cmd", "component"},
                                    {"action", only_signal ? "signal" : arguments.action},
                                    {"component", arguments.component},
                                    {"node", arguments.node},
                                    {"signal", signal}});
  if (!answer) return fail_with(answer.error());
  if (!only_signal) {
    if (arguments.action != "restart") pids.clear();
    const int waited =
        wait_for_state(context, arguments, arguments.action == "stop" ? "stopped" : "ready", pids);
    if (waited != kOk) return waited;
  }
  const char* done = only_signal                   ? "got the signal"
                     : arguments.action == "stop"  ? "stopped"
                     : arguments.action == "start" ? "started"
                                                   : "restarted";
  if (context.json())
    print(
        Json{{"component", arguments.component}, {"node", arguments.node}, {"done", done}}.dump() +
        "\n");
  else
    print(fmt::format("{}{} {}\n", arguments.component,
                      arguments.node.empty() ? "" : " on " + arguments.node, done));
  return kOk;
}

int sandbox_logs(const Context& context, const LogArguments& arguments) {
  const auto name = pod_named(context, arguments.name, arguments.ns);
  if (!name) return fail_with(name.error());
  const auto answer = ask(context, {{"cmd", "logs"},
                                    {"name", *name},
                                    {"namespace", arguments.ns},
                                    {"container", arguments.container},
                                    {"node", arguments.node}});
  if (!answer) return fail_with(answer.error());
  if (const auto note = str(*answer, {"note"}); !note.empty())
    std::fprintf(stderr, "%s\n", note.c_str());
  const auto path = str(*answer, {"path"});
  FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return fail_with(fmt::format("{} has no log yet", arguments.name));
  print_tail(file, arguments.tail);
  char chunk[16384];
  for (;;) {
    for (std::size_t n = 0; (n = std::fread(chunk, 1, sizeof chunk, file)) > 0;) {
      if (write(STDOUT_FILENO, chunk, n) < 0) return kOk;
    }
    if (!arguments.follow) break;
    std::clearerr(file);
    struct stat info;
    if (stat(path.c_str(), &info) != 0) break;  // the sandbox or the pod is gone
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::fclose(file);
  return kOk;
}

// The control plane issues it over its own socket: {"cmd":"issue","ns":…,"sa":…} →
// {"key","chain","roots"} in PEM.
int sandbox_certificate(const Context& context, const CertificateArguments& arguments) {
  const auto layout = find_sandbox(context);
  if (!layout) return fail_with(layout.error());
  const auto account = ask(context, {{"cmd", "get"},
                                     {"kind", "serviceaccount"},
                                     {"name", arguments.account},
                                     {"namespace", arguments.ns}});
  if (!account) return fail_with(account.error());
  const auto answer =
      sandbox::call(layout->control_socket(),
                    {{"cmd", "issue"}, {"ns", arguments.ns}, {"sa", arguments.account}});
  if (!answer)
    return fail_with(
        fmt::format("the control plane did not issue a certificate: {}", answer.error().text));
  if (mkdir(arguments.out.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_with(fmt::format("cannot make {}", arguments.out));
  const std::pair<const char*, unsigned> files[] = {
      {"key", 0600}, {"chain", 0644}, {"roots", 0644}};
  for (const auto& [field, mode] : files) {
    const auto text = str(*answer, {field});
    if (text.empty())
      return fail_with(fmt::format("the control plane's answer has no \"{}\"", field));
    const auto path = fmt::format("{}/{}.pem", arguments.out, field);
    if (auto written = sandbox::write_file(path, text, mode); !written)
      return fail_with(written.error());
    if (!context.json()) print(path + "\n");
  }
  if (context.json())
    print(Json{{"directory", arguments.out}, {"identity", str(*answer, {"identity"})}}.dump() +
          "\n");
  return kOk;
}

}  // namespace weft::cli
