#include "bpf/user/datapath.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/fd.h"
#include "bpf/user/features.h"
#include "bpf/user/maps.h"
#include "bpf/user/pins.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-parameter"
#include <bpf/capture.skel.h>
#pragma clang diagnostic pop

namespace weft::bpf {
namespace {

// The last lines that libbpf warned with on this thread: the why behind an errno, for Problem
// texts.
thread_local std::string libbpf_said;
constexpr std::size_t kSaidBytesMax = 2000;

__attribute__((format(printf, 2, 0))) int remember(libbpf_print_level level, const char* format,
                                                   va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  vsnprintf(line, sizeof(line), format, arguments);
  libbpf_said += line;
  if (libbpf_said.size() > kSaidBytesMax) libbpf_said.erase(0, libbpf_said.size() - kSaidBytesMax);
  return 0;
}

std::unexpected<Problem> missing_feature() {
  const auto features = probe_features();
  for (const Feature& feature : features) {
    if (!feature.required || feature.present) continue;
    utsname kernel{};
    uname(&kernel);
    return problem(fmt::format("load the BPF programs: {} ({}) needs Linux {}, this is {}",
                               feature.name, feature.needed_for, feature.since, kernel.release));
  }
  return problem(fmt::format("load the BPF programs: {}: {}", std::strerror(errno), libbpf_said));
}

// Pins that another version made cannot be taken over: their values would be misread.
Parsed<void> check_abi(const std::string& pin_dir) {
  const Fd fd(bpf_obj_get((pin_dir + "/weft_abi").c_str()));
  if (!fd) return {};
  const std::uint32_t key = 0;
  std::uint32_t version = 0;
  // 0: made, but its maker died before it wrote anything.
  if (bpf_map_lookup_elem(fd.get(), &key, &version) != 0 || version == WEFT_ABI_VERSION ||
      version == 0)
    return {};
  return problem(
      fmt::format("{} holds pins of ABI version {}, this is version {}: take them off first "
                  "(weftctl uninstall)",
                  pin_dir, version, WEFT_ABI_VERSION));
}

Parsed<Fd> open_cgroup(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return problem(fmt::format("cgroup {}: {}", path, std::strerror(errno)));
  struct statfs fs{};
  if (fstatfs(fd.get(), &fs) != 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
    return problem(
        fmt::format("cgroup {}: not a cgroup v2 directory (on a hybrid host it is below "
                    "/sys/fs/cgroup/unified)",
                    path));
  return fd;
}

struct DestroySkeleton {
  void operator()(weft_capture_bpf* skeleton) const { weft_capture_bpf__destroy(skeleton); }
};

std::vector<bpf_program*> cgroup_programs(const weft_capture_bpf& skeleton) {
  // What shows the truth comes before what makes it necessary.
  const auto& p = skeleton.progs;
  return {p.getpeername4, p.getpeername6, p.getsockname4, p.getsockname6, p.recvmsg4,
          p.recvmsg6,     p.getsockopt,   p.setsockopt,   p.rendezvous,   p.bind4,
          p.bind6,        p.sendmsg4,     p.sendmsg6,     p.connect4,     p.connect6};
}

Parsed<void> attach(std::span<bpf_program* const> programs, const std::string& cgroup,
                    const std::string& pin_dir) {
  auto directory = open_cgroup(cgroup);
  if (!directory) return problem(directory.error().text);
  struct stat info{};
  if (fstat(directory->get(), &info) != 0)
    return problem(fmt::format("cgroup {}: {}", cgroup, std::strerror(errno)));
  for (bpf_program* program : programs) {
    auto kept = keep_cgroup_link(link_pin(pin_dir, bpf_program__name(program)), program,
                                 directory->get(), info.st_ino);
    if (!kept) return kept;
  }
  return {};
}

}  // namespace

struct Datapath::State {
  std::string pin_dir;
  std::unique_ptr<weft_capture_bpf, DestroySkeleton> skeleton;

