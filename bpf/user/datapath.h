// Datapath: the node's BPF programs and maps as typed handles. Used by the agent and, to take
// everything off again, by weftctl.
//
// What is loaded stays in the kernel by its pins in Options::pin_dir; a Datapath that dies changes
// nothing for the pods. Opening over existing pins keeps the maps and their content and swaps each
// program in its pinned link atomically: no connection sees a gap.
//
// Threads: one thread at a time, except counters(), which any thread may call.
// Needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN. Errors of the small calls: kSystem with errno,
// kNotFound where said.
#pragma once

#include <weft/abi.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"
#include "base/result.h"

namespace weft::bpf {

struct Options {
  std::string cgroup;   // cgroup2 directory that is above every pod's and above the agent's and
                        // ztunnel's own
  // Above `cgroup`: the node's own processes are somewhere below it. What they connect to pods
  // (kubelet's probes) is exempt from inbound capture. Empty: nobody is.
  std::string node_cgroup;
  std::uint64_t node_netns_cookie = 0;  // of the node's own netns; with `node_cgroup`
  std::string pin_dir;  // directory on a bpffs; made (0700) when missing, its parent must exist and
                        // be on the bpffs
};

struct PodEntry {
  std::uint64_t netns_cookie;
  weft_pod pod;
};

struct MapFill {
  std::string_view name;  // "weft_pods"
  std::uint32_t entries;
  std::uint32_t entries_max;
};

struct ProgramInfo {
  std::string name;  // "connect4"
  std::uint32_t id;
  std::uint32_t link_id;  // 0 for the inbound program, which has a link per netns
};

using Counters =
    std::array<std::uint64_t, WEFT_COUNTER_MAX>;  // index: enum weft_counter; summed over CPUs

// The hook and the result a counter stands for, as labels of weft_bpf_events_total: {"connect",
// "captured"}.
struct CounterName {
  std::string_view hook;
  std::string_view result;
};
CounterName counter_name(weft_counter counter);

// Value of weft_pods from addresses; an absent family is all zero.
weft_pod make_pod(const std::optional<IpAddress>& ip4, const std::optional<IpAddress>& ip6,
                  std::uint32_t flags, std::uint32_t generation);

// The cookie of the netns that `socket_fd` was opened in: the key of a pod.
Result<std::uint64_t> netns_cookie_of(int socket_fd);

class Datapath {
 public:
  // Probes the kernel, loads or reuses what is pinned, attaches and pins. The Problem's text names
  // the step, the feature and the kernel, ready for a person. Refuses pins of another ABI version
  // (they must be unloaded first: swapping maps would open a gap).
  static Parsed<Datapath> open(const Options& options);

  Datapath(Datapath&&) noexcept;
  Datapath& operator=(Datapath&&) noexcept;
  ~Datapath();

  // Outbound: from here on connect() in that netns is judged by `pod`. Adds or replaces.
  Result<void> set_pod(std::uint64_t netns_cookie, const weft_pod& pod);
  // Removing what is not there is success; so below.
  Result<void> remove_pod(std::uint64_t netns_cookie);

  // Inbound: TCP to an enrolled address is steered to that address's listener; an enrolled address
  // without one refuses everything, and so does every other address of a netns with the program. The
  // order that neither opens a gap nor refuses anybody: set_listener, enroll_ip, attach_inbound;
  // back: detach_inbound, withdraw_ip, remove_listener.
  Result<void> enroll_ip(const IpAddress& ip);
  Result<void> withdraw_ip(const IpAddress& ip);
  // `listener_fd` listens on port 15006 in the pod's netns; any family that can accept for `ip`. Of
  // a SO_REUSEPORT group give one: the group's own rule picks among them. The map holds no
  // reference: when the socket closes everywhere the slot empties by itself.
  Result<void> set_listener(const IpAddress& ip, int listener_fd);
  Result<void> remove_listener(const IpAddress& ip);
  // Some process holds the socket in the address's slot open.
  Result<bool> has_listener(const IpAddress& ip) const;

  // Attaches the sk_lookup program to a netns (a descriptor of /proc/<pid>/ns/net) and pins the
  // link as netns_<inode>; returns the inode. Again is success. The link dies with the netns; its
  // pin is dropped by the next open() or detach_inbound().
  Result<std::uint64_t> attach_inbound(int netns_fd);
  Result<void> detach_inbound(std::uint64_t netns_inode);

  // Marks a socket as ztunnel's: never captured, may use SOL_WEFT. For listeners and for every
  // connection socket handed over.
  Result<void> mark_owned(int socket_fd);

  // Replaces the whole set (adds first, then removes).
  Result<void> set_dns_ips(std::span<const IpAddress> ips);

  // What the kernel holds now: for reconciling after a restart, and for people.
  Result<std::vector<PodEntry>> pods() const;
  Result<std::vector<IpAddress>> enrolled_ips() const;
  Result<std::vector<IpAddress>> listener_ips() const;
  // Inodes of the netns that have a pinned inbound link which is alive.
  Result<std::vector<std::uint64_t>> inbound_netns() const;

  Result<Counters> counters() const;
  Result<std::vector<MapFill>> fill() const;
  Result<std::vector<ProgramInfo>> programs() const;

 private:
  struct State;
  explicit Datapath(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Takes everything off: detaches every pinned link of `pin_dir`, removes pins and directory.
// Nothing there is success. Maps live on only while some process still holds them.
Parsed<void> unload(const std::string& pin_dir);

}  // namespace weft::bpf
