// Fleet: which resources each Envoy (by node id) should have, and how far each has come. Streams
// join as members; a member plays one delta ADS stream in the order that keeps traffic flowing
// (ordered_session.h). Any thread; one lock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/xds/ordered_session.h"

namespace weft::controlplane::xds {

// What the connected Envoys of one id made of a resource. The worst of them counts.
enum class Taken : std::uint8_t { kPending, kAcked, kRejected };
struct FleetStatus {
  bool connected = false;
  std::uint64_t sent = 0, nacks = 0;  // resources, responses; of the streams that are open
  // By (type, name): every resource of the snapshot, and those that are still to be removed.
  struct One {
    Taken taken = Taken::kPending;
    bool held = false;  // every Envoy holds some version of it, maybe an older one
    std::string error;  // Envoy's words when kRejected
  };
  std::map<std::pair<std::string, std::string>, One> resources;
};

class Fleet {
 public:
  // One open stream. Owned by it; leaves the fleet when destroyed. REQUIRES: one caller at a time.
  class Member {
   public:
    ~Member();
    // False: the stream must end with INVALID_ARGUMENT.
    bool receive(const Request& request);
    // What to write now, or nothing. Again after each write, each receive() and each wake.
    std::optional<Response> next();
    std::vector<TypeStatus> status() const;
    std::uint64_t responses() const;

   private:
    friend class Fleet;
    Member(Fleet& fleet, std::string id, std::function<void()> wake);
    Fleet& fleet_;
    const std::string id_;
    const std::function<void()> wake_;
    OrderedSession session_;  // guarded by the fleet's lock
  };

  // `wake` is called on any thread, with no lock of the fleet held, when next() may have something.
  std::unique_ptr<Member> join(std::string id, std::function<void()> wake);

  void set(const std::string& id, SnapshotPtr snapshot);
  void remove(const std::string& id);
  FleetStatus status(const std::string& id) const;
  std::size_t members() const;
  // Called after a member's state of a resource changed or one came or went, on the thread that
  // changed it. Only to take note: it must not call set() or remove(). Set it before the first
  // join.
  void on_change(std::function<void(const std::string& id)> changed);

 private:
  struct Group {
    SnapshotPtr snapshot;
    std::vector<Member*> members;
  };
  void leave(Member& member);
  void changed(const std::string& id) const;

  mutable std::mutex mutex_;
  std::map<std::string, Group> groups_;
  std::function<void(const std::string&)> changed_;
};

}  // namespace weft::controlplane::xds
