/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
 *
 * Everything that Weft loads into the kernel of a node, one object: so that all programs share
 * their maps by construction.
 */
#include "inbound.h"    /* sk_lookup */
#include "outbound.h"   /* connect4/6, sendmsg4/6 */
#include "rendezvous.h" /* sockops */
#include "truth.h"      /* getpeername4/6, getsockname4/6, recvmsg4/6, getsockopt, setsockopt */

char LICENSE[] SEC("license") = "Dual BSD/GPL";
