#include "sandbox/hold.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "mesh/labels.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

constexpr std::size_t kAnswerMax = 65536;

// Never blocks: a stopped agent's queue may be full.
Fd dial(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return {};
  return fd;
}

}  // namespace

bool wants_mesh(const Store& store, const Key& pod, const std::string& uid) {
  const auto* object = store.find(pod);
  if (object == nullptr || uid_of(*object) != uid) return false;
  static const Json nothing = Json::object();
  const auto* found = store.find("Namespace", "", pod.ns);
  const Json& ns = found != nullptr ? *found : nothing;
  const auto pod_labels = labels(*object, {"metadata", "labels"});
  const auto pod_annotations = labels(*object, {"metadata", "annotations"});
  const auto ns_labels = labels(ns, {"metadata", "labels"});
  const auto ns_annotations = labels(ns, {"metadata", "annotations"});
  return mesh::decide_enrollment({.pod_labels = pod_labels,
                                  .pod_annotations = pod_annotations,
                                  .namespace_labels = ns_labels,
                                  .namespace_annotations = ns_annotations,
                                  .host_network = truth(*object, {"spec", "hostNetwork"})})
      .enrolled;
}

// Shared with callbacks of the loop, which look at `alive` first.
struct Hold::State : std::enable_shared_from_this<Hold::State> {
  Loop& loop;
  std::string path;
  std::string question;
  Events events;
  bool alive = true;
  Clock::time_point since = Clock::now();
  std::string told;
  Fd fd;
  std::string answer;
  Loop::Timer limit = 0;

  State(Loop& l, std::string p, std::string q, Events e)
      : loop(l), path(std::move(p)), question(std::move(q)), events(std::move(e)) {}

  void again(Clock::duration wait) {
    loop.after(wait, [self = shared_from_this()] { self->ask(); });
  }

  void say(const std::string& text) {
    if (text == told || (!text.empty() && Clock::now() - since < kQuiet)) return;
    told = text;
    events.trouble(text);
  }

  void go() {
    alive = false;
    say("");
    events.go();
  }

  void ask() {
    if (!alive) return;
    if (!events.wanted()) return go();
    fd = dial(path);
    if (!fd || send(fd.get(), question.data(), question.size(), MSG_NOSIGNAL) !=
                   static_cast<ssize_t>(question.size())) {
      fd.reset();
      say(fmt::format("waiting for weft-agent, which does not answer at {}", path));
      return again(kAskAgainAway);
    }
    answer.clear();
    limit = loop.after(kAnswerWithin, [self = shared_from_this()] { self->end(); });
    loop.watch(fd.get(), POLLIN, [self = shared_from_this()](short) { self->receive(); });
  }

  void receive() {
    char chunk[4096];
    const auto n = recv(fd.get(), chunk, sizeof chunk, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) answer.append(chunk, static_cast<std::size_t>(n));
    if (n <= 0 || answer.size() > kAnswerMax || answer.find('\n') != std::string::npos) end();
  }

  // The answer is here, or will not come.
  void end() {
    if (!fd) return;
    loop.cancel(limit);
    loop.unwatch(fd.get());
    fd.reset();
    if (!alive) return;
    const auto said = Json::parse(answer, nullptr, false);
    const auto state = str(said, {"state"});
    // "plain" is not taken at its word: the agent may not have seen yet what the store says.
    if (state == "captured") return go();
    if (state.empty()) {
      const auto error = str(said, {"error"});
      say(error.empty() ? "waiting for weft-agent, which does not answer"
                        : "weft-agent refused: " + error);
      return again(kAskAgainAway);
    }
    say("waiting for weft-agent to capture the pod: " + str(said, {"reason"}));
    again(kAskAgain);
  }
};

Hold::Hold(Loop& loop, std::string socket, const Json& question, Events events)
    : state_(std::make_shared<State>(
          loop, std::move(socket),
          question.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
          std::move(events))) {
  state_->again(Clock::duration(0));
}

Hold::~Hold() {
  state_->alive = false;
  state_->end();
}

}  // namespace weft::sandbox
