#include "sandbox/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/log.h"
#include "sandbox/admit.h"
#include "sandbox/api.h"
#include "sandbox/bootstrap.h"
#include "sandbox/cgroup.h"
#include "sandbox/cleanup.h"
#include "sandbox/components.h"
#include "sandbox/controllers.h"
#include "sandbox/dns.h"
#include "sandbox/endpoints.h"
#include "sandbox/file.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"
#include "sandbox/kubelet.h"
#include "sandbox/outcome.h"
#include "sandbox/proxy.h"
#include "sandbox/world.h"

namespace weft::sandbox {
namespace {

constexpr int kCrashesMax = 3;
constexpr auto kReadyLimit = std::chrono::seconds(30);

class Daemon {
 public:
  explicit Daemon(DaemonOptions options) : options_(std::move(options)), layout_(options_.layout) {}

  int run() {
    if (auto started = start(); !started) {
      say("error: " + started.error().text);
      return 1;
    }
    loop_.run();
    return 0;
  }

 private:
  void say(const std::string& line) {
    const auto text = line + "\n";
    if (options_.progress >= 0) (void)!write(options_.progress, text.data(), text.size());
    spdlog::info("{}", line);
  }

  Parsed<void> start() {
    for (auto step : {&Daemon::settle, &Daemon::make_machines, &Daemon::make_cluster,
                      &Daemon::start_components}) {
      if (auto done = (this->*step)(); !done) return done;
    }
    wait_until_ready(Clock::now() + kReadyLimit);
    return {};
  }

  // Directories, signals, and a mount namespace of our own.
  Parsed<void> settle() {
    if (unshare(CLONE_NEWNS) != 0) return problem("cannot make a mount namespace: run as root");
    if (auto text = make_private_mounts(); !text.empty()) return problem(text);
    for (const auto& dir :
         {layout_.root(), layout_.objects(), layout_.logs(), layout_.dns(), layout_.pods()}) {
      if (auto made = make_directories(dir); !made) return made;
    }
    // The control plane's user reads objects; nobody else does.
    if (chown(layout_.objects().c_str(), 0, kControlPlaneUid) != 0 ||
        chmod(layout_.objects().c_str(), 0750) != 0) {
      return problem("cannot set the owner of " + layout_.objects());
    }
    const auto mount = cgroup2_mount();
    if (!mount) return problem(mount.error().text);
    cgroup_ = *mount + "/" + layout_.cgroup();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_ = Fd(signalfd(-1, &set, SFD_CLOEXEC));
    loop_.watch(signals_.get(), POLLIN, [this](short) { leave(); });
    const Json state = {{"name", layout_.name},     {"pid", getpid()},
                        {"cgroup", cgroup_},        {"nodes", options_.nodes},
                        {"mesh", options_.mesh},    {"version", WEFT_VERSION},
                        {"started", now_rfc3339()}, {"settings", options_.settings.values}};
    return write_file(layout_.state_file(), state.dump(1) + "\n");
  }

  Parsed<void> make_machines() {
    auto fabric = Fabric::create(cgroup_, options_.nodes);
    if (!fabric) return problem("the underlay: " + fabric.error().text);
    fabric_ = std::move(*fabric);
    for (int i = 1; i <= options_.nodes; ++i) {
      auto node = Node::create(layout_, cgroup_, NodeNet{i}, options_.nodes, *fabric_);
      if (!node) return problem(node.error().text);
      say(fmt::format("{} is up at {} and {}", (*node)->name(), (*node)->net().v4(),
                      (*node)->net().v6()));
      nodes_.push_back(std::move(*node));
    }
    return {};
  }

  Parsed<void> make_cluster() {
    std::vector<const Node*> nodes;
    std::vector<std::string> names;
    for (const auto& node : nodes_) {
      nodes.push_back(node.get());
      names.push_back(node->name());
    }
    store_ = std::make_unique<Store>(layout_.objects());
    admission_ = std::make_unique<Admission>(*store_);
    controllers_ = std::make_unique<Controllers>(*store_, *admission_, names);
    const bool hold = options_.mesh && options_.settings.is("holdPods");
    kubelet_ =
        std::make_unique<Kubelet>(loop_, *store_, layout_, nodes, hold, [this] { dirty_ = true; });
    supervisor_ = std::make_unique<Supervisor>(loop_);
    api_ = std::make_unique<Api>(
        Api::Parts{layout_, *store_, *admission_, *controllers_, *kubelet_, *supervisor_, nodes});
    for (const auto& object : first_objects(options_.nodes)) {
      Json out;
      if (auto verb = admission_->admit(object, "", out); !verb) return problem(verb.error().text);
      if (out["kind"] == "Node") {
        const NodeNet net{node_index(name_of(out))};
        out["metadata"]["annotations"]["weft.dev/pid"] =
            std::to_string(nodes_[static_cast<std::size_t>(net.index - 1)]->pid());
        out["status"] = {
            {"addresses",
             {{{"type", "InternalIP"}, {"address", net.v4()}},
              {{"type", "InternalIP"}, {"address", net.v6()}},
              {{"type", "Hostname"}, {"address", net.name()}}}},
            {"conditions", {{{"type", "Ready"}, {"status", "True"}, {"reason", "KubeletReady"}}}}};
      }
      if (auto put = store_->put(std::move(out)); !put) return put;
    }
    loop_.on_turn([this] { reconcile(); });
    reconcile();
    return serve(loop_, layout_.api_socket(), [this](const std::string& line) {
      const auto request = Json::parse(line, nullptr, false);
      const auto answer = request.is_discarded() ? Json{{"error", "the request is no JSON"}}
                                                 : api_->answer(request);
      dirty_ = true;
      return answer.dump(-1, ' ', false, Json::error_handler_t::replace);
    });
  }

