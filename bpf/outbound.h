/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * connect4/6 and sendmsg4/6: whose destination is rewritten to ztunnel's listeners on the pod's
 * loopback, and to which. A v4-mapped destination comes through connect6 (and, with sendmsg,
 * through sendmsg4). And bind4/6: who may take the mesh's ports.
 */
#ifndef WEFT_OUTBOUND_H
#define WEFT_OUTBOUND_H

#include "maps.h"

static __always_inline int is_dns_server(const struct weft_address* to,
                                         const struct weft_pod* pod) {
  if (!pod || !(pod->flags & WEFT_POD_CAPTURE_DNS) || !weft_is_domain_port(to->port_be)) return 0;
  return bpf_map_lookup_elem(&weft_dns_ips, to->ip) != 0;
}

static __always_inline struct weft_decision judge(struct bpf_sock_addr* ctx,
                                                  const struct weft_address* to,
                                                  const struct weft_socket* stored) {
  struct weft_outbound question = {
      .pod = pod_of(ctx),
      .ip = to->ip,
      .protocol = ctx->protocol,
      .socket_flags = stored ? stored->flags : 0,
  };
  question.to_dns = is_dns_server(to, question.pod);
  return weft_decide_outbound(&question);
}

/* A socket bound to a device cannot reach loopback: its packets would leave by that device. Unbound
 * when the caller may, else refused. */
static __always_inline int release_device(struct bpf_sock_addr* ctx, struct bpf_sock* sk) {
  char none[4] = {};
  if (!sk || !sk->bound_dev_if) return 1;
  return bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, none, sizeof(none)) == 0;
}

/* Decides and files; what is left to the caller is the rewrite, when `port_be` comes back not 0.
 * Returns what the hook returns. */
static __always_inline int decide_connect(struct bpf_sock_addr* ctx, const struct weft_address* to,
                                          __u16* port_be) {
  struct bpf_sock* sk = ctx->sk;
  struct weft_socket* stored = socket_of(sk);
  struct weft_decision decision = judge(ctx, to, stored);

  if (decision.act == WEFT_PASS) {
    count(decision.counter);
    if (stored)
      stored->flags &= ~WEFT_SOCKET_CAPTURED; /* the same socket may have been captured before */
    return 1;
  }
  if (!release_device(ctx, sk) || !file_socket(sk, to, WEFT_SOCKET_CAPTURED)) {
    count(WEFT_CONNECT_REFUSED);
    return refuse(ECONNREFUSED);
  }
  count(decision.counter);
  *port_be =
      decision.act == WEFT_CAPTURE_DNS ? bpf_htons(WEFT_PORT_DNS) : bpf_htons(WEFT_PORT_OUTBOUND);
  return 1;
}

/* The same for a datagram with an address of its own: only DNS is ours, and what passes is not
 * counted (this runs per packet). */
static __always_inline int decide_datagram(struct bpf_sock_addr* ctx, const struct weft_address* to,
                                           __u16* port_be) {
  struct bpf_sock* sk = ctx->sk;

  if (judge(ctx, to, socket_of(sk)).act != WEFT_CAPTURE_DNS) return 1;
  if (!file_socket(sk, to, WEFT_SOCKET_CAPTURED)) {
    count(WEFT_CONNECT_REFUSED);
    return refuse(ECONNREFUSED);
  }
  count(WEFT_DNS_CAPTURED);
  *port_be = bpf_htons(WEFT_PORT_DNS);
  return 1;
}

static __always_inline void read_destination4(struct weft_address* to, struct bpf_sock_addr* ctx) {
  weft_map_v4(to->ip, ctx->user_ip4);
  to->port_be = ctx->user_port;
  to->pad = 0;
}

static __always_inline void read_destination6(struct weft_address* to, struct bpf_sock_addr* ctx) {
  READ_IP6(to->ip, ctx->user_ip6);
  to->port_be = ctx->user_port;
  to->pad = 0;
}

static __always_inline void send_to_loopback4(struct bpf_sock_addr* ctx, __u16 port_be) {
  WRITE_FIELD(ctx->user_ip4, bpf_htonl(0x7f000001));
  WRITE_FIELD(ctx->user_port, port_be);
}

/* ::1, or ::ffff:127.0.0.1 for a destination that was mapped: the packets stay of the family that
 * the application chose. */
static __always_inline void send_to_loopback6(struct bpf_sock_addr* ctx,
                                              const struct weft_address* to, __u16 port_be) {
  int mapped = weft_ip_is_v4(to->ip);
  WRITE_FIELD(ctx->user_ip6[0], 0);
  WRITE_FIELD(ctx->user_ip6[1], 0);
  WRITE_FIELD(ctx->user_ip6[2], mapped ? bpf_htonl(0xffff) : 0);
  WRITE_FIELD(ctx->user_ip6[3], mapped ? bpf_htonl(0x7f000001) : bpf_htonl(1));
  WRITE_FIELD(ctx->user_port, port_be);
}

static __always_inline int decide_bind(struct bpf_sock_addr* ctx) {
  struct bpf_sock* sk = ctx->sk;
  struct weft_socket* stored;
  __u16 port = bpf_ntohs((__u16)ctx->user_port);

  if (!weft_is_mesh_port(port)) return 1;
  stored = socket_of(sk);
  if (weft_may_bind(pod_of(ctx), port, stored ? stored->flags : 0)) return 1;
  count(WEFT_BIND_REFUSED);
  return refuse(EADDRINUSE);
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr* ctx) { return decide_bind(ctx); }

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr* ctx) { return decide_bind(ctx); }

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr* ctx) {
  struct weft_address to;
  __u16 port_be = 0;
  read_destination4(&to, ctx);
  int verdict = decide_connect(ctx, &to, &port_be);
  if (port_be) send_to_loopback4(ctx, port_be);
  return verdict;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr* ctx) {
  struct weft_address to;
  __u16 port_be = 0;
  read_destination6(&to, ctx);
  int verdict = decide_connect(ctx, &to, &port_be);
  if (port_be) send_to_loopback6(ctx, &to, port_be);
  return verdict;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr* ctx) {
  struct weft_address to;
  __u16 port_be = 0;
  read_destination4(&to, ctx);
  int verdict = decide_datagram(ctx, &to, &port_be);
  if (port_be) send_to_loopback4(ctx, port_be);
  return verdict;
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr* ctx) {
  struct weft_address to;
  __u16 port_be = 0;
  read_destination6(&to, ctx);
  int verdict = decide_datagram(ctx, &to, &port_be);
  if (port_be) send_to_loopback6(ctx, &to, port_be);
  return verdict;
}

#endif
