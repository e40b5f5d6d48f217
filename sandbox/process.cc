#include "sandbox/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace weft::sandbox {
namespace {

std::string failed(std::string_view step) {
  return fmt::format("{}: {}", step, std::strerror(errno));
}

std::string deny_io_uring() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_io_uring_setup, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_io_uring_register, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof code / sizeof code[0], code};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return failed("seccomp filter against io_uring");
  return {};
}

// No capability in any set, another user, no way back.
std::string drop_privileges(const Drop& drop) {
  for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) {
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
      return failed("drop a capability from the bounding set");
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (setgroups(0, nullptr) != 0) return failed("setgroups");
  if (setresgid(drop.gid, drop.gid, drop.gid) != 0) return failed("setresgid");
  if (setresuid(drop.uid, drop.uid, drop.uid) != 0) return failed("setresuid");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs");
  return drop.deny_io_uring ? deny_io_uring() : std::string();
}

int keep_above_stdio(int fd) { return fd < 0 || fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3); }

std::string take_stdio(const Spawn& what) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return failed("open /dev/null");
  const int in = keep_above_stdio(what.in < 0 ? null : what.in);
  const int out = keep_above_stdio(what.out < 0 ? null : what.out);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) return failed("stdio");
  return {};
}

// A fresh process: default signals, its own session, nothing of ours open but `keep`.
void reset_process(int keep) {
  for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();
  fcntl(keep, F_SETFD, FD_CLOEXEC);
}

// The program, opened while we may still look everywhere: it may lie below a directory that is
// closed to the user we become (a clone in /root). Not there: no descriptor, and become() says why.
Fd open_program(const Spawn& what) {
  const std::string name = what.program.empty() ? what.argv[0] : what.program;
  if (name.find('/') != std::string::npos) return Fd(open(name.c_str(), O_PATH | O_CLOEXEC));
  for (const auto& e : what.env) {
    if (!e.starts_with("PATH=")) continue;
    for (std::size_t at = 5; at < e.size();) {
      const std::size_t end = std::min(e.find(':', at), e.size());
      const std::string path = e.substr(at, end - at) + "/" + name;
      at = end + 1;
      if (access(path.c_str(), X_OK) == 0) return Fd(open(path.c_str(), O_PATH | O_CLOEXEC));
    }
  }
  return {};
}

// By name, so that the process has it on every kernel; by descriptor where the name leads through
// what is closed to us.
void become(const Spawn& what, const Fd& program_fd) {
  std::vector<char*> argv, env;
  for (const auto& a : what.argv) argv.push_back(const_cast<char*>(a.c_str()));
  for (const auto& e : what.env) env.push_back(const_cast<char*>(e.c_str()));
  argv.push_back(nullptr);
  env.push_back(nullptr);
  for (const auto& e : what.env) {
    if (e.starts_with("PATH=")) setenv("PATH", e.c_str() + 5, 1);
  }
  const auto& program = what.program.empty() ? what.argv[0] : what.program;
  execvpe(program.c_str(), argv.data(), env.data());
  if (errno == EACCES && program_fd)
    syscall(SYS_execveat, program_fd.get(), "", argv.data(), env.data(), AT_EMPTY_PATH);
}

