/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * What every hook file includes: kernel types, libbpf's helpers, the ABI, and the few constants
 * whose headers BPF cannot include.
 */
#ifndef WEFT_COMMON_H
#define WEFT_COMMON_H

/* libbpf's headers use the types of the first. */
/* clang-format off */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <weft/decide.h>
/* clang-format on */

#define AF_INET 2
#define AF_INET6 10
#define SOL_IP 0
#define SOL_IPV6 41
#define SOL_SOCKET 1
#define SO_BINDTODEVICE 25
#define SO_ORIGINAL_DST 80 /* also IP6T_SO_ORIGINAL_DST */
#define EADDRINUSE 98
#define ECONNREFUSED 111

/* Set before load by the loader's probe; the verifier never looks behind a false one. */
/* bpf_set_retval, Linux 5.18: before it a refusal reads EPERM. */
const volatile __u8 weft_has_set_retval = 1;
/* bpf_skc_to_mptcp_sock, Linux 5.19: before it an MPTCP client sees loopback as its peer. */
const volatile __u8 weft_has_mptcp = 1;

/* The node's own network namespace. 0: unknown, nobody is exempt. */
const volatile __u64 weft_node_netns = 0;

/* Context fields are read and written one by one: the compiler would fuse neighbours, or compute an
 * address and access through it, both of which the verifier refuses. */
#define READ_FIELD(field) (*(volatile typeof(field)*)&(field))
#define WRITE_FIELD(field, value) (*(volatile typeof(field)*)&(field) = (value))

/* Ends one branch of an if whose other one reads the context too: otherwise the two reads become
 * one, through a computed address. */
#define KEEP_BRANCHES_APART() __asm__ volatile("" ::: "memory")

/* 16 bytes into four words of a context. */
#define WRITE_IP6(field, ip)                   \
  do {                                         \
    WRITE_FIELD((field)[0], weft_word(ip, 0)); \
    WRITE_FIELD((field)[1], weft_word(ip, 1)); \
    WRITE_FIELD((field)[2], weft_word(ip, 2)); \
    WRITE_FIELD((field)[3], weft_word(ip, 3)); \
  } while (0)

/* Four words of a context into 16 bytes. */
#define READ_IP6(ip, field)                       \
  do {                                            \
    __u32 words_[4];                              \
    words_[0] = READ_FIELD((field)[0]);           \
    words_[1] = READ_FIELD((field)[1]);           \
    words_[2] = READ_FIELD((field)[2]);           \
    words_[3] = READ_FIELD((field)[3]);           \
    __builtin_memcpy(ip, words_, sizeof(words_)); \
  } while (0)

static __always_inline int refuse(int error) {
  if (weft_has_set_retval) bpf_set_retval(-error);
  return 0;
}

#endif
