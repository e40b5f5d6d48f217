// Resources of a control plane: any bytes give a value that keeps its invariants, or one sentence.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "ztunnel/state/decode.h"
#include "ztunnel/state/store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  state::Edits edits;
  if (auto address = state::decode_address("", bytes); !address) {
    WEFT_ASSERT(!address.error().text.empty());
  } else if (auto* workload = std::get_if<mesh::WorkloadPtr>(&*address)) {
    WEFT_ASSERT(!(*workload)->uid.empty());
    for (const auto& ip : (*workload)->addresses) WEFT_ASSERT(ip.is_set());
    edits.workloads.push_back(*workload);
  } else {
    edits.services.push_back(std::get<mesh::ServicePtr>(*address));
  }
  if (auto policy = state::decode_authorization("", bytes); !policy) {
    WEFT_ASSERT(!policy.error().text.empty());
  } else {
    const mesh::Identity source{"td", "ns", "sa"};
    const mesh::ConnectionAttributes connection{*IpAddress::parse("10.0.0.1"), *IpAddress::parse("10.0.0.2"), 80, &source};
    const bool held = mesh::matches(**policy, connection);
    WEFT_ASSERT(!held || !(*policy)->rules.empty());
    edits.policies.push_back(*std::move(policy));
  }
  state::Store store("", [](std::function<void()>) {});
  store.apply(std::move(edits));
  store.flush();
  return 0;
}
