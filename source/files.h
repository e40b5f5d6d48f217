// FilesSource: a directory of manifests, watched recursively. *.yaml, *.yml and *.json below it;
// names that start with "." or end in
// ".tmp" are ignored, so a writer writes NAME.tmp and renames. One owner, one thread: the process
// drives it from its own loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "source/object.h"

namespace weft::source {

struct FileProblem {
  std::string file;
  std::string text;  // names file, line, field, value
  bool operator==(const FileProblem&) const = default;
};

// Says why an object may not come in (a field that does not decode), or nothing. An object that is
// refused breaks its whole file.
using Admit = std::function<std::optional<Problem>(const Object&)>;

struct FilesOptions {
  std::string directory;
  Admit admit;  // may be empty
  Clock::duration quiet = std::chrono::milliseconds(
      10);  // a change is read when its directory was silent for this long …
  Clock::duration cap = std::chrono::milliseconds(100);  // … or at the latest after this
  Clock::duration resync =
      std::chrono::seconds(30);  // everything is looked at again (inotify may overflow)
};

class FilesSource {
 public:
  // Reads the whole directory. Broken files are problems, not errors; a directory that cannot be
  // watched is an error.
  static Parsed<std::unique_ptr<FilesSource>> open(FilesOptions options);
  ~FilesSource();

  // Poll this for reading; level-triggered. Readable at once after open().
  int fd() const;
  // Never blocks. What changed since the last call; the first call returns everything as upserts.
  // Call it whenever fd() is readable (calling it more often is harmless). A file that broke keeps
  // the objects it held and has one problem; a file that is gone takes its objects with it; an
  // object in two files is the one of the first path, the other file has a problem.
  Batch poll();

  const ObjectSet& objects() const;
  // What is wrong now, by file. Changes exactly when problems_generation() does.
  const std::vector<FileProblem>& problems() const;
  std::uint64_t problems_generation() const;

 private:
  class State;
  explicit FilesSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weft::source
