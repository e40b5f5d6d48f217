// Tracing: where spans go, and for how many requests there are some. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weft::mesh {

struct Tracing {
  enum class Kind : std::uint8_t { kOff, kZipkin, kOtlp };
  Kind kind = Kind::kOff;
  std::string host;  // of the collector: an IP address, or a name as pods resolve it
  std::uint16_t port = 0;
  std::string path = "/api/v2/spans";  // kZipkin: where it takes spans
  double sampling_percent = 1;         // where no Telemetry says otherwise
  bool operator==(const Tracing&) const = default;

  // "HOST:PORT", an IPv6 address in brackets.
  std::string authority() const;
  // `hostname` (of a service) is the collector's: "zipkin.tracing" is short for
  // "zipkin.tracing.svc.cluster.local".
  bool names(std::string_view hostname) const;
};

// "zipkin://HOST:PORT[/PATH]" (Zipkin v2 JSON over HTTP), "otlp://HOST:PORT" (OTLP over gRPC), ""
// for none. A name has two labels at least: a single one would be another service in each
// namespace. The problem says what was expected and what came, not for which key.
Parsed<Tracing> parse_tracing(std::string_view text);
// "12.5": a percentage.
Parsed<double> parse_sampling(std::string_view text);

}  // namespace weft::mesh
