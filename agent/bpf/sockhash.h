/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * The walk of an established hash, which all network namespaces share unless
 * net.ipv4.tcp_child_ehash_entries gave one its own: the sockets that no fd table leads to. */
#pragma once
#include "sockets.h"

/* A TIME_WAIT socket, whose minisocket may still be in FIN_WAIT2. Returns 1 when it is not wanted. */
static __always_inline int put_time_wait(struct ctl *c, struct sock_common *sc, __u64 sk)
{
	struct inet_timewait_sock *tw = CAST(sk, struct inet_timewait_sock);
	__u64 expires = READ(tw, tw_timer.expires);
	__u8 substate = READ(tw, tw_substate);
	if (substate == TIME_WAIT) {
		if ((__s64)(expires - c->since) < 0)
			return 1;
		if ((__s64)(expires - c->newest) > 0)
			c->newest = expires;
	}
	struct sockrec *r = put_common(c, sc);
	if (!r)
		return 1;
	r->state = substate;
	if (substate == TIME_WAIT) {
		r->sent = expires;
		r->received = sk;
	}
	return 0;
}

/* A full socket, when no file holds it: not accepted yet, orphaned by close(), or the kernel's own. */
static __always_inline void put_unowned(struct ctl *c, struct sock_common *sc, __u64 at)
{
	struct sock *sk = CAST(at, struct sock);
	struct socket *so = READ(sk, sk_socket);
	if (so && READ(so, file))
		return;
	struct sockrec *r = put_common(c, sc);
	if (!r)
		return;
	put_full(r, sk);
	if (so) {
		struct socket_alloc *sa = CAST(so, struct socket_alloc);
		r->inode = READ(sa, vfs_inode.i_ino);
	}
}

struct chain { __u64 node; };
static int walk_chain(__u32 idx, struct chain *w)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	if (!c || !s)
		return 1;
	__u64 sk = w->node - bpf_core_field_offset(struct sock_common, skc_nulls_node);
	if (bpf_probe_read_kernel(s->common, COMMON, (void *)sk))
		return 1;
	struct sock_common *sc = (void *)s->common;
	w->node = (__u64)sc->skc_nulls_node.next;
	__u8 state = sc->skc_state;
	if (state == TIME_WAIT)
		put_time_wait(c, sc, sk);
	else if (state == NEW_SYN_RECV)
		put_common(c, sc);
	else
		put_unowned(c, sc, sk);
	return w->node & 1; /* odd: the end of the chain */
}

/* Global for the same reason as put_file. */
__noinline int put_chain(__u64 node)
{
	struct ctl *c = control();
	struct chain w = { .node = node };
	bpf_loop(CHAIN, walk_chain, &w, 0);
	if (c && !(w.node & 1))
		c->cut++;
	return 0;
}

struct bucket_walk { __u64 base; };
static int walk_buckets(__u32 idx, struct bucket_walk *w)
{
	struct scratch *s = scratch_area();
	struct ctl *c = control();
	if (!s || !c)
		return 1;
	__u32 first = c->bucket;
	if (first >= c->buckets) {
		c->done = 1;
		return 1;
	}
	if (idx && late(c))
		return 1;
	__u32 n = c->buckets - first;
	if (n > BUCKETS)
		n = BUCKETS;
	if (bpf_probe_read_kernel(s->bucket, n * 8, (void *)(w->base + 8UL * first))) {
		c->done = 1;
		return 1;
	}
	for (int i = 0; i < BUCKETS && i < n; i++) {
		if (s->bucket[i] & 1)
			continue;
		if (c->nsocks > SOCKS - CHAIN) {
			c->bucket = first + i;
			return 1;
		}
		put_chain(s->bucket[i]);
	}
	c->bucket = first + n;
	return 0;
}

SEC("raw_tp/inet_sock_set_state")
int sockhash(void *ctx)
{
	struct ctl *c = control();
	if (!c)
		return 1;
	begin(c);
	c->jiffies = bpf_jiffies64();
	struct inet_hashinfo *hash = CAST(c->table, struct inet_hashinfo);
	struct bucket_walk w = { .base = (__u64)READ(hash, ehash) };
	c->buckets = READ(hash, ehash_mask) + 1;
	bpf_loop(c->buckets / BUCKETS + 2, walk_buckets, &w, 0);
	return 0;
}