  Parsed<void> start_components() {
    if (auto started = supervisor_->start(dns_component(layout_, *fabric_)); !started)
      return started;
    say("cluster DNS is up");
    if (!options_.mesh) return {};
    std::vector<NodeNet> nets;
    for (const auto& node : nodes_) nets.push_back(node->net());
    if (auto made = prepare_component_files(layout_, nets); !made) return made;
    auto outcome = Outcome::open(layout_.outcome(), loop_, {*store_, *admission_, *controllers_},
                                 [this] { dirty_ = true; });
    if (!outcome) return problem(outcome.error().text);
    outcome_ = std::move(*outcome);
    if (auto started = supervisor_->start(
            control_plane_component(layout_, options_.bin, options_.settings, *fabric_));
        !started)
      return started;
    for (const auto& node : nodes_) {
      if (auto started =
              supervisor_->start(agent_component(layout_, options_.bin, options_.settings, *node));
          !started)
        return started;
      if (auto started = supervisor_->start(
              ztunnel_component(layout_, options_.bin, options_.settings, *node));
          !started)
        return started;
    }
    return {};
  }

  void wait_until_ready(Clock::time_point limit) {
    std::string waiting;
    bool hopeless = false;
    for (const auto& s : supervisor_->states()) {
      const auto name = s.node.empty() ? s.name : s.name + " on " + s.node;
      if (s.state == "ready" && announced_.insert(name).second && s.name != "dns")
        say(name + " is ready");
      hopeless = hopeless || s.restarts >= kCrashesMax;
      if (s.state != "ready")
        waiting += fmt::format("\n  {}: {}{}, see {}", name, s.state,
                               s.last_end.empty() ? "" : " after " + s.last_end,
                               supervisor_->log_of(s.name, s.node));
    }
    if (waiting.empty()) {
      say("ready");
      close(std::exchange(options_.progress, -1));
      return;
    }
    if (hopeless || Clock::now() > limit) {
      say(fmt::format("error: not all components became ready:{}", waiting));
      close(std::exchange(options_.progress, -1));
      return;
    }
    loop_.after(std::chrono::milliseconds(20), [this, limit] { wait_until_ready(limit); });
  }

  // Objects → pods, service tables, names. Until nothing changes; a pass that always changes
  // something is a bug that must not spin.
  void reconcile() {
    for (int pass = 0; pass < 20 && (dirty_ || store_->version() != seen_); ++pass) {
      dirty_ = false;
      seen_ = store_->version();
      controllers_->sync();
      publish();
      kubelet_->sync();
    }
  }

  void publish() {
    const auto views = service_views(*store_);
    const auto ruleset = nft_ruleset(views);
    if (ruleset != ruleset_) {
      ruleset_ = ruleset;
      for (const auto& node : nodes_) {
        if (auto loaded = node->load_nft(ruleset); !loaded)
          spdlog::error("service table of {}: {}", node->name(), loaded.error().text);
      }
    }
    const auto hosts = dns_hosts(views);
    if (hosts != hosts_) {
      hosts_ = hosts;
      if (auto written = write_file(dns_hosts_file(layout_), hosts); !written)
        spdlog::error("{}", written.error().text);
      (void)supervisor_->signal("dns", "", SIGHUP).has_value();
    }
  }

  [[noreturn]] void leave() {
    spdlog::info("removing sandbox {}", layout_.name);
    const auto top = cgroup_.substr(0, cgroup_.rfind('/'));
    (void)enter({.cgroup_dir = top});  // so that what kills everything does not kill us first
    const auto done = destroy(layout_);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    _exit(done ? 0 : 1);
  }

  DaemonOptions options_;
  Layout layout_;
  std::string cgroup_;
  Fd signals_;
  Loop loop_;
  std::unique_ptr<Fabric> fabric_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<Controllers> controllers_;
  std::unique_ptr<Supervisor> supervisor_;
  std::unique_ptr<Outcome> outcome_;
  std::unique_ptr<Kubelet> kubelet_;
  std::unique_ptr<Api> api_;
  std::string ruleset_, hosts_;
  std::set<std::string> announced_;
  std::uint64_t seen_ = 0;
  bool dirty_ = true;
};

}  // namespace

int run_daemon(DaemonOptions options) {
  prctl(PR_SET_NAME, "weft-sandbox");
  log::start("sandbox", spdlog::level::info, log::Format::kText);
  return Daemon(std::move(options)).run();
}

}  // namespace weft::sandbox
