/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * The kernel's decisions as pure inline functions over the ABI's structs: no map, no helper, no
 * context. The hooks gather the facts and act; the same functions are tested and fuzzed on the
 * host. Compiled by clang -target bpf and by the C++ compiler.
 */
#ifndef WEFT_DECIDE_H
#define WEFT_DECIDE_H

#include <weft/abi.h>

#define WEFT_PROTOCOL_TCP 6
#define WEFT_PROTOCOL_UDP 17
#define WEFT_PORT_DOMAIN 53

/* BPF functions cannot return a struct unless inlined. */
#define WEFT_INLINE static inline __attribute__((always_inline))

#ifdef __cplusplus
extern "C" {
#endif

enum weft_act {
  WEFT_PASS = 0,
  WEFT_CAPTURE,     /* to ztunnel's outbound listener */
  WEFT_CAPTURE_DNS, /* to ztunnel's DNS listener */
  WEFT_STEER,       /* inbound: to the address's listener; without one, drop */
  WEFT_DROP,        /* inbound: reset */
};

struct weft_decision {
  __u32 act;     /* enum weft_act */
  __u32 counter; /* enum weft_counter; WEFT_COUNTER_MAX counts nothing */
};

WEFT_INLINE struct weft_decision weft_decided(__u32 act, __u32 counter) {
  struct weft_decision decision = {act, counter};
  return decision;
}

/* ---- addresses: 16 bytes, network order, v4 mapped ---- */

WEFT_INLINE void weft_map_v4(__u8 out[16], __u32 ip4_be) {
  const __u8 prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  __builtin_memcpy(out, prefix, 12);
  __builtin_memcpy(out + 12, &ip4_be, 4);
}

WEFT_INLINE __u32 weft_word(const __u8 ip[16], int index) {
  __u32 word;
  __builtin_memcpy(&word, ip + 4 * index, 4);
  return word;
}

WEFT_INLINE int weft_ip_equal(const __u8 a[16], const __u8 b[16]) {
  return weft_word(a, 0) == weft_word(b, 0) && weft_word(a, 1) == weft_word(b, 1) &&
         weft_word(a, 2) == weft_word(b, 2) && weft_word(a, 3) == weft_word(b, 3);
}

WEFT_INLINE int weft_ip_is_v4(const __u8 ip[16]) {
  return !weft_word(ip, 0) && !weft_word(ip, 1) && !ip[8] && !ip[9] && ip[10] == 0xff &&
         ip[11] == 0xff;
}

/* :: — also "this family has no address" in weft_pod. */
WEFT_INLINE int weft_ip_is_zero(const __u8 ip[16]) {
  return !weft_word(ip, 0) && !weft_word(ip, 1) && !weft_word(ip, 2) && !weft_word(ip, 3);
}

/* 127.0.0.0/8 and ::1. */
WEFT_INLINE int weft_ip_is_loopback(const __u8 ip[16]) {
  if (weft_ip_is_v4(ip)) return ip[12] == 127;
  return !weft_word(ip, 0) && !weft_word(ip, 1) && !ip[8] && !ip[9] && !ip[10] && !ip[11] &&
         !ip[12] && !ip[13] && !ip[14] && ip[15] == 1;
}

/* 0.0.0.0 and ::, which connect() takes to mean this host. */
WEFT_INLINE int weft_ip_is_any(const __u8 ip[16]) {
  return weft_ip_is_zero(ip) || (weft_ip_is_v4(ip) && !weft_word(ip, 3));
}

/* ---- outbound: connect(), sendmsg() ---- */

WEFT_INLINE int weft_is_domain_port(__u16 port_be) {
  const __u8* bytes = (const __u8*)&port_be;
  return bytes[0] == 0 && bytes[1] == WEFT_PORT_DOMAIN;
}

struct weft_outbound {
  const struct weft_pod* pod; /* 0: the netns is not in weft_pods */
  const __u8* ip;             /* of the destination, 16 bytes */
  __u32 protocol;             /* IPPROTO_*; MPTCP is 6 here */
  __u32 socket_flags;         /* weft_socket.flags, 0 without storage */
  __u32 to_dns;               /* the destination is one of weft_dns_ips and the port 53 */
};

/* What becomes of a connect() or, with UDP, of a datagram. Whether the destination is a service, a
 * pod or the world is ztunnel's question. */
WEFT_INLINE struct weft_decision weft_decide_outbound(const struct weft_outbound* q) {
  if (!q->pod || !(q->pod->flags & (WEFT_POD_CAPTURE_OUT | WEFT_POD_CAPTURE_DNS)))
    return weft_decided(WEFT_PASS, WEFT_CONNECT_PASS_UNENROLLED);
  if (q->socket_flags & WEFT_SOCKET_OWNED) return weft_decided(WEFT_PASS, WEFT_CONNECT_PASS_OWNED);
  if (q->protocol != WEFT_PROTOCOL_TCP && q->protocol != WEFT_PROTOCOL_UDP)
    return weft_decided(WEFT_PASS, WEFT_CONNECT_PASS_NOT_TCP);
  if (weft_ip_is_loopback(q->ip) || weft_ip_is_any(q->ip))
    return weft_decided(WEFT_PASS, WEFT_CONNECT_PASS_LOOPBACK);
  if (weft_ip_equal(q->ip, q->pod->ip4) || weft_ip_equal(q->ip, q->pod->ip6))
    return weft_decided(WEFT_PASS, WEFT_CONNECT_PASS_SELF);
  if (q->to_dns && (q->pod->flags & WEFT_POD_CAPTURE_DNS))
    return weft_decided(WEFT_CAPTURE_DNS, WEFT_DNS_CAPTURED);
  if (q->protocol != WEFT_PROTOCOL_TCP) return weft_decided(WEFT_PASS, WEFT_CONNECT_PASS_NOT_TCP);
  if (!(q->pod->flags & WEFT_POD_CAPTURE_OUT))
    return weft_decided(WEFT_PASS, WEFT_CONNECT_PASS_UNENROLLED);
  return weft_decided(WEFT_CAPTURE, WEFT_CONNECT_CAPTURED);
}

/* ---- inbound: sk_lookup ---- */

struct weft_inbound {
  const __u8* local_ip;
  const __u8* remote_ip;
  __u16 local_port; /* host order */
  __u8 enrolled;    /* local_ip is in weft_enrolled_ips */
  __u8 from_node;   /* a process of the node itself is connecting: weft_node_flows */
};

/* Where a SYN to this netns goes; only asked in the netns of an enrolled pod. The loop rule:
 * ztunnel dials the application from 127/8 or its own address, and a pod may call itself; both
 * pass. ingress_ifindex cannot tell (a call to the own address carries eth0's), so addresses
 * decide. An address that nobody enrolled (added inside the pod, a second interface, link-local) is
 * no way around policy. */
WEFT_INLINE struct weft_decision weft_decide_inbound(const struct weft_inbound* q) {
  if (weft_ip_is_loopback(q->remote_ip) || weft_ip_is_loopback(q->local_ip) ||
      weft_ip_equal(q->remote_ip, q->local_ip))
    return weft_decided(WEFT_PASS, WEFT_INBOUND_PASS_LOCAL);
  if (!q->enrolled) return weft_decided(WEFT_DROP, WEFT_INBOUND_DROPPED_UNKNOWN);
  if (q->local_port == WEFT_PORT_HBONE) return weft_decided(WEFT_PASS, WEFT_INBOUND_PASS_HBONE);
  /* Who reaches a waypoint's port is believed whoever he says he is: not even the node goes there
   * around ztunnel. */
  if (q->from_node && q->local_port != WEFT_PORT_WAYPOINT)
    return weft_decided(WEFT_PASS, WEFT_INBOUND_PASS_NODE);
  return weft_decided(WEFT_STEER, WEFT_INBOUND_STEERED);
}

/* ---- bind() ---- */

WEFT_INLINE int weft_is_mesh_port(__u16 port) {
  return port == WEFT_PORT_OUTBOUND || port == WEFT_PORT_INBOUND || port == WEFT_PORT_HBONE ||
         port == WEFT_PORT_DNS;
}

/* In an enrolled pod the mesh's ports are ztunnel's alone: an application of the same user that
 * joined its SO_REUSEPORT group would be given its connections. `port` in host order. */
WEFT_INLINE int weft_may_bind(const struct weft_pod* pod, __u16 port, __u32 socket_flags) {
  if (!pod || !(pod->flags & (WEFT_POD_CAPTURE_OUT | WEFT_POD_CAPTURE_DNS))) return 1;
  return !weft_is_mesh_port(port) || (socket_flags & WEFT_SOCKET_OWNED) != 0;
}

/* ---- truth: what getpeername(), getsockname() and accept() show ---- */

/* The address the application would see as its own: its pod's, of the family it is using, where the
 * wire has loopback. */
WEFT_INLINE const __u8* weft_shown_local(const struct weft_pod* pod, const __u8 local_ip[16]) {
  const __u8* own;
  if (!pod || !weft_ip_is_loopback(local_ip)) return local_ip;
  own = weft_ip_is_v4(local_ip) ? pod->ip4 : pod->ip6;
  return weft_ip_is_zero(own) ? local_ip : own;
}

#ifdef __cplusplus
}
#endif
#endif
