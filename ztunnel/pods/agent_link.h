// AgentLink: the connection to the agent (ZDS over SOCK_SEQPACKET). Snapshot, then increments, each acknowledged; after a reconnect
// the pods that the new snapshot does not name are gone. The link's death changes nothing for running pods.
//
//   kAway ─connect, hello→ kSnapshot ─SnapshotSent→ kLive
//     ↑────────────── closed, malformed ───────────────┘
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "ztunnel/io/event.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/task.h"
#include "ztunnel/pods/link.h"
#include "ztunnel/pods/zds.h"

namespace weft::pods {

struct AgentLinkOptions {
  std::string path;  // of the agent's socket
  std::uint32_t loops = 1;
  bool dns = true;
};

// What the admin server and the metrics show. Counters: any thread.
struct AgentLinkCounters {
  std::atomic<std::uint64_t> connects = 0, proxies_started = 0, proxies_stopped = 0, messages_malformed = 0;
  std::atomic<std::uint64_t> active = 0, pending = 0;
};

// Main thread, but for what says otherwise.
class AgentLink {
 public:
  enum class State : std::uint8_t { kAway, kSnapshot, kLive };
  // Gets the answer to an ask; on the main thread.
  using Answer = std::function<void(const SocketAsk&, Result<std::vector<Fd>>)>;

  AgentLink(io::Loop& main, AgentLinkOptions options, PodListener& listener);
  ~AgentLink();
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  // Connects, serves, reconnects (10 ms, doubling to 1 s) until stop().
  io::Task<void> run();
  void stop();

  // Called whenever the state becomes kLive.
  void on_live(std::function<void()> act) { on_live_ = std::move(act); }
  // Called after a snapshot or an increment changed which pods are here.
  void on_pods(std::function<void()> act) { on_pods_ = std::move(act); }

  // Asks for sockets; `answer` is called exactly once, with kClosed when the link is or goes down.
  void ask(SocketAsk ask, Answer answer);

  State state() const { return state_; }
  // A snapshot was received once, and every pod of it runs.
  bool ready() const { return ready_once_ && pending_.empty(); }
  const std::map<std::string, Pod>& pods() const { return pods_; }
  const std::map<std::string, std::string>& pending() const { return pending_; }  // uid → why
  const AgentLinkCounters& counters() const { return counters_; }

 private:
  struct Packet {
    std::string bytes;
    std::vector<Fd> descriptors;
  };
  struct Asked {
    SocketAsk ask;
    Answer answer;
  };

  io::Task<void> serve();
  io::Spawned write_out(io::Scope& scope);
  // Errors: kTimedOut "nothing there yet", kClosed, kMalformed.
  Result<Packet> receive();
  void handle(Packet packet);
  std::string handle_add(AddPod add, std::vector<Fd> descriptors);
  std::string handle_keep(const std::string& uid);
  void handle_delete(const DeletePod& gone);
  void handle_snapshot_sent();
  void handle_grant(const Grant& grant, std::vector<Fd> descriptors);
  void send(std::string packet);
  void set_state(State next);
  void count_pods();

  io::Loop& main_;
  const AgentLinkOptions options_;
  PodListener& listener_;
  std::function<void()> on_live_, on_pods_;

  State state_ = State::kAway;
  bool stopping_ = false;
  bool ready_once_ = false;
  Fd socket_;
  io::Event stop_;
  io::Event writable_;  // there is something in out_, or the link ends
  std::deque<std::string> out_;
  std::map<std::string, Pod> pods_;             // running
  std::map<std::string, std::string> pending_;  // could not be started
  std::set<std::string> seen_;                  // in the snapshot that is being received
  std::map<std::uint64_t, Asked> asked_;
  std::uint64_t next_ask_ = 1;
  AgentLinkCounters counters_;
};

}  // namespace weft::pods
