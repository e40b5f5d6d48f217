/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * The addresses that programs are shown: getpeername (which accept() runs too), getsockname,
 * recvmsg, SO_ORIGINAL_DST; and the one option by which ztunnel says whose connection it carries.
 */
#ifndef WEFT_TRUTH_H
#define WEFT_TRUTH_H

#include "maps.h"

#define WEFT_SOCKOPT_BUFFER_MAX \
  4096 /* longer values do not fit the kernel's buffer: leave them to the kernel */

static __always_inline const struct weft_socket* with_flag(struct bpf_sock* sk, __u32 flags) {
  struct weft_socket* stored = socket_of(sk);
  return stored && (stored->flags & flags) ? stored : 0;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr* ctx) {
  const struct weft_socket* stored = with_flag(ctx->sk, WEFT_SOCKET_CAPTURED | WEFT_SOCKET_PEER);
  if (!stored || !weft_ip_is_v4(stored->remote.ip))
    return 1; /* a v6 client cannot be shown by a v4 socket */
  WRITE_FIELD(ctx->user_ip4, weft_word(stored->remote.ip, 3));
  WRITE_FIELD(ctx->user_port, stored->remote.port_be);
  return 1;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr* ctx) {
  const struct weft_socket* stored = with_flag(ctx->sk, WEFT_SOCKET_CAPTURED | WEFT_SOCKET_PEER);
  if (!stored) return 1;
  WRITE_IP6(ctx->user_ip6, stored->remote.ip);
  WRITE_FIELD(ctx->user_port, stored->remote.port_be);
  return 1;
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr* ctx) {
  __u8 local[16];
  if (!with_flag(ctx->sk, WEFT_SOCKET_CAPTURED)) return 1;
  weft_map_v4(local, ctx->user_ip4);
  WRITE_FIELD(ctx->user_ip4, weft_word(weft_shown_local(pod_of(ctx), local), 3));
  return 1;
}

SEC("cgroup/getsockname6")
int getsockname6(struct bpf_sock_addr* ctx) {
  __u8 local[16];
  __u8 shown[16];
  if (!with_flag(ctx->sk, WEFT_SOCKET_CAPTURED)) return 1;
  READ_IP6(local, ctx->user_ip6);
  __builtin_memcpy(shown, weft_shown_local(pod_of(ctx), local), 16);
  WRITE_IP6(ctx->user_ip6, shown);
  return 1;
}

/* A datagram from ztunnel's DNS listener came, for the application, from the server it asked. */
SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr* ctx) {
  const struct weft_socket* stored;
  if (ctx->user_port != bpf_htons(WEFT_PORT_DNS) || ctx->user_ip4 != bpf_htonl(0x7f000001))
    return 1;
  stored = with_flag(ctx->sk, WEFT_SOCKET_CAPTURED);
  if (!stored || !weft_ip_is_v4(stored->remote.ip)) return 1;
  WRITE_FIELD(ctx->user_ip4, weft_word(stored->remote.ip, 3));
  WRITE_FIELD(ctx->user_port, stored->remote.port_be);
  return 1;
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr* ctx) {
  const struct weft_socket* stored;
  __u8 from[16];
  if (ctx->user_port != bpf_htons(WEFT_PORT_DNS)) return 1;
  READ_IP6(from, ctx->user_ip6);
  if (!weft_ip_is_loopback(from)) return 1;
  stored = with_flag(ctx->sk, WEFT_SOCKET_CAPTURED);
  if (!stored) return 1;
  WRITE_IP6(ctx->user_ip6, stored->remote.ip);
  WRITE_FIELD(ctx->user_port, stored->remote.port_be);
  return 1;
}

/* struct sockaddr_in and sockaddr_in6, as the application's buffer takes them. */
struct answer4 {
  __u16 family;
  __u16 port_be;
  __u32 ip_be;
  __u8 zero[8];
};
struct answer6 {
  __u16 family;
  __u16 port_be;
  __u32 flow;
  __u8 ip[16];
  __u32 scope;
};

static __always_inline int answer_original4(struct bpf_sockopt* ctx,
                                            const struct weft_address* original) {
  struct answer4* answer = ctx->optval;
  if ((void*)(answer + 1) > ctx->optval_end || !weft_ip_is_v4(original->ip)) return 0;
  answer->family = AF_INET;
  answer->port_be = original->port_be;
  answer->ip_be = weft_word(original->ip, 3);
  __builtin_memset(answer->zero, 0, sizeof(answer->zero));
  WRITE_FIELD(ctx->optlen, sizeof(*answer));
  return 1;
}

static __always_inline int answer_original6(struct bpf_sockopt* ctx,
                                            const struct weft_address* original) {
  struct answer6* answer = ctx->optval;
  if ((void*)(answer + 1) > ctx->optval_end) return 0;
  answer->family = AF_INET6;
  answer->port_be = original->port_be;
  answer->flow = 0;
  __builtin_memcpy(answer->ip, original->ip, 16);
  answer->scope = 0;
  WRITE_FIELD(ctx->optlen, sizeof(*answer));
  return 1;
}

SEC("cgroup/getsockopt")
int getsockopt(struct bpf_sockopt* ctx) {
  const struct weft_socket* stored;
  int answered;

  if (ctx->optname != SO_ORIGINAL_DST || (ctx->level != SOL_IP && ctx->level != SOL_IPV6))
    goto untouched;
  stored = with_flag(ctx->sk, WEFT_SOCKET_ORIGINAL);
  if (!stored) goto untouched;
  if (ctx->level == SOL_IP)
    answered = answer_original4(ctx, &stored->remote);
  else
    answered = answer_original6(ctx, &stored->remote);
  if (!answered) goto untouched;
  count(WEFT_ORIGINAL_DST_ANSWERED);
  WRITE_FIELD(ctx->retval, 0);
  return 1;

untouched:
  if (ctx->optlen > WEFT_SOCKOPT_BUFFER_MAX) WRITE_FIELD(ctx->optlen, 0);
  return 1;
}

SEC("cgroup/setsockopt")
int setsockopt(struct bpf_sockopt* ctx) {
  const struct weft_address* client = ctx->optval;

  if (ctx->level != SOL_WEFT || ctx->optname != WEFT_SO_CLIENT ||
      !with_flag(ctx->sk, WEFT_SOCKET_OWNED))
    goto untouched;
  if ((void*)(client + 1) > ctx->optval_end || ctx->optlen != sizeof(*client)) return 0;
  if (!file_socket(ctx->sk, client, WEFT_SOCKET_CLIENT)) return 0;
  WRITE_FIELD(ctx->optlen, -1); /* done: the kernel does not see it */
  return 1;

untouched:
  if (ctx->optlen > WEFT_SOCKOPT_BUFFER_MAX) WRITE_FIELD(ctx->optlen, 0);
  return 1;
}

#endif
