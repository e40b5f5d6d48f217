#include "bpf/user/maps.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace weft::bpf {

weft_listener_key key_of(const IpAddress& ip) {
  weft_listener_key key;
  std::ranges::copy(ip.mapped(), key.ip);
  return key;
}

Result<std::vector<IpAddress>> addresses_in(const bpf_map* map) {
  auto keys = map_keys<weft_listener_key>(map);
  if (!keys) return std::unexpected(keys.error());
  std::vector<IpAddress> ips;
  for (const weft_listener_key& key : *keys) ips.push_back(IpAddress::v6(std::to_array(key.ip)));
  return ips;
}

Result<void> replace_addresses(const bpf_map* map, std::span<const IpAddress> ips) {
  for (const IpAddress& ip : ips) {
    auto put = map_put(map, key_of(ip), std::uint32_t{0});
    if (!put) return put;
  }
  auto present = addresses_in(map);
  if (!present) return std::unexpected(present.error());
  for (const IpAddress& ip : *present) {
    if (std::ranges::find(ips, ip) != ips.end()) continue;
    auto removed = map_remove(map, key_of(ip));
    if (!removed) return removed;
  }
  return {};
}

Result<std::uint32_t> count_entries(const bpf_map* map) {
  std::vector<std::uint8_t> key(bpf_map__key_size(map));
  std::uint32_t entries = 0;
  while (entries < bpf_map__max_entries(map)) {
    if (bpf_map_get_next_key(bpf_map__fd(map), entries == 0 ? nullptr : key.data(), key.data()) ==
        0)
      ++entries;
    else if (errno == ENOENT)
      break;
    else
      return fail(Code::kSystem, bpf_map__name(map), errno);
  }
  return entries;
}

Result<Counters> sum_counters(const bpf_map* map) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return fail(Code::kSystem, "count the CPUs", -cpus);
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(cpus));
  Counters sums{};
  for (std::uint32_t counter = 0; counter < WEFT_COUNTER_MAX; ++counter) {
    if (bpf_map_lookup_elem(bpf_map__fd(map), &counter, per_cpu.data()) != 0)
      return fail(Code::kSystem, bpf_map__name(map), errno);
    for (const std::uint64_t value : per_cpu) sums[counter] += value;
  }
  return sums;
}

CounterName counter_name(weft_counter counter) {
  switch (counter) {
    case WEFT_CONNECT_CAPTURED:
      return {"connect", "captured"};
    case WEFT_CONNECT_PASS_UNENROLLED:
      return {"connect", "pass_unenrolled"};
    case WEFT_CONNECT_PASS_OWNED:
      return {"connect", "pass_owned"};
    case WEFT_CONNECT_PASS_LOOPBACK:
      return {"connect", "pass_loopback"};
    case WEFT_CONNECT_PASS_SELF:
      return {"connect", "pass_self"};
    case WEFT_CONNECT_PASS_NOT_TCP:
      return {"connect", "pass_not_tcp"};
    case WEFT_CONNECT_REFUSED:
      return {"connect", "refused"};
    case WEFT_DNS_CAPTURED:
      return {"dns", "captured"};
    case WEFT_INBOUND_STEERED:
      return {"inbound", "steered"};
    case WEFT_INBOUND_PASS_HBONE:
      return {"inbound", "pass_hbone"};
    case WEFT_INBOUND_PASS_LOCAL:
      return {"inbound", "pass_local"};
    case WEFT_INBOUND_PASS_NODE:
      return {"inbound", "pass_node"};
    case WEFT_INBOUND_DROPPED:
      return {"inbound", "dropped"};
    case WEFT_INBOUND_DROPPED_UNKNOWN:
      return {"inbound", "dropped_unknown_address"};
    case WEFT_FLOW_PUBLISHED:
      return {"flow", "published"};
    case WEFT_FLOW_LOST:
      return {"flow", "lost"};
    case WEFT_ORIGINAL_DST_ANSWERED:
      return {"original_dst", "answered"};
    case WEFT_BIND_REFUSED:
      return {"bind", "refused"};
    case WEFT_COUNTER_MAX:
      break;
  }
  return {"unknown", "unknown"};
}

}  // namespace weft::bpf