  const auto& maps() const { return skeleton->maps; }
};

Datapath::Datapath(std::unique_ptr<State> state) : state_(std::move(state)) {}
Datapath::Datapath(Datapath&&) noexcept = default;
Datapath& Datapath::operator=(Datapath&&) noexcept = default;
Datapath::~Datapath() = default;

Parsed<Datapath> Datapath::open(const Options& options) {
  libbpf_set_print(remember);
  libbpf_said.clear();
  if (auto ready = prepare_pin_dir(options.pin_dir); !ready) return problem(ready.error().text);
  if (auto same = check_abi(options.pin_dir); !same) return problem(same.error().text);
  auto cgroup = open_cgroup(options.cgroup);
  if (!cgroup) return problem(cgroup.error().text);

  auto state = std::make_unique<State>();
  state->pin_dir = options.pin_dir;
  state->skeleton.reset(weft_capture_bpf__open());
  if (!state->skeleton)
    return problem(fmt::format("open the BPF object: {}", std::strerror(errno)));
  state->skeleton->rodata->weft_has_set_retval = has_set_retval();
  state->skeleton->rodata->weft_has_mptcp = has_mptcp_socket();
  state->skeleton->rodata->weft_node_netns = options.node_netns_cookie;

  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, state->skeleton->obj) {
    if (bpf_map__is_internal(map)) continue;
    const std::string pin = fmt::format("{}/{}", options.pin_dir, bpf_map__name(map));
    if (bpf_map__set_pin_path(map, pin.c_str()) != 0)
      return problem(fmt::format("pin {}: {}", pin, std::strerror(errno)));
  }
  if (weft_capture_bpf__load(state->skeleton.get()) != 0) return missing_feature();
  if (auto put = map_put(state->maps().weft_abi, std::uint32_t{0}, std::uint32_t{WEFT_ABI_VERSION});
      !put)
    return problem(describe(put.error()));

  auto attached = attach(cgroup_programs(*state->skeleton), options.cgroup, options.pin_dir);
  if (!attached) return problem(attached.error().text);
  if (!options.node_cgroup.empty()) {
    bpf_program* const witness[] = {state->skeleton->progs.witness};
    attached = attach(witness, options.node_cgroup, options.pin_dir);
    if (!attached) return problem(attached.error().text);
  }
  if (auto kept = keep_netns_links(options.pin_dir, state->skeleton->progs.inbound); !kept)
    return problem(kept.error().text);
  return Datapath(std::move(state));
}

Result<void> Datapath::set_pod(std::uint64_t netns_cookie, const weft_pod& pod) {
  return map_put(state_->maps().weft_pods, netns_cookie, pod);
}

Result<void> Datapath::remove_pod(std::uint64_t netns_cookie) {
  return map_remove(state_->maps().weft_pods, netns_cookie);
}

Result<void> Datapath::enroll_ip(const IpAddress& ip) {
  return map_put(state_->maps().weft_enrolled_ips, key_of(ip), std::uint32_t{0});
}

Result<void> Datapath::withdraw_ip(const IpAddress& ip) {
  return map_remove(state_->maps().weft_enrolled_ips, key_of(ip));
}

Result<void> Datapath::set_listener(const IpAddress& ip, int listener_fd) {
  return map_put(state_->maps().weft_listeners, key_of(ip),
                 static_cast<std::uint64_t>(listener_fd));
}

Result<void> Datapath::remove_listener(const IpAddress& ip) {
  return map_remove(state_->maps().weft_listeners, key_of(ip));
}

Result<bool> Datapath::has_listener(const IpAddress& ip) const {
  const auto key = key_of(ip);
  std::uint64_t socket_cookie = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(state_->maps().weft_listeners), &key, &socket_cookie) == 0)
    return true;
  if (errno == ENOENT) return false;
  return fail(Code::kSystem, "weft_listeners", errno);
}

