// Maps by key and value type. Private to bpf/user. Every Error is kSystem with errno; removing what
// is not there is success.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <weft/abi.h>

#include <cerrno>
#include <cstdint>
#include <span>
#include <vector>

#include "base/assert.h"
#include "base/net.h"
#include "base/result.h"
#include "bpf/user/datapath.h"

namespace weft::bpf {

weft_listener_key key_of(const IpAddress& ip);

template <class Key, class Value>
Result<void> map_put(const bpf_map* map, const Key& key, const Value& value) {
  WEFT_ASSERT(bpf_map__key_size(map) == sizeof(Key));
  WEFT_ASSERT(bpf_map__value_size(map) == sizeof(Value));
  if (bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY) != 0)
    return fail(Code::kSystem, bpf_map__name(map), errno);
  return {};
}

template <class Key>
Result<void> map_remove(const bpf_map* map, const Key& key) {
  WEFT_ASSERT(bpf_map__key_size(map) == sizeof(Key));
  if (bpf_map_delete_elem(bpf_map__fd(map), &key) != 0 && errno != ENOENT)
    return fail(Code::kSystem, bpf_map__name(map), errno);
  return {};
}

// A walk that a concurrent removal sends back to the start ends at max_entries all the same.
template <class Key>
Result<std::vector<Key>> map_keys(const bpf_map* map) {
  WEFT_ASSERT(bpf_map__key_size(map) == sizeof(Key));
  std::vector<Key> keys;
  Key next;
  while (keys.size() < bpf_map__max_entries(map)) {
    if (bpf_map_get_next_key(bpf_map__fd(map), keys.empty() ? nullptr : &keys.back(), &next) == 0)
      keys.push_back(next);
    else if (errno == ENOENT)
      break;
    else
      return fail(Code::kSystem, bpf_map__name(map), errno);
  }
  return keys;
}

Result<std::vector<IpAddress>> addresses_in(const bpf_map* map);
Result<void> replace_addresses(const bpf_map* map, std::span<const IpAddress> ips);
Result<std::uint32_t> count_entries(const bpf_map* map);
Result<Counters> sum_counters(const bpf_map* map);

}  // namespace weft::bpf
