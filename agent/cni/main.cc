// weft-cni: run by the container runtime for every pod. Static, because it runs on the node's own file system. Exit codes: 0, 1 with a CNI
// error object on stdout.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "agent/cni/plugin.h"
#include "base/fd.h"

namespace {

using weft::cni::Verdict;
using Clock = std::chrono::steady_clock;

constexpr auto kAnswerWithin = std::chrono::milliseconds(1000);
constexpr auto kAskAgain = std::chrono::milliseconds(20);
constexpr auto kAskAgainAway = std::chrono::milliseconds(200);
constexpr std::size_t kAnswerMax = 64 << 10;
constexpr std::size_t kConfigMax = 1 << 20;

weft::Fd dial(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  weft::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

// One question, one line. Empty: nobody answered.
std::string ask(const std::string& path, const std::string& question) {
  const weft::Fd fd = dial(path);
  if (!fd || ::send(fd.get(), question.data(), question.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(question.size())) return {};
  std::string answer;
  const auto end = Clock::now() + kAnswerWithin;
  while (answer.find('\n') == std::string::npos && answer.size() < kAnswerMax) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd waiting{fd.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) return {};
    char chunk[4096];
    const auto n = ::recv(fd.get(), chunk, sizeof chunk, 0);
    if (n <= 0) return {};
    answer.append(chunk, static_cast<std::size_t>(n));
  }
  return answer;
}

Verdict wait_for_agent(const weft::cni::Invocation& pod, const weft::cni::NetConf& config) {
  const std::string question = weft::cni::question(pod, config);
  const auto end = Clock::now() + std::chrono::seconds(config.wait_seconds);
  for (;;) {
    const std::string answer = ask(config.socket, question);
    Verdict verdict{.go = false, .reason = "weft-agent does not answer at " + config.socket};
    if (!answer.empty()) verdict = weft::cni::read_answer(answer);
    if (verdict.go || Clock::now() >= end) return verdict;
    std::this_thread::sleep_for(answer.empty() ? kAskAgainAway : kAskAgain);
  }
}

int refuse(const std::string& version, int code, const std::string& message, const std::string& details = "") {
  std::puts(weft::cni::error_json(version, code, message, details).c_str());
  return 1;
}

int add(const weft::cni::Invocation& pod, const weft::cni::NetConf& config) {
  // A sandbox that is not kubelet's has no UID: no pod of the mesh.
  if (pod.uid.empty() || config.exempt.contains(pod.ns)) {
    std::puts(config.previous.c_str());
    return 0;
  }
  const Verdict verdict = wait_for_agent(pod, config);
  if (!verdict.go) {
    return refuse(config.cni_version, weft::cni::kTryAgainLater, "the mesh has not captured pod " + pod.ns + "/" + pod.pod, verdict.reason);
  }
  std::puts(config.previous.c_str());
  return 0;
}

std::string read_stdin() {
  std::string text;
  char chunk[4096];
  for (ssize_t n = 0; text.size() <= kConfigMax && (n = ::read(STDIN_FILENO, chunk, sizeof chunk)) > 0;) {
    text.append(chunk, static_cast<std::size_t>(n));
  }
  return text;
}

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> out;
  for (const char* name : {"CNI_COMMAND", "CNI_NETNS", "CNI_ARGS"}) {
    if (const char* value = std::getenv(name)) out.emplace(name, value);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    const bool version = std::strcmp(argv[1], "--version") == 0;
    std::puts(version ? "weft-cni " WEFT_VERSION : "weft-cni: a chained CNI plugin; a container runtime runs it, with a network configuration on stdin");
    return version || std::strcmp(argv[1], "--help") == 0 ? 0 : 64;
  }
  const auto invocation = weft::cni::read_environment(environment());
  if (!invocation) return refuse("", weft::cni::kInvalidEnvironment, invocation.error().text);
  if (invocation->command == "VERSION") {
    std::puts(weft::cni::versions_json().c_str());
    return 0;
  }
  // What is not there any more needs nothing of us; DEL must succeed however little the runtime tells.
  if (invocation->command != "ADD" && invocation->command != "CHECK") return 0;
  const auto config = weft::cni::read_config(read_stdin(), true);
  if (!config) return refuse("", weft::cni::kInvalidConfig, config.error().text);
  return invocation->command == "ADD" ? add(*invocation, *config) : 0;
}
