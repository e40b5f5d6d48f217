// Findings: what `check` looked at, and how it is shown.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace weft::cli {

enum class Verdict { kGood, kWarning, kBad };

struct Finding {
  const char* group;
  std::string what;
  Verdict verdict;
  std::string hint;  // when not good
};

// Prints them, groups in the order given; the exit code: kFailure when one is bad.
int report(const Context& context, const std::vector<Finding>& findings);

}  // namespace weft::cli
