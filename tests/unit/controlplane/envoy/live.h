// A real Envoy that is fed by a real control plane, in a network namespace of this process's own;
// upstreams and clients are sockets of the test. Each TEST is a process.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "controlplane/backends/envoy/feed.h"
#include "controlplane/ca/authority.h"
#include "controlplane/ca/callers.h"
#include "controlplane/ca/envoy_tokens.h"
#include "controlplane/server/server.h"
#include "controlplane/telemetry/collector.h"
#include "controlplane/xds/fleet.h"
#include "upstream.h"

namespace weft::controlplane::envoy {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

inline bool can_run_envoy() { return ::geteuid() == 0 && ::access(WEFT_ENVOY, X_OK) == 0; }

inline void own_network() {
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
  const Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
}

struct Ask {
  std::string to = "10.96.0.1:80";  // original destination
  std::optional<std::string> peer = "spiffe://cluster.local/ns/shop/sa/web";
  std::string path = "/", method = "GET", host = "reviews.shop";
  std::vector<std::string> headers;  // "name: value"
  std::string from = "10.244.1.7:40000";
};
struct Answer {
  int status = 0;  // 0: the connection was closed without an answer
  std::string head, body;
};

inline std::string proxy_v2(const Ask& ask) {
  const auto from = SocketAddress::parse(ask.from), to = SocketAddress::parse(ask.to);
  std::string block;
  for (const auto& one : {*from, *to})
    block.append(reinterpret_cast<const char*>(one.ip.bytes().data()), one.ip.bytes().size());
  for (const auto& one : {*from, *to}) {
    block += static_cast<char>(one.port >> 8);
    block += static_cast<char>(one.port & 255);
  }
  if (ask.peer) {
    block += '\xD0';
    block += static_cast<char>(ask.peer->size() >> 8);
    block += static_cast<char>(ask.peer->size() & 255);
    block += *ask.peer;
  }
  std::string out("\r\n\r\n\0\r\nQUIT\n\x21", 13);
  out += from->ip.is_v4() ? '\x11' : '\x21';
  out += static_cast<char>(block.size() >> 8);
  out += static_cast<char>(block.size() & 255);
  return out + block;
}

// True when `in` is a whole answer by its own content-length. Envoy keeps a connection open for a
// second after an answer of its own.
inline bool is_whole(const std::string& in) {
  const auto end = in.find("\r\n\r\n");
  const auto length = in.find("content-length: ");
  return end != std::string::npos && length != std::string::npos && length < end &&
         in.size() >= end + 4 + std::strtoul(in.c_str() + length + 16, nullptr, 10);
}

// Sends, and reads until the answer is whole or the connection ends.
inline std::string exchange(const std::string& bytes, std::uint16_t port = kWaypointPort) {
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 5, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const sockaddr_in address = loopback(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return "";
  ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  std::string out;
  char buffer[8192];
  for (;;) {
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(got));
    if (is_whole(out)) return out;
  }
}

// A client's connection that stays open.
class Kept {
 public:
  explicit Kept(const Ask& ask) : ask_(ask), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const sockaddr_in address = loopback(kWaypointPort);
    ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    write(proxy_v2(ask));
  }
  // The head of the answer; "" when the connection is gone.
  std::string get() {
    std::string request =
        ask_.method + " " + ask_.path + " HTTP/1.1\r\nhost: " + ask_.host + "\r\n";
    for (const std::string& one : ask_.headers) request += one + "\r\n";
    write(request + "\r\n");
    std::string in;
    char buffer[8192];
    for (;;) {
      if (is_whole(in)) return in.substr(0, in.find("\r\n\r\n"));
      const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return "";
      in.append(buffer, static_cast<std::size_t>(got));
    }
  }
  // Waits for the peer to close it.
  bool is_closed() {
    char byte = 0;
    return ::recv(fd_.get(), &byte, 1, 0) == 0;
  }

