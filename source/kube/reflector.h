// Reflector: list and watch of one resource as a value: bytes in, items out. No I/O, no clock; the
// driver carries requests to an API server and answers back. One owner, one thread.
//
//   kListing ─last chunk→ kWatching ─end, cut, truncated line→ kWatching (same resourceVersion)
//      ↑ ↑── 410, ERROR event, garbage ──┘
//      └─ next version ── 404 (kListing) ── none is served → the resource is empty; asked again
//
// What is held changes only by an event or a whole list: an API server that is away changes
// nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "source/kube/json.h"
#include "source/kube/resource.h"
#include "source/object.h"

namespace weft::source::kube {

// etcd holds objects of 1.5 MiB; JSON may be longer than what was written.
inline constexpr std::size_t kLineMax = 3u << 20;
inline constexpr std::size_t kListMax = 256u << 20;  // one chunk

struct Request {
  std::string path;  // with the query
  bool watch = false;
  std::chrono::seconds limit{30};  // cut it after this
};

// How an exchange ended. `status` 0: no answer (refused, reset before the head, timed out).
struct Answer {
  long status = 0;
  std::chrono::seconds retry_after{0};
  bool complete = false;  // the body ended as HTTP says it must
  std::string error;      // text of the transport's failure
};

struct Item {
  ObjectKey key;
  ObjectPtr object;  // null: gone, or it has a problem
  std::optional<Problem> problem;
};

class Reflector {
 public:
  Reflector(Resource resource, std::uint64_t seed);

  // Not before this.
  Clock::time_point due() const { return due_; }
  // The exchange to make now. body() and end() belong to it.
  Request next();
  // A piece of the body. False: cut the exchange.
  bool body(long status, std::string_view bytes);
  void end(const Answer& answer, Clock::time_point now);

  // The whole list was in once (or the resource is not installed).
  bool synced() const { return synced_; }
  // What happened since the last call, in order.
  std::vector<Item> take() { return std::exchange(items_, {}); }
  // Why nothing is heard now; empty: all is well.
  const std::string& trouble() const { return trouble_; }
  const Resource& resource() const { return resource_; }
  std::uint64_t lists() const { return lists_; }  // whole lists so far

 private:
  enum class State : std::uint8_t { kListing, kWatching };
  using Name = std::pair<std::string, std::string>;  // namespace, name

  bool line(std::string_view text);
  bool event(const std::string& type, nlohmann::json& object);
  bool put(nlohmann::json object);
  void remove(const Name& name);
  bool take_list();
  void end_list(const Answer& answer, Clock::time_point now);
  void end_watch(const Answer& answer, Clock::time_point now);
  void not_served(Clock::time_point now);
  void relist();
  void wait(const Answer& answer, Clock::duration most, Clock::time_point now);
  Clock::duration jittered(Clock::duration about);
  std::string describe(const Answer& answer) const;

  const Resource resource_;
  std::mt19937_64 random_;
  JsonReader reader_;
  State state_ = State::kListing;
  Clock::time_point due_{};
  std::size_t version_ = 0;
  std::string resource_version_, continue_, buffer_, bad_;
  std::set<Name> held_, listed_;
  std::vector<Item> items_;
  std::string trouble_;
  std::uint64_t lists_ = 0;
  unsigned failures_ = 0, missing_ = 0;
  bool synced_ = false, heard_ = false, expired_ = false;
};

}  // namespace weft::source::kube
