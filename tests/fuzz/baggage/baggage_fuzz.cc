// baggage and forwarded: any text is parsed, and what was parsed survives a round trip.
#include <cstdlib>

#include "ztunnel/hbone/baggage.h"
#include "ztunnel/hbone/head.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::hbone;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Baggage first = parse_baggage(text);
  Baggage again = parse_baggage(format_baggage(first));
  if (again.workload_name.empty()) again.workload_type = first.workload_type;
  if (first != again) std::abort();
  const std::string_view host = forwarded_host(text);
  if (!host.empty() && (host.data() < text.data() || host.data() + host.size() > text.data() + text.size())) std::abort();
  if (is_traceparent(text) && size != 55) std::abort();
  return 0;
}
