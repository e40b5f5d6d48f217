/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * Every map, with its one writer; abi.h has keys and values. All are pinned. Sizes are named here
 * and nowhere else.
 */
#ifndef WEFT_MAPS_H
#define WEFT_MAPS_H

#include "common.h"

#define WEFT_PODS_MAX 4096
#define WEFT_ADDRESSES_MAX (2 * WEFT_PODS_MAX)
#define WEFT_FLOWS_MAX \
  16384 /* connections between SYN and accept, node-wide; they live for microseconds */
#define WEFT_DNS_ADDRESSES_MAX 256
#define WEFT_NODE_FLOWS_MAX 8192 /* the node's own live connections to enrolled pods */

/* Writer: agent/loader. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, WEFT_PODS_MAX);
  __type(key, __u64);
  __type(value, struct weft_pod);
} weft_pods SEC(".maps");

/* Writers: by flag, see struct weft_socket. */
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct weft_socket);
} weft_sockets SEC(".maps");

/* Writer: sockops. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, WEFT_FLOWS_MAX);
  __type(key, struct weft_flow_key);
  __type(value, struct weft_socket);
} weft_flows SEC(".maps");

/* Writer: agent/loader; the kernel removes a socket that closes. */
struct {
  __uint(type, BPF_MAP_TYPE_SOCKHASH);
  __uint(max_entries, WEFT_ADDRESSES_MAX);
  __type(key, struct weft_listener_key);
  __type(value, __u64);
} weft_listeners SEC(".maps");

/* Writer: agent/loader. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, WEFT_ADDRESSES_MAX);
  __type(key, struct weft_listener_key);
  __type(value, __u32);
} weft_enrolled_ips SEC(".maps");

/* Writers: witness, rendezvous; see WEFT_FLOW_OF_NODE. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, WEFT_NODE_FLOWS_MAX);
  __type(key, struct weft_flow_key);
  __type(value, __u32);
} weft_node_flows SEC(".maps");

/* Writer: agent/loader. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, WEFT_DNS_ADDRESSES_MAX);
  __type(key, struct weft_listener_key);
  __type(value, __u32);
} weft_dns_ips SEC(".maps");

/* Writers: every hook, by count(). */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, WEFT_COUNTER_MAX);
  __type(key, __u32);
  __type(value, __u64);
} weft_counters SEC(".maps");

/* Writer: agent/loader, once. Read before anything else is reused. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} weft_abi SEC(".maps");

static __always_inline void count(__u32 counter) {
  __u64* value = bpf_map_lookup_elem(&weft_counters, &counter);
  if (value)
    __sync_fetch_and_add(value, 1); /* a softirq may run a hook between our load and store */
}

/* The pod of this context's netns, or 0. */
static __always_inline const struct weft_pod* pod_of(void* ctx) {
  __u64 cookie = bpf_get_netns_cookie(ctx);
  return bpf_map_lookup_elem(&weft_pods, &cookie);
}

static __always_inline struct weft_socket* socket_of(struct bpf_sock* sk) {
  return sk ? bpf_sk_storage_get(&weft_sockets, sk, 0, 0) : 0;
}

/* Files `remote` and `flags` in the socket's storage, keeping the flag OWNED. 0 when the storage
 * could not be made. */
static __always_inline int file_socket(struct bpf_sock* sk, const struct weft_address* remote,
                                       __u32 flags) {
  struct weft_socket* stored =
      sk ? bpf_sk_storage_get(&weft_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
  if (!stored) return 0;
  stored->remote = *remote;
  stored->flags = (stored->flags & WEFT_SOCKET_OWNED) | flags;
  return 1;
}

#endif
