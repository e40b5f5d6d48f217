// FilesSource: a directory of manifests, watched recursively. *.yaml, *.yml and *.json below it;
// names that start with "." or end in
// ".tmp" are ignored, so a writer writes NAME.tmp and renames. One owner, one thread: the process
// drives it from its own loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "source/object.h"
#include "source/source.h"

namespace weft::source {

struct FilesOptions {
  std::string directory;
  Admit admit;  // may be empty; an object that is refused breaks its whole file
  Clock::duration quiet = std::chrono::milliseconds(
      10);  // a change is read when its directory was silent for this long …
  Clock::duration cap = std::chrono::milliseconds(100);  // … or at the latest after this
  Clock::duration resync =
      std::chrono::seconds(30);  // everything is looked at again (inotify may overflow)
};

class FilesSource : public Source {
 public:
  // Reads the whole directory. Broken files are problems, not errors; a directory that cannot be
  // watched is an error.
  static Parsed<std::unique_ptr<FilesSource>> open(FilesOptions options);
  ~FilesSource() override;

  int fd() const override;
  // A file that broke keeps the objects it held and has one problem; a file that is gone takes its
  // objects with it; an object in two files is the one of the first path, the other file has a
  // problem.
  Batch poll() override;

  const ObjectSet& objects() const override;
  const std::vector<FileProblem>& problems() const override;
  std::uint64_t problems_generation() const override;

 private:
  class State;
  explicit FilesSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::source