Result<std::uint64_t> Datapath::attach_inbound(int netns_fd) {
  return attach_netns(state_->pin_dir, state_->skeleton->progs.inbound, netns_fd);
}

Result<void> Datapath::detach_inbound(std::uint64_t netns_inode) {
  return drop_link(netns_pin(state_->pin_dir, netns_inode));
}

Result<void> Datapath::mark_owned(int socket_fd) {
  return map_put(state_->maps().weft_sockets, socket_fd, weft_socket{.flags = WEFT_SOCKET_OWNED});
}

Result<void> Datapath::set_dns_ips(std::span<const IpAddress> ips) {
  return replace_addresses(state_->maps().weft_dns_ips, ips);
}

Result<std::vector<PodEntry>> Datapath::pods() const {
  auto cookies = map_keys<std::uint64_t>(state_->maps().weft_pods);
  if (!cookies) return std::unexpected(cookies.error());
  std::vector<PodEntry> entries;
  for (const std::uint64_t cookie : *cookies) {
    PodEntry entry{cookie, {}};
    if (bpf_map_lookup_elem(bpf_map__fd(state_->maps().weft_pods), &cookie, &entry.pod) == 0)
      entries.push_back(entry);
  }
  return entries;
}

Result<std::vector<IpAddress>> Datapath::enrolled_ips() const {
  return addresses_in(state_->maps().weft_enrolled_ips);
}

Result<std::vector<IpAddress>> Datapath::listener_ips() const {
  return addresses_in(state_->maps().weft_listeners);
}

Result<std::vector<std::uint64_t>> Datapath::inbound_netns() const {
  std::vector<std::uint64_t> inodes = netns_pins(state_->pin_dir);
  std::erase_if(inodes, [&](std::uint64_t inode) {
    return live_netns_of(netns_pin(state_->pin_dir, inode)) == 0;
  });
  return inodes;
}

Result<Counters> Datapath::counters() const { return sum_counters(state_->maps().weft_counters); }

Result<std::vector<MapFill>> Datapath::fill() const {
  const auto& maps = state_->maps();
  std::vector<MapFill> fills;
  for (bpf_map* map : {maps.weft_pods, maps.weft_enrolled_ips, maps.weft_listeners, maps.weft_flows,
                       maps.weft_node_flows, maps.weft_dns_ips}) {
    auto entries = count_entries(map);
    if (!entries) return std::unexpected(entries.error());
    fills.push_back({bpf_map__name(map), *entries, bpf_map__max_entries(map)});
  }
  return fills;
}

Result<std::vector<ProgramInfo>> Datapath::programs() const {
  std::vector<ProgramInfo> programs;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, state_->skeleton->obj) {
    bpf_prog_info info{};
    std::uint32_t length = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0)
      return fail(Code::kSystem, "program info", errno);
    const std::string name = bpf_program__name(program);
    programs.push_back({name, info.id, link_id_of(link_pin(state_->pin_dir, name))});
  }
  return programs;
}

Result<std::uint64_t> netns_cookie_of(int socket_fd) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  constexpr int kNetnsCookie = 71;  // SO_NETNS_COOKIE, Linux 5.14; not in Debian 12's glibc
  if (getsockopt(socket_fd, SOL_SOCKET, kNetnsCookie, &cookie, &length) != 0)
    return fail(Code::kSystem, "SO_NETNS_COOKIE", errno);
  return cookie;
}

weft_pod make_pod(const std::optional<IpAddress>& ip4, const std::optional<IpAddress>& ip6,
                  std::uint32_t flags, std::uint32_t generation) {
  weft_pod pod{.flags = flags, .generation = generation};
  if (ip4) std::ranges::copy(ip4->mapped(), pod.ip4);
  if (ip6) std::ranges::copy(ip6->mapped(), pod.ip6);
  return pod;
}

}  // namespace weft::bpf
