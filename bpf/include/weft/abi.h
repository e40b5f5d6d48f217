/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * The C ABI between Weft's BPF programs and user space: map keys and values, socket options,
 * counters. Compiled by clang -target bpf and by the C++ compiler. Fixed widths, explicit padding,
 * network order named _be. Addresses are 16 bytes, v4 as ::ffff:a.b.c.d.
 */
#ifndef WEFT_ABI_H
#define WEFT_ABI_H

#include <linux/types.h>

#ifdef __cplusplus
#define WEFT_ASSERT_LAYOUT(cond) static_assert(cond, #cond)
extern "C" {
#else
#define WEFT_ASSERT_LAYOUT(cond) _Static_assert(cond, #cond)
#endif

#define WEFT_ABI_VERSION 2

/* In-pod ports. */
#define WEFT_PORT_OUTBOUND 15001
#define WEFT_PORT_INBOUND 15006
#define WEFT_PORT_HBONE 15008
#define WEFT_PORT_DNS 15053
/* Where a waypoint takes PROXY headers, from ztunnel and on loopback only. */
#define WEFT_PORT_WAYPOINT 15089

/* A socket option of our own, answered and consumed by the cgroup get/setsockopt programs; the
 * kernel never sees it. Only sockets that the agent opened (weft_socket.flags & WEFT_SOCKET_OWNED)
 * may use it. */
#define SOL_WEFT 0x57454654
#define WEFT_SO_CLIENT                                                                             \
  1 /* set, struct weft_address: the client that the application shall see as its peer. Set before \
       connect(). */

struct weft_address {
  __u8 ip[16];
  __u16 port_be;
  __u16 pad;
};
WEFT_ASSERT_LAYOUT(sizeof(struct weft_address) == 20);

/* Bits of weft_pod.flags. With neither bit the pod's connect() passes, while connections captured
 * before still show the right addresses. */
#define WEFT_POD_CAPTURE_OUT 1u /* connect() is captured */
#define WEFT_POD_CAPTURE_DNS 2u /* UDP and TCP to the cluster's DNS server are captured */

/* Value of weft_pods, key: netns cookie (__u64). Writer: agent/loader. Readers: connect4/6,
 * sendmsg4/6, getsockname4/6. */
struct weft_pod {
  __u8 ip4[16]; /* mapped; all zero when the pod has none */
  __u8 ip6[16]; /* all zero when the pod has none */
  __u32 flags;
  __u32 generation;
};
WEFT_ASSERT_LAYOUT(sizeof(struct weft_pod) == 40);

/* Value of weft_sockets (SK_STORAGE). Writers: connect4/6 (captured), the agent by fd (OWNED),
 * setsockopt (client), sockops (peer). */
#define WEFT_SOCKET_OWNED 1u /* opened by the agent for ztunnel: never captured */
#define WEFT_SOCKET_CAPTURED \
  2u /* an application's socket whose destination was rewritten; `remote` is the original one */
#define WEFT_SOCKET_CLIENT \
  4u                        /* ztunnel's socket to an application; `remote` is the client to show */
#define WEFT_SOCKET_PEER 8u /* an application's accepted socket; `remote` is the client to show */
#define WEFT_SOCKET_ORIGINAL \
  16u /* ztunnel's accepted socket; `remote` is the original destination */
struct weft_socket {
  struct weft_address remote;
  __u32 flags;
};
WEFT_ASSERT_LAYOUT(sizeof(struct weft_socket) == 24);

/* Key of weft_flows (LRU hash): one rendezvous between the two ends of a loopback connection in a
 * pod, from the SYN to the accept. The whole tuple: an application's own connection may use the
 * same source port towards another address at the same moment. Writer: sockops TCP_CONNECT_CB.
 * Reader: sockops PASSIVE_ESTABLISHED. Removers: it, and STATE_CB when the connecting end closes.
 */
struct weft_flow_key {
  __u64 netns_cookie;
  __u8 source_ip[16];
  __u8 destination_ip[16];
  __u16 source_port_be;
  __u16 destination_port_be;
  __u32 pad;
};
WEFT_ASSERT_LAYOUT(sizeof(struct weft_flow_key) == 48);
/* Value: struct weft_socket, as the accepting side shall store it. */

/* Key of weft_listeners (SOCKHASH): the pod's local address; value: its 15006 listener. Writer:
 * agent/loader. Reader: sk_lookup. An enrolled address without a socket is answered SK_DROP: fail
 * closed. */
struct weft_listener_key {
  __u8 ip[16];
};
/* Value of weft_enrolled_ips (hash, key struct weft_listener_key): __u32 flags, reserved. Its
 * presence means "inbound is captured". */

/* Value of weft_abi (array of one): __u32 WEFT_ABI_VERSION of whoever made the pins. */

/* Value of weft_node_flows (LRU hash, key struct weft_flow_key with netns_cookie 0): a connection
 * from the node's own network namespace to an enrolled address, from before its SYN until it
 * closes. Who made it decides whether it is exempt: kubelet's probes are, a hostNetwork pod is not.
 * Writers: witness (NODE), rendezvous (POD). Reader: sk_lookup. */
#define WEFT_FLOW_OF_NODE 1u
#define WEFT_FLOW_OF_POD 2u

/* Value of weft_dns_ips (hash, key struct weft_listener_key): __u32 reserved. The cluster's DNS
 * servers. Writer: agent/loader. */

/* Index of weft_counters (PERCPU_ARRAY of __u64). Exported as weft_bpf_events_total{hook,result}.
 */
enum weft_counter {
  WEFT_CONNECT_CAPTURED = 0,
  WEFT_CONNECT_PASS_UNENROLLED,
  WEFT_CONNECT_PASS_OWNED,
  WEFT_CONNECT_PASS_LOOPBACK,
  WEFT_CONNECT_PASS_SELF,
  WEFT_CONNECT_PASS_NOT_TCP,
  WEFT_CONNECT_REFUSED, /* the socket's storage could not be written */
  WEFT_DNS_CAPTURED,
  WEFT_INBOUND_STEERED,
  WEFT_INBOUND_PASS_HBONE,
  WEFT_INBOUND_PASS_LOCAL,
  WEFT_INBOUND_PASS_NODE,
  WEFT_INBOUND_DROPPED,         /* no listener: fail closed */
  WEFT_INBOUND_DROPPED_UNKNOWN, /* an address that is none of the pod's known ones: fail closed */
  WEFT_FLOW_PUBLISHED,
  WEFT_FLOW_LOST, /* the rendezvous map was full or empty where it should not be */
  WEFT_ORIGINAL_DST_ANSWERED,
  WEFT_BIND_REFUSED, /* an application wanted one of the mesh's ports */
  WEFT_COUNTER_MAX,
};

#ifdef __cplusplus
}
#endif
#endif