 private:
  void write(const std::string& bytes) {
    ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  const Ask ask_;
  const Fd fd_;
};

// The same in HTTP/2: a few frames by hand.
class Kept2 {
 public:
  explicit Kept2(const Ask& ask) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const sockaddr_in address = loopback(kWaypointPort);
    ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    write(proxy_v2(ask) + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, ""));
  }
  // Asks and reads until the answer is whole. True: it was a 200.
  bool get() {
    // :method GET, :scheme http, :path /, :authority a
    write(frame(kHeaders, kEndStream | kEndHeaders, stream_,
                std::string("\x82\x86\x84\x01\x01") + "a"));
    const std::uint32_t stream = std::exchange(stream_, stream_ + 2);
    bool good = false;
    while (read_frame()) {
      if (type_ == kHeaders && id_ == stream) good = payload_.starts_with('\x88');
      if (id_ == stream && (flags_ & kEndStream) != 0) return good;
    }
    return false;
  }
  bool going_away() const { return going_away_; }
  // Reads until the peer closes it.
  bool is_closed() {
    while (read_frame()) {
    }
    return closed_;
  }

 private:
  static constexpr std::uint8_t kHeaders = 1, kSettings = 4, kGoAway = 7;
  static constexpr std::uint8_t kEndStream = 1, kEndHeaders = 4;
  static std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t id,
                           const std::string& payload) {
    std::string out;
    for (const int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
    out += static_cast<char>(type);
    out += static_cast<char>(flags);
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(id >> shift);
    return out + payload;
  }
  bool take(std::size_t size, std::string& out) {
    out.assign(size, 0);
    const ssize_t got = size == 0 ? 0 : ::recv(fd_.get(), out.data(), size, MSG_WAITALL);
    closed_ = closed_ || (size > 0 && got == 0);
    return got == static_cast<ssize_t>(size);
  }
  bool read_frame() {
    std::string head;
    if (!take(9, head)) return false;
    const auto byte = [&](int i) { return static_cast<std::uint8_t>(head[i]); };
    type_ = byte(3);
    flags_ = byte(4);
    id_ = static_cast<std::uint32_t>(byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8));
    going_away_ = going_away_ || type_ == kGoAway;
    return take(static_cast<std::size_t>(byte(0) << 16 | byte(1) << 8 | byte(2)), payload_);
  }
  void write(const std::string& bytes) {
    ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  const Fd fd_;
  std::uint32_t stream_ = 1, id_ = 0;
  std::uint8_t type_ = 0, flags_ = 0;
  std::string payload_;
  bool going_away_ = false, closed_ = false;
};

inline Answer parse(const std::string& raw) {
  Answer out;
  const auto end = raw.find("\r\n\r\n");
  if (end == std::string::npos || raw.size() < 12) return out;
  out.status = std::atoi(raw.c_str() + 9);
  out.head = raw.substr(0, end);
  out.body = raw.substr(end + 4);
  return out;
}

inline std::string http(const Ask& ask) {
  std::string out =
      ask.method + " " + ask.path + " HTTP/1.1\r\nhost: " + ask.host + "\r\nconnection: close\r\n";
  for (const std::string& one : ask.headers) out += one + "\r\n";
  return out + "\r\n";
}

inline Answer send(const Ask& ask) { return parse(exchange(proxy_v2(ask) + http(ask))); }

struct NobodyKnown : telemetry::Directory {
  std::optional<telemetry::Workload> by_address(const IpAddress&) const override { return {}; }
  std::optional<telemetry::Service> service_at(const SocketAddress&) const override { return {}; }
  std::optional<telemetry::Service> service_by_host(const std::string&) const override {
    return {};
  }
};

class LiveEnvoy : public testing::Test {
 protected:
  LiveEnvoy() {
    if (can_run_envoy()) own_network();  // before anybody opens a socket
  }
  void SetUp() override {
    if (!can_run_envoy()) GTEST_SKIP() << "needs root and " << WEFT_ENVOY;
    char name[] = "/tmp/weft-envoy-XXXXXX";
    root_ = ::mkdtemp(name);
    authority_ = std::move(
        *ca::Authority::open({.state_dir = (root_ / "state").string()}, WallClock::now()));
    std::ofstream(root_ / "tokens") << "[]\n";
    tokens_ = std::make_unique<ca::Tokens>((root_ / "tokens").string());
    envoy_tokens_ = std::make_unique<ca::EnvoyTokens>(*ca::EnvoyTokens::open(root_ / "state"));
    const auto serving = authority_->serve({"localhost"}, {"127.0.0.1"}, WallClock::now());
    auto started = server::Server::start({.plaintext_address = "127.0.0.1:0",
                                          .serving_chain_path = serving->chain_path,
                                          .serving_key_path = serving->key_path,
                                          .roots_path = authority_->bundle_path()},
                                         {cache_, *authority_, tokens_.get(), nodes_, counters_,
                                          &fleet_, envoy_tokens_.get(), &collector_});
    ASSERT_TRUE(started) << started.error().text;
    server_ = std::move(*started);
    restart_feed();
    launch();
  }
  virtual Settings settings() const { return {.tracing = {}, .headers_timeout = 2s}; }
  // As a control plane that starts with other settings; Envoy stays.
  void restart_feed() {
    feed_ = std::make_unique<Feed>(
        settings(), fleet_, [this](const std::string& id) { return envoy_tokens_->make(id); });
  }
  void TearDown() override {
    if (envoy_ > 0) {
      ::kill(envoy_, SIGKILL);
      ::waitpid(envoy_, nullptr, 0);
    }
    server_.reset();
    if (HasFailure()) {
      std::ifstream log(root_ / "log");
      std::string line;
      for (int i = 0; i < 60 && std::getline(log, line); ++i) std::cerr << line << "\n";
    }
    if (!root_.empty()) fs::remove_all(root_);
  }

