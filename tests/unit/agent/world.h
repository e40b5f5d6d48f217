// The world of the enroller's tests: a kernel that records the order of what it is asked, a link whose ztunnel answers when told to,
// namespaces that are plain files, and a clock that stands still.
#pragma once

#include <fcntl.h>

#include <deque>
#include <set>

#include "agent/enroller.h"

namespace weft::agent::testing_world {

inline Fd any_fd() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

class RecordingKernel : public Capture {
 public:
  std::vector<std::string> log;
  std::set<std::string> refuse;  // the names of steps that fail
  std::map<std::uint64_t, std::vector<IpAddress>> held_pods;
  std::set<std::uint64_t> held_dns;
  std::set<IpAddress> held_ips;
  std::set<std::uint64_t> held_links;
  std::set<IpAddress> held_listeners;

  Result<void> attach_inbound(int) override { return step("attach_inbound"); }
  Result<void> set_listener(const IpAddress& ip, int) override {
    auto done = step("set_listener");
    if (done) held_listeners.insert(ip);
    return done;
  }
  Result<void> enroll_ip(const IpAddress& ip) override {
    auto done = step("enroll_ip");
    if (done) held_ips.insert(ip);
    return done;
  }
  Result<void> set_pod(std::uint64_t cookie, const std::vector<IpAddress>& ips, bool dns) override {
    auto done = step(dns ? "set_pod+dns" : "set_pod");
    if (done) held_pods[cookie] = ips;
    if (done && dns) held_dns.insert(cookie);
    return done;
  }
  Result<void> remove_pod(std::uint64_t cookie) override {
    auto done = step("remove_pod");
    if (done) held_pods.erase(cookie);
    return done;
  }
  Result<void> withdraw_ip(const IpAddress& ip) override {
    held_ips.erase(ip);
    return step("withdraw_ip");
  }
  Result<void> remove_listener(const IpAddress& ip) override {
    held_listeners.erase(ip);
    return step("remove_listener");
  }
  Result<void> detach_inbound(std::uint64_t inode) override {
    held_links.erase(inode);
    return step("detach_inbound");
  }
  Result<bool> has_listener(const IpAddress& ip) const override { return held_listeners.contains(ip); }
  Result<void> mark_owned(int) override { return refuse.contains("mark_owned") ? step("mark_owned") : Result<void>(); }
  Result<std::vector<CapturedPod>> pods() const override {
    std::vector<CapturedPod> pods;
    for (const auto& [cookie, ips] : held_pods) pods.push_back({cookie, ips, held_dns.contains(cookie)});
    return pods;
  }
  Result<std::vector<IpAddress>> enrolled_ips() const override { return std::vector<IpAddress>(held_ips.begin(), held_ips.end()); }
  Result<std::vector<std::uint64_t>> inbound_netns() const override { return std::vector<std::uint64_t>(held_links.begin(), held_links.end()); }

 private:
  Result<void> step(const std::string& name) {
    log.push_back(name);
    if (refuse.contains(name)) return fail(Code::kSystem, "refused by the test");
    return {};
  }
};

class HandLink : public ZtunnelLink {
 public:
  struct Asked {
    ConnectionId id;
    Make make;
    Done done;
  };
  std::vector<std::string>* log = nullptr;  // "add", "del", "keep", "sent" go here when they are sent
  zds::Frame last;  // that was sent
  std::vector<ConnectionId> connected;
  std::deque<Asked> asked;
  std::set<ConnectionId> knowing;  // connections of a ztunnel that has the pods: it is asked to keep them with success

  std::vector<ConnectionId> connections() const override { return connected; }
  void request(ConnectionId id, Make make, Done done) override { asked.push_back({id, std::move(make), std::move(done)}); }

  void request_next(ConnectionId id, Make make, Done done) override { asked.push_front({id, std::move(make), std::move(done)}); }

