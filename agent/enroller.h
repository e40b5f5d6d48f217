// Enroller: brings each pod from what it is to what it shall be, in the order that never leaves a gap (capture.h), through the states of
// pod_state.h. Everything outside it is an argument: netns finder, sockets, link, kernel, time.
//
// Facts it holds on to:
//  1. A pod is in the maps exactly while its `in_kernel` is set; only release() clears it, and only for pods nobody wants.
//  2. ztunnel has a pod's sockets when `holder` is that connection. When the latest connection is another one, the pod is offered to it
//     with new listeners, and stays captured meanwhile.
//  3. A captured pod whose listeners live is offered by a KeepWorkload first: a ztunnel that knows it goes on with its sockets, and no
//     connection that waits in their queues is lost; one that does not know it refuses, and gets listeners at once.
//  4. No listener of a pod is held here but between the offer and its answer: without ztunnel, connections are refused.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/capture.h"
#include "agent/discovery.h"
#include "agent/enroll.h"
#include "agent/link.h"
#include "agent/pod_state.h"
#include "agent/sockets.h"

namespace weft::agent {

// Opens a pod's listeners, marked as owned: open_listeners(), or plain descriptors in a test.
using OpenListeners = std::function<Result<std::vector<PodSocket>>(int netns_fd, std::uint32_t loops, bool dns)>;

struct EnrollerCounts {
  std::uint64_t captured_total = 0;  // pods that became captured
  std::uint64_t released_total = 0;
  std::uint64_t refused_total = 0;   // offers that ztunnel refused
  std::uint64_t failed_total = 0;    // steps that failed on our side
};

// One enrolled pod, for people.
struct PodView {
  DesiredPod pod;
  State state;
  WallClock::time_point since;
  std::string error;  // why it is not further, "" when all is well
};

class Enroller {
 public:
  // ztunnel takes HBONE streams for a pod that left this long (its pod_drain is 5 s).
  static constexpr auto kFarewell = std::chrono::seconds(6);

  Enroller(Capture& kernel, NetnsFinder& finder, ZtunnelLink& link, OpenListeners open, std::function<Clock::time_point()> clock);

  // What an earlier agent left in the maps. Call once, before anything else.
  Result<void> adopt();
  // The listeners that live may be those of a ztunnel that is not ours (a successor's that is gone
  // or going): every pod gets new ones.
  void renew_listeners() { renew_ = true; }
  // The source's word. The first call also releases what was adopted and is not desired.
  void want(Desired desired);
  // A connection said hello: it gets a snapshot as soon as the source has spoken.
  void on_hello(ConnectionId id, const zds::Hello& hello);
  void on_gone(ConnectionId id);
  // Tries what is due. Call at next_wakeup().
  void tick();
  Clock::time_point next_wakeup() const;

  // The netns in which ztunnel may have sockets: of an offered or captured pod, and for kFarewell of one that left and still runs.
  std::optional<Netns> netns_of(const std::string& uid) const;
  std::vector<PodView> pods() const;
  // One of them.
  std::optional<PodView> pod(const std::string& uid) const;
  const std::vector<PlainPod>& plain_pods() const { return plain_; }
  const EnrollerCounts& counts() const { return counts_; }
  bool connected() const { return latest_ != 0; }
  // Every desired pod is captured and the latest ztunnel has its sockets; `why` says which is not.
  bool settled(std::string* why = nullptr) const;

 private:
  // What goes out as an offer.
  enum class Way : std::uint8_t {
    kListeners,  // AddWorkload
    kKeep,       // KeepWorkload: ztunnel is thought to have them
    kSpare,      // KeepWorkload: the sockets could not be opened, ztunnel shall not drop what it has
  };
  struct Entry {
    DesiredPod pod;
    bool wanted = true;
    Life life;
    Netns netns;
    bool in_kernel = false;
    bool whole = false;                 // every step of its capture succeeded
    std::vector<IpAddress> kernel_ips;  // what is in the maps
    bool kernel_dns = false;
    ConnectionId holder = 0;            // has the pod's sockets
    std::uint64_t offer = 0;            // the offer that is under way, 0 for none
    std::shared_ptr<const Fd> listener; // of that offer
    Way way = Way::kListeners;          // of that offer
    bool renewed = false;               // got new listeners from this agent
    std::size_t farewells = 0;          // DelWorkloads that are not answered yet
    Backoff backoff;
    Clock::time_point next_try{};
    std::string error;
  };

  struct Departed {
    DesiredPod pod;
    std::uint64_t cookie = 0;
    Clock::time_point until;
  };

  static PodView view_of(const Entry& entry);
  bool awaited(const CapturedPod& leftover) const;
  std::uint64_t inode_of(const CapturedPod& leftover) const;
  Entry& add(const DesiredPod& pod);
  void consider(Entry& entry);
  bool find_netns(Entry& entry);
  void recognize(Entry& entry);
  bool can_keep(const Entry& entry, const zds::Hello& hello) const;
  void offer(Entry& entry, ConnectionId id, bool refused_to_keep);
  Result<Outgoing> make_offer(const std::string& uid, std::uint64_t offer, const zds::Hello& hello, bool refused_to_keep);
  Result<Outgoing> open_offer(Entry& entry, const zds::Hello& hello);
  void answered(const std::string& uid, std::uint64_t offer, ConnectionId id, const Outcome& outcome);
  void install(Entry& entry, ConnectionId id);
  void fall_back(Entry& entry, std::string error, bool later);
  void change(Entry& entry, State to);
  void withdraw(Entry& entry, bool running);
  void finish(const std::string& uid);
  void snapshot(ConnectionId id);
  void check();
  void release_leftovers();
  void release_stray_links();

  // Set once.
  Capture& kernel_;
  NetnsFinder& finder_;
  ZtunnelLink& link_;
  const OpenListeners open_;
  const std::function<Clock::time_point()> clock_;
  // Owned by the reactor's thread.
  std::map<std::string, Entry> entries_;  // by UID
  std::vector<PlainPod> plain_;
  std::map<std::string, DesiredPod> next_;  // wanted again while still draining
  std::map<std::string, Departed> departed_;
  std::vector<CapturedPod> leftovers_;    // in the maps, of nobody here so far
  bool stray_links_ = false;              // an earlier agent's inbound links have not been looked through
  std::map<ConnectionId, zds::Hello> hellos_;
  ConnectionId latest_ = 0;
  bool spoken_ = false;  // the source has
  bool renew_ = false;
  std::uint64_t next_offer_ = 1;
  Clock::time_point next_check_{};
  EnrollerCounts counts_;
};

}  // namespace weft::agent
