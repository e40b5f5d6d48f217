/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * sockops: what the connecting end of a loopback connection knows is handed to the accepting end.
 *
 *   connecting socket          weft_flows                 accepted socket
 *   CAPTURED remote=original ──TCP_CONNECT_CB──▶ entry ──PASSIVE_ESTABLISHED──▶ ORIGINAL
 * remote=original   (application → ztunnel) CLIENT   remote=client   ──────────────────▶ entry
 * ───────────────────────▶ PEER     remote=client     (ztunnel → application)
 *
 * The source port is known from TCP_CONNECT_CB on and the SYN not yet sent; loopback accepts before
 * connect() returns. An entry nobody took (refused, timed out, backlog full) goes when the
 * connecting socket closes.
 */
#ifndef WEFT_RENDEZVOUS_H
#define WEFT_RENDEZVOUS_H

#include "maps.h"

#define WEFT_TCP_CLOSE 7

struct tuple {
  __u8 local_ip[16];
  __u8 remote_ip[16];
  __u16 local_port_be;
  __u16 remote_port_be;
};

static __always_inline void read_tuple(struct tuple* out, struct bpf_sock_ops* ctx) {
  if (ctx->family == AF_INET) {
    weft_map_v4(out->local_ip, READ_FIELD(ctx->local_ip4));
    weft_map_v4(out->remote_ip, READ_FIELD(ctx->remote_ip4));
    KEEP_BRANCHES_APART();
  } else {
    READ_IP6(out->local_ip, ctx->local_ip6);
    READ_IP6(out->remote_ip, ctx->remote_ip6);
  }
  out->local_port_be = bpf_htons((__u16)ctx->local_port);
  out->remote_port_be = bpf_htons((__u16)bpf_ntohl(ctx->remote_port));
}

/* The key as the connecting end sees itself (from_source), or as the accepting end sees its peer.
 */
static __always_inline void flow_key(struct weft_flow_key* key, struct bpf_sock_ops* ctx,
                                     int from_source) {
  struct tuple tuple;
  read_tuple(&tuple, ctx);
  key->netns_cookie = bpf_get_netns_cookie(ctx);
  key->pad = 0;
  if (from_source) {
    __builtin_memcpy(key->source_ip, tuple.local_ip, 16);
    __builtin_memcpy(key->destination_ip, tuple.remote_ip, 16);
    key->source_port_be = tuple.local_port_be;
    key->destination_port_be = tuple.remote_port_be;
  } else {
    __builtin_memcpy(key->source_ip, tuple.remote_ip, 16);
    __builtin_memcpy(key->destination_ip, tuple.local_ip, 16);
    key->source_port_be = tuple.remote_port_be;
    key->destination_port_be = tuple.local_port_be;
  }
}

/* The hooks of connect() and TCP see an MPTCP connection's subflow, the application's own calls its
 * MPTCP socket: that one has to know too. */
static __always_inline void tell_mptcp(struct bpf_sock* subflow, const struct weft_socket* stored) {
  struct mptcp_sock* whole;
  struct weft_socket* copy;

  if (!weft_has_mptcp || !subflow) return;
  whole = bpf_skc_to_mptcp_sock(subflow);
  copy = whole ? bpf_sk_storage_get(&weft_sockets, whole, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
  if (copy) *copy = *stored;
}

static __always_inline void publish(struct bpf_sock_ops* ctx) {
  struct weft_socket* stored = socket_of(ctx->sk);
  struct weft_flow_key key;
  struct weft_socket entry;

  if (!stored || !(stored->flags & (WEFT_SOCKET_CAPTURED | WEFT_SOCKET_CLIENT))) return;
  entry.remote = stored->remote;
  if (stored->flags & WEFT_SOCKET_CAPTURED) tell_mptcp(ctx->sk, stored);
  entry.flags = stored->flags & WEFT_SOCKET_CAPTURED ? WEFT_SOCKET_ORIGINAL : WEFT_SOCKET_PEER;
  flow_key(&key, ctx, 1);
  /* First the promise to remove, then the entry. */
  bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
  count(bpf_map_update_elem(&weft_flows, &key, &entry, BPF_ANY) ? WEFT_FLOW_LOST
                                                                : WEFT_FLOW_PUBLISHED);
}

static __always_inline void consume(struct bpf_sock_ops* ctx) {
  struct weft_flow_key key;
  struct weft_socket* entry;

  flow_key(&key, ctx, 0);
  entry = bpf_map_lookup_elem(&weft_flows, &key);
  if (!entry) {
    /* Ours without an entry: somebody dialed ztunnel's port himself, or the map lost it. ztunnel
     * closes what has no original destination. */
    if (ctx->local_port == WEFT_PORT_OUTBOUND && pod_of(ctx)) count(WEFT_FLOW_LOST);
    return;
  }
  if (!file_socket(ctx->sk, &entry->remote, entry->flags)) count(WEFT_FLOW_LOST);
  bpf_map_delete_elem(&weft_flows, &key);
}

static __always_inline void forget(struct bpf_sock_ops* ctx) {
  struct weft_flow_key key;
  if (ctx->args[1] != WEFT_TCP_CLOSE) return;
  flow_key(&key, ctx, 1);
  bpf_map_delete_elem(&weft_flows, &key);
}

/* ---- the node's own connections ---- */

/* Remembers who is about to send a SYN from the node's netns to an enrolled address. The programs of
 * a cgroup run before those of the cgroups above it, so for a hostNetwork pod's socket rendezvous
 * (at the pods' parent) writes first, and witness (at the top) does not overwrite. */
static __always_inline void note_node_flow(struct bpf_sock_ops* ctx, __u32 maker) {
  struct weft_listener_key to;
  struct weft_flow_key key;

  if (!weft_node_netns || bpf_get_netns_cookie(ctx) != weft_node_netns) return;
  flow_key(&key, ctx, 1);
  key.netns_cookie = 0;
  __builtin_memcpy(to.ip, key.destination_ip, 16);
  if (!bpf_map_lookup_elem(&weft_enrolled_ips, &to)) return;
  bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
  bpf_map_update_elem(&weft_node_flows, &key, &maker,
                      maker == WEFT_FLOW_OF_POD ? BPF_ANY : BPF_NOEXIST);
}

/* At the top of the node's cgroups, for kubelet and its like; pods' sockets come by, too. */
SEC("sockops")
int witness(struct bpf_sock_ops* ctx) {
  struct weft_flow_key key;

  if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
    note_node_flow(ctx, WEFT_FLOW_OF_NODE);
  } else if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == WEFT_TCP_CLOSE &&
             weft_node_netns && bpf_get_netns_cookie(ctx) == weft_node_netns) {
    flow_key(&key, ctx, 1);
    key.netns_cookie = 0;
    bpf_map_delete_elem(&weft_node_flows, &key);
  }
  return 1;
}

SEC("sockops")
int rendezvous(struct bpf_sock_ops* ctx) {
  switch (ctx->op) {
    case BPF_SOCK_OPS_TCP_CONNECT_CB:
      note_node_flow(ctx, WEFT_FLOW_OF_POD);
      publish(ctx);
      break;
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
      consume(ctx);
      break;
    case BPF_SOCK_OPS_STATE_CB:
      forget(ctx);
      break;
  }
  return 1;
}

#endif