  // Sends the first request and gives ztunnel's answer; false when there is none.
  bool answer(const Outcome& outcome = {}) {
    if (asked.empty()) return false;
    Asked first = std::move(asked.front());
    asked.pop_front();
    auto made = first.make();
    if (!made) {
      first.done({Outcome::kNotMade, describe(made.error())});
      return true;
    }
    const std::string name = name_of(made->frame);
    if (log != nullptr) log->push_back(name);
    last = made->frame;
    if (name == "add" && outcome.kind == Outcome::kDone) knowing.insert(first.id);
    const bool unknown = name == "keep" && !knowing.contains(first.id);
    first.done(unknown ? Outcome{Outcome::kRefused, "unknown pod"} : outcome);
    return true;
  }
  void answer_all() {
    while (answer()) {
    }
  }
  // The connection breaks: everything it was asked is lost.
  void lose(ConnectionId id) {
    std::deque<Asked> all;
    all.swap(asked);
    for (auto& one : all) one.id == id ? one.done({Outcome::kLost, "gone"}) : asked.push_back(std::move(one));
  }

 private:
  static std::string name_of(const zds::Frame& frame) {
    switch (static_cast<unsigned>(frame.at(0))) {
      case 0x0a: return "add";
      case 0x12: return "del";
      case 0x1a: return "sent";
      case 0x2a: return "keep";
      default: return "?";
    }
  }
};

class Places : public NetnsFinder {
 public:
  std::map<std::string, Netns> by_uid;
  std::set<std::string> denied;
  Result<Netns> find(const DesiredPod& pod) override {
    if (denied.contains(pod.uid)) return fail(Code::kDenied, "denied by the test");
    const auto at = by_uid.find(pod.uid);
    if (at == by_uid.end()) return fail(Code::kNotFound, "not there");
    return at->second;
  }
  void put(const std::string& uid, std::uint64_t cookie) { by_uid[uid] = {std::make_shared<const Fd>(any_fd()), cookie, cookie + 1000}; }
};

struct World {
  RecordingKernel kernel;
  HandLink link;
  Places places;
  Clock::time_point now{std::chrono::seconds(1000)};
  bool listeners_fail = false;
  int listeners_opened = 0;
  Enroller enroller;

  World()
      : enroller(
            kernel, places, link,
            [this](int, std::uint32_t loops, bool) -> Result<std::vector<PodSocket>> {
              if (listeners_fail) return fail(Code::kSystem, "bind of a mesh port in the pod", EADDRINUSE);
              ++listeners_opened;
              std::vector<PodSocket> sockets;
              for (std::uint32_t i = 0; i < loops; ++i) {
                sockets.push_back({SocketKind::kOutbound4, any_fd()});
                sockets.push_back({SocketKind::kInbound, any_fd()});
              }
              return sockets;
            },
            [this] { return now; }) {
    link.log = &kernel.log;
  }

  static DesiredPod pod(const std::string& uid, const char* ip = "10.0.0.7") {
    return {.uid = uid, .ns = "shop", .name = "pod-" + uid, .service_account = "front", .ips = {*IpAddress::parse(ip)}, .reason = "enabled by namespace", .key = "weft.dev/mesh"};
  }
  void want(std::vector<DesiredPod> pods) {
    Desired desired;
    for (auto& pod : pods) desired.pods.emplace(pod.uid, pod);
    enroller.want(std::move(desired));
  }
  void hello(ConnectionId id, bool dns = false) {
    link.connected.push_back(id);
    enroller.on_hello(id, {.loops = 2, .dns = dns});
  }
  // ztunnel dies, and its listeners with it; or only the link breaks.
  void lose(ConnectionId id, bool dies = true) {
    if (dies) kernel.held_listeners.clear();
    std::erase(link.connected, id);
    enroller.on_gone(id);
    link.lose(id);
  }
  State state(const std::string& uid) const {
    for (const auto& view : enroller.pods()) {
      if (view.pod.uid == uid) return view.state;
    }
    return State::kGone;
  }
  std::string error(const std::string& uid) const {
    for (const auto& view : enroller.pods()) {
      if (view.pod.uid == uid) return view.error;
    }
    return "gone";
  }
  // Goes on to the next moment at which the enroller wants to run.
  void wake() {
    now = std::max(now, enroller.next_wakeup());
    enroller.tick();
  }
};

}  // namespace weft::agent::testing_world
