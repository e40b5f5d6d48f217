#include "tests/bpf/world.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <thread>

namespace weft::bpf_test {
namespace {

Fd own_netns() { return Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

// Failing here is no claim of a test: the machine cannot play.
void must(bool holds, const std::string& what) {
  if (holds) return;
  fmt::print(stderr, "test world: {}: errno {}\n", what, errno);
  std::_Exit(1);
}

}  // namespace

InNetns::InNetns(const Fd& netns) : before_(own_netns()) {
  must(setns(netns.get(), CLONE_NEWNET) == 0, "setns");
}
InNetns::~InNetns() { must(setns(before_.get(), CLONE_NEWNET) == 0, "setns back"); }

Fd new_netns() {
  Fd made;
  std::thread([&] {
    must(unshare(CLONE_NEWNET) == 0, "unshare");
    made = own_netns();
  }).join();
  return made;
}

std::uint64_t cookie_of(const Fd& netns) {
  const InNetns here(netns);
  const Fd any = stream_socket(Form::kV4);
  return bpf::netns_cookie_of(any.get()).value();
}

std::uint64_t inode_of(const Fd& netns) {
  struct stat info{};
  must(fstat(netns.get(), &info) == 0, "stat netns");
  return info.st_ino;
}

void ip(const Fd& netns, const std::string& arguments) {
  const InNetns here(netns);
  must(std::system(("ip " + arguments).c_str()) == 0, "ip " + arguments);
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  must(file.good(), "write " + path);
}

// The node's cgroup, and the pods' below it, in which this process plays; see AsNode.
World::World() : node_cgroup_(std::getenv("WEFT_TEST_CGROUP")), cgroup_(node_cgroup_ + "/pods") {
  static int worlds = 0;
  must(mkdir(cgroup_.c_str(), 0755) == 0 || errno == EEXIST, "make " + cgroup_);
  write_file(cgroup_ + "/cgroup.procs", "0");
  pin_dir_ = fmt::format("/sys/fs/bpf/world{}", ++worlds);
  pod_ = new_netns();
  neighbour_ = new_netns();
  ip(pod_, "link set lo up");
  ip(neighbour_, "link set lo up");
  ip(pod_, fmt::format("link add eth0 type veth peer name eth0 netns /proc/{}/fd/{}", getpid(),
                       neighbour_.get()));
  for (const auto& [netns, v4, v6] :
       {std::tuple{&pod_, kPod4, kPod6}, std::tuple{&neighbour_, kNeighbour4, kNeighbour6}}) {
    ip(*netns, "link set eth0 up");
    ip(*netns, fmt::format("addr add {}/24 dev eth0", v4));
    ip(*netns, fmt::format("addr add {}/64 dev eth0 nodad", v6));
  }
  datapath_.emplace(open_datapath());
  ztunnel_ = start_ztunnel(pod_);
}

World::~World() {
  datapath_.reset();
  auto off = bpf::unload(pin_dir_);
  EXPECT_TRUE(off) << off.error().text;
  write_file(node_cgroup_ + "/cgroup.procs", "0");
  rmdir(cgroup_.c_str());
}

AsNode::AsNode(std::string node_cgroup, std::string back)
    : back_(std::move(back)) {
  write_file(node_cgroup + "/cgroup.procs", "0");
}
AsNode::~AsNode() { write_file(back_ + "/cgroup.procs", "0"); }

Fd World::bare_netns() {
  Fd netns = new_netns();
  ip(netns, "link set lo up");
  return netns;
}

bpf::Datapath World::open_datapath() {
  auto opened = bpf::Datapath::open({.cgroup = cgroup_,
                                     .node_cgroup = node_cgroup_,
                                     .node_netns_cookie = cookie_of(neighbour_),
                                     .pin_dir = pin_dir_});
  if (!opened) fmt::print(stderr, "{}\n", opened.error().text);
  must(opened.has_value(), "open the datapath");
  return std::move(*opened);
}

Ztunnel World::start_ztunnel(const Fd& netns) {
  const InNetns here(netns);
  // As the agent does: only what is marked may take the mesh's ports.
  const Opened mark = [this](const Fd& fd) {
    must(datapath_->mark_owned(fd.get()).has_value(), "mark owned");
  };
  const auto listener = [&](const char* address, std::uint16_t port) {
    return listen_at(at(address, port), 128, mark);
  };
  Ztunnel made{listener("127.0.0.1", WEFT_PORT_OUTBOUND),
               listener("::1", WEFT_PORT_OUTBOUND),
               listener("::", WEFT_PORT_INBOUND),
               datagram_at(at("127.0.0.1", WEFT_PORT_DNS), mark),
               datagram_at(at("::1", WEFT_PORT_DNS), mark),
               listener("127.0.0.1", WEFT_PORT_DNS)};
  for (const Fd* fd :
       {&made.outbound4, &made.outbound6, &made.inbound, &made.dns4, &made.dns6, &made.dns_tcp4}) {
    must(fd->valid(), "ztunnel's listener");
  }
  return made;
}

void World::enrol_outbound(std::uint32_t flags) {
  ASSERT_TRUE(datapath_->set_pod(
      cookie_of(pod_), bpf::make_pod(IpAddress::parse(kPod4), IpAddress::parse(kPod6), flags, 1)));
}

void World::enrol_inbound() {
  for (const char* address : {kPod4, kPod6}) {
    const IpAddress ip = *IpAddress::parse(address);
    ASSERT_TRUE(datapath_->set_listener(ip, ztunnel_.inbound.get()));
    ASSERT_TRUE(datapath_->enroll_ip(ip));
  }
  ASSERT_TRUE(datapath_->attach_inbound(pod_.get()));
}

Fd World::ztunnel_dial_socket(Form form, const SocketAddress& client) {
  const InNetns here(pod_);
  Fd fd = stream_socket(form);
  EXPECT_TRUE(datapath_->mark_owned(fd.get()));
  weft_address shown{.port_be = htons(client.port)};
  const auto bytes = client.ip.mapped();
  std::copy(bytes.begin(), bytes.end(), shown.ip);
  EXPECT_EQ(setsockopt(fd.get(), SOL_WEFT, WEFT_SO_CLIENT, &shown, sizeof(shown)), 0) << errno;
  return fd;
}

std::uint64_t World::counted(weft_counter counter) {
  return datapath_->counters().value()[counter];
}

std::uint32_t World::entries_of(std::string_view map) {
  for (const auto& fill : datapath_->fill().value())
    if (fill.name == map) return fill.entries;
  ADD_FAILURE() << "no map " << map;
  return ~0u;
}

}  // namespace weft::bpf_test
