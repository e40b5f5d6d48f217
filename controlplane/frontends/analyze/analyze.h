// What is wrong with a set of objects as a whole: broken references, conflicts, rules that nothing
// reaches, fields that nobody knows. Pure. Codes and levels are Istio's (mesh-apis facts §2.1.7);
// WFT0001 is what Weft does not do yet, WFT0002 what it does in its own way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "source/object.h"

namespace weft::controlplane::analyze {

enum class Level : std::uint8_t { kInfo, kWarning, kError };
const char* to_string(Level level);  // "Info" …

struct Finding {
  Level level = Level::kError;
  std::string code;  // "IST0101"
  source::ObjectKey object;
  std::string place;  // "file:line"
  std::string message;
};

struct Options {
  std::vector<std::string> root_namespaces = {"weft-system", "istio-system"};
  std::string domain = "cluster.local";
};

// By object, worst first within one. A set without any Service (or Pod) cannot say that one is
// missing, and does not.
std::vector<Finding> analyze(const source::ObjectSet& objects, const Options& options = {});

}  // namespace weft::controlplane::analyze
