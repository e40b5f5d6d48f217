// Label selectors as a person types them: a=b,c!=d,e,!f,g in (x,y). Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "mesh/labels.h"

namespace weft::sandbox {

struct Selector {
  enum class Op { kIn, kNotIn, kExists, kAbsent };
  struct Term {
    std::string key;
    Op op;
    std::vector<std::string> values;
  };
  std::vector<Term> terms;  // all must hold; none: everything matches

  bool matches(const mesh::Labels& labels) const;
};

Parsed<Selector> parse_selector(const std::string& text);

}  // namespace weft::sandbox
