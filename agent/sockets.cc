#include "agent/sockets.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/abi.h>

#include <array>
#include <cerrno>
#include <optional>

#include "agent/netns.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/net.h"

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

namespace weft::agent {

namespace {

constexpr int kBacklog = 4096;
constexpr int kKeepaliveIdle_s = 180;
constexpr int kKeepaliveInterval_s = 180;
constexpr int kKeepaliveProbes = 9;

struct Plan {
  SocketKind kind;
  SocketAddress address;
  bool udp = false;
  bool dual = false;  // [::] that also takes v4
};

std::vector<Plan> plan_for(bool v6, bool dns) {
  const IpAddress loopback4 = IpAddress::v4({127, 0, 0, 1});
  const IpAddress loopback6 = *IpAddress::parse("::1");
  const IpAddress any = v6 ? *IpAddress::parse("::") : IpAddress::v4({0, 0, 0, 0});
  std::vector<Plan> plans = {
      {SocketKind::kOutbound4, {loopback4, WEFT_PORT_OUTBOUND}},
      {SocketKind::kInbound, {any, WEFT_PORT_INBOUND}, false, v6},
      {SocketKind::kHbone, {any, WEFT_PORT_HBONE}, false, v6},
  };
  if (v6) plans.push_back({SocketKind::kOutbound6, {loopback6, WEFT_PORT_OUTBOUND}});
  if (!dns) return plans;
  plans.push_back({SocketKind::kDnsUdp4, {loopback4, WEFT_PORT_DNS}, true});
  plans.push_back({SocketKind::kDnsTcp4, {loopback4, WEFT_PORT_DNS}});
  if (!v6) return plans;
  plans.push_back({SocketKind::kDnsUdp6, {loopback6, WEFT_PORT_DNS}, true});
  plans.push_back({SocketKind::kDnsTcp6, {loopback6, WEFT_PORT_DNS}});
  return plans;
}

bool set_int(int fd, int level, int option, int value) { return ::setsockopt(fd, level, option, &value, sizeof value) == 0; }

bool set_keepalive(int fd) {
  return set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdle_s) &&
         set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveInterval_s) && set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes) &&
         set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

// Which of the `loops` sockets takes a connection: the one of the CPU that handles it. One rule serves the whole group.
bool choose_by_cpu(int fd, std::uint32_t loops) {
  std::array<sock_filter, 3> code = {{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<__u32>(SKF_AD_OFF + SKF_AD_CPU)},
      {BPF_ALU | BPF_MOD | BPF_K, 0, 0, loops},
      {BPF_RET | BPF_A, 0, 0, 0},
  }};
  const sock_fprog program = {.len = code.size(), .filter = code.data()};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

// A proc of our own, mounted nowhere: a container's /proc/sys is read-only. Its sys/net is that of
// the thread's network namespace.
Fd detached_proc() {
  const Fd context(::fsopen("proc", FSOPEN_CLOEXEC));
  if (!context || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return {};
  return Fd(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
}

bool write_one(int directory, const char* path) {
  const Fd file(::openat(directory, path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), "1", 1) == 1;
}

// When a listener closes and others of its group live, what waits in its queue goes to them instead
// of being reset (Linux 5.14). Nothing but replacing a living ztunnel's listeners needs it, so a
// machine that refuses it loses no more than those connections.
void migrate_on_close() {
  if (write_one(AT_FDCWD, "/proc/sys/net/ipv4/tcp_migrate_req")) return;
  const Fd proc = detached_proc();
  if (!proc || !write_one(proc.get(), "sys/net/ipv4/tcp_migrate_req"))
    spdlog::debug("tcp_migrate_req cannot be set errno={}", errno);
}

Result<Fd> open_one(const Plan& plan, const MarkSocket& mark) {
  sockaddr_storage storage{};
  const socklen_t length = plan.address.to_sockaddr(storage);
  const int type = (plan.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  Fd fd(::socket(storage.ss_family, type, 0));
  if (!fd) return fail(Code::kSystem, "socket", errno);
  if (storage.ss_family == AF_INET6 && !set_int(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, plan.dual ? 0 : 1)) {
    return fail(Code::kSystem, "IPV6_V6ONLY", errno);
  }
  if (!set_int(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) return fail(Code::kSystem, "SO_REUSEPORT", errno);
  // Connections that ztunnel accepted are of its user, and outlive it in FIN_WAIT2; without this they forbid the port to us.
  if (!plan.udp && !set_int(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return fail(Code::kSystem, "SO_REUSEADDR", errno);
  if (!plan.udp && !set_keepalive(fd.get())) return fail(Code::kSystem, "keepalive", errno);
  if (auto marked = mark ? mark(fd.get()) : Result<void>(); !marked) return std::unexpected(marked.error());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
    return fail(Code::kSystem, "bind of a mesh port in the pod", errno);
  }
  if (!plan.udp && ::listen(fd.get(), kBacklog) != 0) return fail(Code::kSystem, "listen", errno);
  return fd;
}

// Runs inside the pod's namespace.
Result<std::vector<PodSocket>> open_all(const std::vector<Plan>& plans, std::uint32_t loops, const MarkSocket& mark) {
  std::vector<PodSocket> sockets;
  for (const auto& plan : plans) {
    for (std::uint32_t loop = 0; loop < loops; ++loop) {
      auto fd = open_one(plan, mark);
      if (!fd) return std::unexpected(fd.error());
      sockets.push_back({plan.kind, std::move(*fd)});
    }
    if (loops > 1 && !choose_by_cpu(sockets.back().fd.get(), loops)) {
      return fail(Code::kSystem, "SO_ATTACH_REUSEPORT_CBPF", errno);
    }
  }
  return sockets;
}

// A pod without IPv6 (disable_ipv6, or a kernel without) refuses ::1.
bool has_v6() { return open_one({SocketKind::kOutbound6, {*IpAddress::parse("::1"), 0}}, {}).has_value(); }

}  // namespace

Result<std::vector<PodSocket>> open_listeners(int netns_fd, std::uint32_t loops, bool dns, const MarkSocket& mark) {
  WEFT_ASSERT(loops >= 1);
  WEFT_ASSERT(loops <= kLoopsMost);
  Result<std::vector<PodSocket>> sockets;
  auto entered = in_netns(netns_fd, [&] {
    migrate_on_close();
    sockets = open_all(plan_for(has_v6(), dns), loops, mark);
  });
  if (!entered) return std::unexpected(entered.error());
  return sockets;
}

Result<std::vector<Fd>> open_connections(int netns_fd, std::uint32_t count, bool v6, bool udp) {
  WEFT_ASSERT(count >= 1);
  WEFT_ASSERT(count <= kConnectionsMost);
  std::vector<Fd> sockets;
  int error = 0;
  const int type = (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  auto entered = in_netns(netns_fd, [&] {
    while (sockets.size() < count) {
      Fd fd(::socket(v6 ? AF_INET6 : AF_INET, type, 0));
      const bool ready = fd && (!v6 || set_int(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0)) && (udp || set_keepalive(fd.get()));
      if (!ready) {
        error = errno;
        return;
      }
      sockets.push_back(std::move(fd));
    }
  });
  if (!entered) return std::unexpected(entered.error());
  if (sockets.empty()) return fail(Code::kSystem, "socket in the pod", error);
  return sockets;
}

}  // namespace weft::agent
