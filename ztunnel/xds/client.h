// Client: the delta ADS stream. Comes back after every failure (10 ms, doubling to 15 s; a graceful close starts at 10 ms again).
//
//   kIdle ─connect→ kStarting ─started→ kOpen ─read failed→ kEnding ─finished→ kIdle (and a timer)
//                       └───────── not started ────────────────↑
//
// Everything private runs on the rpc::GrpcThread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ztunnel/rpc/channel.h"
#include "ztunnel/rpc/grpc_thread.h"
#include "ztunnel/xds/session.h"

namespace weft::xds {

struct ClientOptions {
  rpc::Endpoint endpoint;
  NodeInfo node;
  bool on_demand = false;
  std::string cache_path;  // empty: nothing is kept on disk
};

// Any thread. Indices of `terminations` and `messages` follow the names.
struct ClientCounters {
  static constexpr std::array<const char*, 4> kReasons = {"ConnectionError", "Error", "Reconnect", "Complete"};
  std::array<std::atomic<std::uint64_t>, 4> terminations{};
  std::array<std::atomic<std::uint64_t>, 2> messages{}, bytes{};  // Address, Authorization
  std::atomic<std::uint64_t> rejected = 0, accepted = 0;          // resources
  std::atomic<bool> connected = false;
  std::atomic<bool> synced = false;  // both types answered by the control plane
  std::atomic<bool> loaded = false;  // began with the cache
};

// What a message changed. Called on the rpc::GrpcThread, in order; hand it to the main thread.
struct Update {
  state::Edits edits;
  std::vector<std::string> answered;
};
using Sink = std::function<void(Update)>;

class Client {
 public:
  Client(rpc::GrpcThread& thread, ClientOptions options, Sink sink);
  ~Client();  // REQUIRES: stop() returned
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Loads the cache, then connects. Any thread, once.
  void start();
  // Ends the stream, writes the cache and waits for both. Any thread but the rpc::GrpcThread.
  void stop();
  // On demand: asks for one name; the answer comes as Update::answered. Any thread.
  void want(std::string name);

  const ClientCounters& counters() const { return counters_; }

 private:
  class Stream;
  void connect();
  void on_response(const Response& response);
  void on_end(bool started, int code, const std::string& message);
  void schedule_save();
  void save();

  rpc::GrpcThread& thread_;
  const ClientOptions options_;
  const Sink sink_;
  ClientCounters counters_;

  // Owned by the rpc::GrpcThread.
  Session session_;
  std::unique_ptr<Stream> stream_;
  Clock::duration backoff_;
  bool stopping_ = false;
  bool told_ = false;  // that the control plane is away
  bool save_scheduled_ = false;
  Clock::duration save_wait_;
  std::function<void()> on_stopped_;
};

}  // namespace weft::xds