std::string start_child(const Spawn& what, int report) {
  reset_process(report);
  // stdio first: descriptors of `entry` and the log stay valid, all else of ours closes with exec.
  if (auto text = take_stdio(what); !text.empty()) return text;
  if (auto text = enter(what.entry); !text.empty()) return text;
  if (what.prepare) {
    if (auto text = what.prepare(); !text.empty()) return text;
  }
  if (what.files_max != 0) {
    const rlimit limit{what.files_max, what.files_max};
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  umask(what.umask);
  if (chdir(what.cwd.c_str()) != 0) return failed("chdir " + what.cwd);
  const Fd found = open_program(what);
  const Fd program(found ? fcntl(found.get(), F_DUPFD_CLOEXEC, 10) : -1);  // 3 is for `keep`
  if (what.drop) {
    if (auto text = drop_privileges(*what.drop); !text.empty()) return text;
  }
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  if (what.keep >= 0 && dup2(fcntl(what.keep, F_DUPFD_CLOEXEC, 10), 3) != 3) return failed("dup2");
  become(what, program);
  return failed(what.argv[0]);
}

Fd memory_file(const char* name) { return Fd(memfd_create(name, MFD_CLOEXEC)); }

std::string read_all(int fd) {
  std::string text;
  char chunk[4096];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t n = 0; (n = read(fd, chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<std::size_t>(n));
  return text;
}

}  // namespace

std::string enter(const Entry& entry) {
  if (!entry.cgroup_dir.empty()) {
    const auto path = entry.cgroup_dir + "/cgroup.procs";
    const Fd procs(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!procs || write(procs.get(), "0", 1) != 1) return failed("join cgroup " + entry.cgroup_dir);
  }
  const std::pair<int, const char*> spaces[] = {
      {entry.cgroup, "cgroup"}, {entry.uts, "uts"}, {entry.net, "net"}, {entry.mnt, "mnt"}};
  for (const auto& [fd, name] : spaces) {
    if (fd >= 0 && setns(fd, 0) != 0) return failed(fmt::format("enter {} namespace", name));
  }
  return {};
}

Parsed<pid_t> spawn(const Spawn& what) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return problem(failed("pipe"));
  Fd read_end(ends[0]), write_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return problem(failed("fork"));
  if (pid == 0) {
    const int report = fcntl(write_end.get(), F_DUPFD_CLOEXEC, 10);
    const auto text = start_child(what, report);
    (void)!write(report, text.data(), text.size());
    _exit(127);
  }
  write_end.reset();
  char text[512];
  ssize_t length = 0;
  do length = read(read_end.get(), text, sizeof text);
  while (length < 0 && errno == EINTR);
  if (length <= 0) return pid;
  waitpid(pid, nullptr, 0);
  return problem(std::string(text, static_cast<std::size_t>(length)));
}

Parsed<pid_t> fork_into(const Entry& entry, const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid < 0) return problem(failed("fork"));
  if (pid == 0) {
    if (!enter(entry).empty()) _exit(126);
    _exit(body());
  }
  return pid;
}

Parsed<Finished> run(Spawn what, std::string_view input) {
  const Fd in = memory_file("in"), out = memory_file("out");
  if (!in || !out) return problem(failed("memfd_create"));
  for (std::size_t at = 0; at < input.size();) {
    const auto n = write(in.get(), input.data() + at, input.size() - at);
    if (n <= 0) return problem(failed("memfd write"));
    at += static_cast<std::size_t>(n);
  }
  lseek(in.get(), 0, SEEK_SET);
  what.in = in.get();
  what.out = out.get();
  const auto pid = spawn(what);
  if (!pid) return problem(pid.error().text);
  Finished finished;
  while (waitpid(*pid, &finished.status, 0) < 0 && errno == EINTR) {
  }
  finished.output = read_all(out.get());
  return finished;
}

Parsed<void> run_ok(Spawn what, std::string_view input) {
  const auto name = what.argv[0];
  auto finished = run(std::move(what), input);
  if (!finished) return problem(finished.error().text);
  if (finished->ok()) return {};
  return problem(
      fmt::format("{} failed ({}): {}", name, exit_code(finished->status), finished->output));
}

std::vector<std::string> plain_environment() {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
}

int exit_code(int wait_status) {
  if (WIFEXITED(wait_status)) return WEXITSTATUS(wait_status);
  if (WIFSIGNALED(wait_status)) return 128 + WTERMSIG(wait_status);
  return 255;
}

Fd open_namespace(pid_t pid, const char* name) {
  return Fd(open(fmt::format("/proc/{}/ns/{}", pid, name).c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace weft::sandbox
