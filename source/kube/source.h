// KubeSource: the objects of a cluster's API server. A thread of its own talks to the server (one
// HTTP/2 connection, one list or watch per resource); what it heard waits here for poll().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "source/kube/access.h"
#include "source/kube/resource.h"
#include "source/source.h"

namespace weft::source::kube {

struct Options {
  Access access;
  std::vector<Resource> resources;
  Admit admit;  // any thread; may be empty; a refused object keeps its former self
  Clock::duration sync_limit = std::chrono::seconds(60);
};

class KubeSource : public Source {
 public:
  // Returns when every list is in. Errors: `sync_limit` passed; the text says what was missing.
  static Parsed<std::unique_ptr<KubeSource>> open(Options options);
  ~KubeSource() override;

  int fd() const override;
  Batch poll() override;
  const ObjectSet& objects() const override;
  // Objects that do not decode, by key, and resources that are not heard, by path.
  const std::vector<FileProblem>& problems() const override;
  std::uint64_t problems_generation() const override;

 private:
  class State;
  explicit KubeSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::source::kube