  void launch() {
    const std::string token = envoy_tokens_->make(kId);
    std::ofstream(root_ / "bootstrap.yaml")
        << "node: {id: '" << kId << "', cluster: weft-waypoint}\n"
        << "layered_runtime: {layers: [{name: weft, static_layer: "
           "{re2.max_program_size.error_level: 32768}}]}\n"
        << "dynamic_resources:\n"
           "  lds_config: {resource_api_version: V3, ads: {}}\n"
           "  cds_config: {resource_api_version: V3, ads: {}}\n"
           "  ads_config: {api_type: DELTA_GRPC, transport_api_version: V3, "
           "set_node_on_first_message_only: true, grpc_services: [{envoy_grpc: {cluster_name: "
           "weft-xds}, initial_metadata: [{key: authorization, value: 'Bearer "
        << token
        << "'}]}]}\n"
           "static_resources:\n  clusters:\n  - name: weft-xds\n    type: STATIC\n"
           "    load_assignment: {cluster_name: weft-xds, endpoints: [{lb_endpoints: [{endpoint: "
           "{address: {socket_address: {address: 127.0.0.1, port_value: "
        << server_->plaintext_port()
        << "}}}}]}]}\n"
           "    typed_extension_protocol_options: "
           "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': "
           "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
           "explicit_http_config: {http2_protocol_options: {}}}}\n";
    envoy_ = ::fork();
    if (envoy_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const std::string config = root_ / "bootstrap.yaml", log = root_ / "log";
      ::execl(WEFT_ENVOY, "envoy", "-c", config.c_str(), "--log-path", log.c_str(), "-l",
              std::getenv("WEFT_ENVOY_LOG") != nullptr ? std::getenv("WEFT_ENVOY_LOG") : "warning",
              "--concurrency", "1", "--disable-hot-restart", "--drain-time-s", "2",
              "--drain-strategy", "immediate", nullptr);
      ::_exit(127);
    }
  }

  void set(const model::Plan& plan) {
    plan_ = plan;
    feed_->set(plan);
  }
  // Until every service and listener is what the plan says, or was refused.
  Progress settle(std::chrono::milliseconds limit = 20s) {
    const auto end = Clock::now() + limit;
    Progress progress;
    for (;;) {
      progress = feed_->progress(kId);
      bool done = progress.connected;
      for (const auto* list : {&progress.services, &progress.listeners}) {
        for (const auto& [name, one] : *list) done = done && one.state != ServiceState::kPending;
      }
      if (done || Clock::now() > end) return progress;
      std::this_thread::sleep_for(5ms);
    }
  }
  void apply(const model::Plan& plan) {
    set(plan);
    const Progress progress = settle();
    ASSERT_TRUE(progress.connected);
    for (const auto* list : {&progress.services, &progress.listeners}) {
      for (const auto& [name, one] : *list)
        ASSERT_EQ(one.state, ServiceState::kAcked) << name << ": " << one.text;
    }
    for (const auto& [key, one] : fleet_.status(kId).resources)
      EXPECT_NE(one.taken, xds::Taken::kRejected) << key.second << ": " << one.error;
    // An acknowledgement comes before the workers have it.
    std::this_thread::sleep_for(50ms);
  }

  static constexpr const char* kId = "waypoint~shop/weft-waypoint";
  fs::path root_;
  xds::Cache cache_;
  xds::Fleet fleet_;
  ca::NodeAuthorizer nodes_{"cluster.local"};
  server::Counters counters_;
  NobodyKnown directory_;
  telemetry::Collector collector_{{.access_log = false}, directory_};
  std::unique_ptr<ca::Authority> authority_;
  std::unique_ptr<ca::Tokens> tokens_;
  std::unique_ptr<ca::EnvoyTokens> envoy_tokens_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<Feed> feed_;
  pid_t envoy_ = -1;
  model::Plan plan_;
};

}  // namespace weft::controlplane::envoy
