#include "controlplane/frontends/analyze/analyze.h"

#include <algorithm>
#include <tuple>

#include "controlplane/frontends/analyze/facts.h"

namespace weft::controlplane::analyze {

const char* to_string(Level level) {
  switch (level) {
    case Level::kInfo:
      return "Info";
    case Level::kWarning:
      return "Warning";
    case Level::kError:
      return "Error";
  }
  return "?";
}

std::vector<Finding> analyze(const source::ObjectSet& objects, const Options& options) {
  Facts facts{.objects = objects, .options = options};
  gather(facts);
  check_virtual_services(facts);
  check_gateway_routes(facts);
  check_reachability(facts);
  check_gateways(facts);
  check_policies(facts);
  check_services(facts);
  check_enrollment(facts);
  check_marks(facts);
  std::sort(facts.findings.begin(), facts.findings.end(), [](const Finding& a, const Finding& b) {
    return std::tuple(a.object, b.level, a.code, a.place) <
           std::tuple(b.object, a.level, b.code, b.place);
  });
  return std::move(facts.findings);
}

}  // namespace weft::controlplane::analyze
