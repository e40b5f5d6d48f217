// Lease: which of a node's agents may change what is in the kernel. There is more than one only
// during an upgrade. It is a lock on the directory of the pins, so that it is free when its holder
// is gone, however it went. One thread.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace weft::agent {

class Lease {
 public:
  // Makes the directory (0700) when it is missing. The problem names the path.
  static Parsed<Lease> of(const std::string& pin_directory);

  // False: another process holds it. Again, when we hold it: true. Errors: kSystem.
  Result<bool> take();
  void give_up();
  bool held() const { return held_; }

 private:
  explicit Lease(Fd directory) : directory_(std::move(directory)) {}

  Fd directory_;
  bool held_ = false;
};

}  // namespace weft::agent
