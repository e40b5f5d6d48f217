// The `baggage` header: who a workload is, for the other side's telemetry. Never trusted for policy.
// Source: ambient-protocol facts §1.6: comma-joined key=value, empty values omitted, no percent-encoding, fixed order.
#pragma once

#include <string>
#include <string_view>

namespace weft::hbone {

struct Baggage {
  std::string cluster;            // k8s.cluster.name
  std::string ns;                 // k8s.namespace.name
  std::string workload_type;      // the <type> of k8s.<type>.name: deployment | cronjob | pod | job
  std::string workload_name;      // its value
  std::string service_name;       // service.name (canonical name)
  std::string service_version;    // service.version (canonical revision)
  std::string region;             // cloud.region
  std::string zone;               // cloud.availability_zone

  bool operator==(const Baggage&) const = default;
};

std::string format_baggage(const Baggage& baggage);
// Lenient: unknown keys, entries without '=' and empty values are skipped; of a repeated key the last one counts;
// properties after ';' are cut off.
Baggage parse_baggage(std::string_view header);

}  // namespace weft::hbone
