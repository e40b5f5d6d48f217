// Session: one client's delta ADS stream as a sans-I/O value: requests in, responses out. Source:
// ambient-protocol facts §2.1, §2.2.
//   Policies go out before the workloads that name them, and are taken back after them:
//   Authorization upserts, then Address, then Authorization removes. Changes while a response is
//   being written fold into the next one.
// Not synchronised: whoever owns the stream owns the session.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controlplane/xds/cache.h"

namespace weft::controlplane::xds {

struct Request {
  std::string type;
  std::vector<std::string> subscribe, unsubscribe;
  std::map<std::string, std::string> initial_versions;  // name → version
  std::string nonce;                 // of the response that this answers, or empty
  std::optional<std::string> error;  // set: a NACK
  std::string node_id, node_name;    // set on the first request
};

struct Response {
  std::string type, nonce, version;
  std::vector<ResourcePtr> resources;
  std::vector<std::string> removed;
};

// What a client is told and has answered, for people.
struct TypeStatus {
  std::string type;
  bool wildcard = false;
  std::size_t names = 0;
  std::uint64_t sent = 0, acked = 0;  // generations of the cache
  std::uint64_t nacks = 0;
  std::string last_error;
};

class Session {
 public:
  static constexpr std::size_t kInFlightMax = 1'000;
  // What a client can make us remember.
  static constexpr std::size_t kNamesMax = 65'536;      // asked for by name, of one type
  static constexpr std::size_t kVersionsMax = 262'144;  // that it came with, of one type
  static constexpr std::size_t kNameBytesMax = 1'024;
  static constexpr std::size_t kErrorBytesMax = 2'048;  // of a NACK's words; more is cut off

  // Types are served in this order; the first one's removes go last.
  Session(const Cache& cache, std::vector<std::string> types,
          std::size_t response_bytes_max = 100 << 20);

  // False: a request that cannot be served, an unknown type or one beyond the maxima above (then
  // asks_too_much()); the stream must end with INVALID_ARGUMENT or RESOURCE_EXHAUSTED.
  bool receive(const Request& request);
  // What to write now, or nothing. Call again after each write and whenever the cache changed.
  std::optional<Response> next();
  // The client lags behind what the cache remembers: the stream must end, so that it comes back
  // with its versions.
  bool must_reconnect() const { return lost_; }

  bool asks_too_much() const { return too_much_; }

  const std::string& node_id() const { return node_id_; }
  const std::string& node_name() const { return node_name_; }
  std::uint64_t responses() const { return nonce_; }
  std::uint64_t nacks() const;
  std::vector<TypeStatus> status() const;

 private:
  struct Subscription {
    bool started = false;      // there was a request of this type
    bool owes_answer = false;  // the next response goes out even when it is empty
    bool wildcard = false;
    std::set<std::string> names;  // asked by name (canonical, alias), and groups that come along
    std::set<std::string> unanswered;            // names that were just asked for
    std::map<std::string, std::string> initial;  // versions that the client came with
    std::set<std::string> sent_names;            // what a client without wildcard holds
    std::uint64_t upserts = 0, removes = 0;      // the log is told up to here
    std::uint64_t acked = 0, nacks = 0;
    std::string last_error;
    std::map<std::uint64_t, std::uint64_t> in_flight;  // nonce → generation; at most kInFlightMax
  };

  static bool wants(const Subscription& subscription, const Resource& resource);
  static void follow(Subscription& subscription, const std::string& name);
  void subscribe(Subscription& subscription, const Request& request);
  void answered(Subscription& subscription, const Request& request);
  // Each adds to `out` what the client lacks and moves the subscription on.
  void upserts(Subscription& subscription, const TypeCache& cache, std::uint64_t generation,
               Response& out);
  void answer_names(Subscription& subscription, const TypeCache& cache, Response& out);
  void removes(Subscription& subscription, const TypeCache& cache, std::uint64_t generation,
               Response& out);
  std::optional<Response> finish(Subscription& subscription, std::uint64_t generation,
                                 Response response);

  const Cache& cache_;
  std::vector<std::string> order_;
  std::size_t bytes_max_;
  std::map<std::string, Subscription> subscriptions_;  // by type
  std::string node_id_, node_name_;
  std::uint64_t nonce_ = 0;
  bool lost_ = false;
  bool too_much_ = false;
};

}  // namespace weft::controlplane::xds
