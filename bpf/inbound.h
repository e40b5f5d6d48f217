/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * sk_lookup, attached to each enrolled pod's netns: TCP to the pod's address, on any port, meets
 * ztunnel's listener. There getsockname() is the original destination. Established connections are
 * found before this runs.
 */
#ifndef WEFT_INBOUND_H
#define WEFT_INBOUND_H

#include "maps.h"

static __always_inline int steer(struct bpf_sk_lookup* ctx, const struct weft_listener_key* local) {
  struct bpf_sock* listener = bpf_map_lookup_elem(&weft_listeners, local);
  long failed;
  if (!listener) return 0;
  failed = bpf_sk_assign(ctx, listener, BPF_SK_LOOKUP_F_REPLACE);
  bpf_sk_release(listener);
  return !failed;
}

/* The SYN was sent by a process of this node: witness saw it off. An address proves nothing, since
 * a node masquerades the traffic of others. */
static __always_inline int is_from_node(struct bpf_sk_lookup* ctx,
                                        const struct weft_listener_key* local,
                                        const struct weft_listener_key* remote) {
  struct weft_flow_key key = {};
  const __u32* maker;

  __builtin_memcpy(key.source_ip, remote->ip, 16);
  __builtin_memcpy(key.destination_ip, local->ip, 16);
  key.source_port_be = READ_FIELD(ctx->remote_port);
  key.destination_port_be = bpf_htons((__u16)READ_FIELD(ctx->local_port));
  maker = bpf_map_lookup_elem(&weft_node_flows, &key);
  return maker && *maker == WEFT_FLOW_OF_NODE;
}

SEC("sk_lookup")
int inbound(struct bpf_sk_lookup* ctx) {
  struct weft_listener_key local;
  struct weft_listener_key remote;
  struct weft_decision decision;
  struct weft_inbound question = {.local_ip = local.ip, .remote_ip = remote.ip};

  if (ctx->protocol != WEFT_PROTOCOL_TCP) return SK_PASS;
  if (ctx->family == AF_INET) {
    weft_map_v4(local.ip, READ_FIELD(ctx->local_ip4));
    weft_map_v4(remote.ip, READ_FIELD(ctx->remote_ip4));
    KEEP_BRANCHES_APART();
  } else {
    READ_IP6(local.ip, ctx->local_ip6);
    READ_IP6(remote.ip, ctx->remote_ip6);
  }
  question.local_port = ctx->local_port;
  question.enrolled = bpf_map_lookup_elem(&weft_enrolled_ips, &local) != 0;
  question.from_node = question.enrolled && is_from_node(ctx, &local, &remote);

  decision = weft_decide_inbound(&question);
  if (decision.act == WEFT_STEER && !steer(ctx, &local))
    decision = weft_decided(WEFT_DROP, WEFT_INBOUND_DROPPED);
  count(decision.counter);
  return decision.act == WEFT_DROP ? SK_DROP : SK_PASS;
}

#endif
