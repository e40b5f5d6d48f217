// What a front end makes of one object: pure decoders give Parsed<Decoded<X>>. A value that is
// wrong is the Problem ("file:line: field: why, got value"): the object is refused and what it said
// before stays. What is right but beyond Weft is `unsupported`: its owner's status must name it,
// and it is never obeyed in part: a rule that has it answers 500.
#pragma once

#include <string>
#include <vector>

#include "controlplane/model/types.h"

namespace weft::controlplane::model {

template <class X>
struct Decoded {
  std::vector<X> values;
  // What the decoder alone can say: "Accepted", and "PartiallyInvalid" when something is
  // unsupported. Types are those of the Gateway API; references are judged by translate/.
  std::vector<Condition> conditions;
  std::vector<std::string> unsupported;  // "spec.http[0].delegate: why"
  std::vector<std::string> warnings;     // "spec.http[0].mirror_percent: deprecated …"
};

}  // namespace weft::controlplane::model
