// Watch: which files below a directory may have changed. inotify on every directory plus a timer,
// behind one pollable descriptor; says paths, never reads files. One owner, one thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace weft::source {

// What a turn has to look at again.
struct Changes {
  bool everything =
      false;  // a directory changed, events were lost, or it is time: list the tree again
  std::set<std::string> files;  // full paths
};

class Watch {
 public:
  struct Timing {
    Clock::duration quiet, cap, resync;
  };
  static Parsed<std::unique_ptr<Watch>> open(std::string directory, Timing timing);

  int fd() const { return poll_.get(); }
  // Never blocks. True when `out` is ripe: silent for `quiet`, or `cap` old, or `resync` is due.
  bool take(Changes& out);
  // Makes sure that `directory` is watched. False when it cannot be (gone, too many watches).
  bool add(const std::string& directory);
  // The next take() is ripe at once.
  void wake();

 private:
  explicit Watch(Timing timing) : timing_(timing) {}
  void read_events();
  void event(int watch, std::uint32_t mask, const char* name);
  void arm(Clock::time_point at);

  Timing timing_;
  Fd inotify_, timer_, poll_;
  std::map<int, std::string> directories_;  // by watch descriptor
  Changes pending_;
  bool dirty_ = false;
  Clock::time_point first_, last_, next_resync_;
};

// True for names that hold manifests: *.yaml *.yml *.json, not hidden, not ending in ".tmp".
bool is_manifest_name(std::string_view name);

}  // namespace weft::source
