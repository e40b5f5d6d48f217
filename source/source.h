// Source: where objects come from. The same objects give the same outcome, whichever source they
// come from. One owner, one thread: the process drives it from its own loop.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/object.h"

namespace weft::source {

struct FileProblem {
  std::string file;  // or the API's object
  std::string text;  // names file (or object), line, field, value
  bool operator==(const FileProblem&) const = default;
};

// Says why an object may not come in (a field that does not decode), or nothing.
using Admit = std::function<std::optional<Problem>(const Object&)>;

class Source {
 public:
  virtual ~Source() = default;
  // Poll this for reading; level-triggered. Readable at once after it was opened.
  virtual int fd() const = 0;
  // Never blocks. What changed since the last call; the first call returns everything as upserts.
  // Call it whenever fd() is readable (calling it more often is harmless).
  virtual Batch poll() = 0;

  virtual const ObjectSet& objects() const = 0;
  // What is wrong now. Changes exactly when problems_generation() does.
  virtual const std::vector<FileProblem>& problems() const = 0;
  virtual std::uint64_t problems_generation() const = 0;
};

}  // namespace weft::source
