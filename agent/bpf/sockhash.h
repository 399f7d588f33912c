/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * The walk of an established hash, which all network namespaces share unless
 * net.ipv4.tcp_child_ehash_entries gave one its own: the sockets that no fd table leads to. */
#pragma once
#include "sockets.h"

/* A TIME_WAIT socket, whose minisocket may still be in FIN_WAIT2. The kernel hashes it before it starts its timer, and ends
 * FIN_WAIT2 before it starts that again: a walk in between meets a new socket with an old expiry. So what seems to be known
 * in a chain that changed is looked at once more by the next walk. */
static __always_inline void put_time_wait(struct ctl *c, struct scratch *s, struct sock_common *sc, __u64 sk)
{
	struct inet_timewait_sock *tw = CAST(sk, struct inet_timewait_sock);
	__u64 expires = READ(tw, tw_timer.expires);
	__u8 substate = READ(tw, tw_substate);
	if (substate != TIME_WAIT)
		s->pinned = 1;
	else if ((__s64)(expires - c->since) < 0) {
		s->known = 1;
		return;
	}
	struct sockrec *r = put_common(c, sc, sk);
	if (!r)
		return;
	r->state = substate;
	r->role = by_bucket(READ(tw, tw_tb));
	r->sequence = sc->skc_tw_rcv_nxt;
	if (substate == TIME_WAIT)
		r->sent = expires;
}

/* A part of an MPTCP connection beyond the one that stands for it. */
static __always_inline bool further_subflow(struct socket *so, struct sock *sk)
{
	if (!bpf_core_type_exists(struct mptcp_sock))
		return 0;
	struct sock *whole = READ(so, sk);
	if (!whole || READ(whole, sk_protocol) != MPTCP)
		return 0;
	struct mptcp_sock *m = CAST(whole, struct mptcp_sock);
	return (__u64)READ(m, first) != (__u64)sk;
}

/* A full socket, when no file leads to it: not accepted yet, orphaned by close(), the kernel's own, or a
 * further part of an MPTCP connection; those have operations of their own. A file of user space is behind
 * every other one, so `file` is looked at for the kernel's only: that saves a cache miss for each socket of
 * the machine. */
static __always_inline bool unowned(struct ctl *c, struct sock_common *sc, struct sock *sk)
{
	struct socket *so = READ(sk, sk_socket);
	if (!so)
		return 1;
	__u64 proto = (__u64)READ(sc, skc_prot);
	if (proto != c->proto[SLOT_TCP4] && proto != c->proto[SLOT_TCP6] && further_subflow(so, sk))
		return 1;
	return !BITS(sc, skc_net_refcnt) && !READ(so, file);
}

static __always_inline void put_unowned(struct ctl *c, struct sock_common *copy, struct sock *sk, __u64 at)
{
	struct sockrec *r = put_common(c, copy, at);
	if (!r)
		return;
	put_full(r, sk);
	struct socket *so = READ(sk, sk_socket);
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
	__u64 at = w->node - bpf_core_field_offset(struct sock_common, skc_nulls_node);
	struct sock_common *sc = CAST(at, struct sock_common);
	struct sock *sk = CAST(at, struct sock);
	w->node = number(s, READ(sc, skc_nulls_node.next));
	__u8 state = READ(sc, skc_state);
	if (state != TIME_WAIT && state != NEW_SYN_RECV && !unowned(c, sc, sk))
		return w->node & 1;
	struct sock_common *copy = (void *)s->common;
	if (bpf_probe_read_kernel(copy, COMMON, (void *)at))
		return 1;
	if (state == TIME_WAIT)
		put_time_wait(c, s, copy, at);
	else if (state == NEW_SYN_RECV)
		put_common(c, copy, at);
	else
		put_unowned(c, copy, sk, at);
	if (state != TIME_WAIT)
		s->pinned = 1;
	return !w->node || w->node & 1; /* odd: the end of the chain */
}

/* Global for the same reason as put_file. */
__noinline int put_chain(__u64 node)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	struct chain w = { .node = node };
	bpf_loop(CHAIN, walk_chain, &w, 0);
	if (c && s && !(w.node & 1)) {
		c->cut++;
		s->pinned = 1;
	}
	return 0;
}

/* Odd, so never 0: a sum would not notice two that changed places. */
static __always_inline __u32 group_of(__u64 *b)
{
	__u64 v = b[0] * 3 + b[1] * 5 + b[2] * 7 + b[3];
	v *= 0x9e3779b97f4a7c15;
	return ((v >> 32) & ~(WAITING_HEAD | AGAIN)) | 1;
}

/* The mark of the TIME_WAIT sockets among four heads, 0 when there is none. */
static __always_inline __u32 mark_of(__u64 *b)
{
	__u32 sum = 0, found = 0;
	for (int j = 0; j < 4; j++) {
		if (b[j] & 1)
			continue;
		struct sock_common *sc = CAST(b[j] - bpf_core_field_offset(struct sock_common, skc_nulls_node), struct sock_common);
		if (READ(sc, skc_state) != TIME_WAIT)
			continue;
		sum = (sum + READ(sc, skc_tw_rcv_nxt)) * 0x9e3779b1;
		found = WAITING_HEAD;
	}
	return found ? (sum >> 16 & MARK) | found : 0;
}

/* Whether the heads are what they were, as far as their marks are looked at now. */
static __always_inline bool same_heads(struct ctl *c, __u32 *group, __u32 now, __u64 *b, __u32 at)
{
	__u32 was = *group;
	if (!(was & WAITING_HEAD))
		return was == now;
	if ((was ^ now) & ~(MARK | YOUNG | WAITING_HEAD))
		return 0;
	c->waiting++;
	if (!(was & YOUNG) && (at & c->turns) != c->turn)
		return 1;
	if ((was & (MARK | WAITING_HEAD)) != mark_of(b))
		return 0;
	if (was & YOUNG)
		*group = was - YOUNG_ONE;
	return 1;
}

/* Takes note of heads whose chains were followed. */
static __always_inline void note(struct ctl *c, struct scratch *s, __u32 *group, __u32 now)
{
	if (s->pinned) {
		now = 0;
	} else if (s->known && (*group ^ now) & ~(YOUNG | AGAIN)) {
		now |= AGAIN;
		c->unsure++;
	}
	*group = now;
}

/* The four buckets from the `i`th on, of the `n` that are in the scratch area, unless their heads are
 * what they were; they are group `at` of `block`. Returns 1 when the window might not hold them. */
__noinline int put_group(__u32 i, __u32 n, __u32 block, __u32 at)
{
	struct scratch *s = scratch_area();
	struct ctl *c = control();
	if (!s || !c)
		return 0;
	/* changes nothing; the verifier of 6.1 would not hold a comparison true of a copy on the stack */
	i &= BUCKETS - 4;
	struct headrec *h = c->heads == HEADS_UNUSED ? 0 : bpf_map_lookup_elem(&heads, &block);
	__u32 *group = h ? &h->group[at % GROUPS] : 0;
	__u64 *b = &s->bucket[i];
	__u32 now = group_of(b);
	if (group && c->heads == HEADS_TRUSTED && same_heads(c, group, now, b, at))
		return 0;
	if (c->nsocks > SOCKS - 4 * CHAIN)
		return 1;
	c->walked++;
	__u32 mark = group ? mark_of(b) : 0; /* before the chains: what comes meanwhile is seen again */
	if (mark) {
		now = (now & ~MARK) | mark | YOUNG;
		c->waiting++;
	}
	s->known = 0;
	s->pinned = 0; /* set by what changes without a new head, or has to be told each time */
	for (int j = 0; j < 4; j++)
		if (i + j < n && !(b[j] & 1))
			put_chain(b[j]);
	if (group)
		note(c, s, group, now);
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
	__u32 block = first / BUCKETS, skipped = first % BUCKETS, n = c->buckets - first;
	if (n > BUCKETS - skipped)
		n = BUCKETS - skipped;
	barrier_var(n); /* what the compiler knows, the verifier of 6.1 has to be told */
	if (n > BUCKETS)
		n = BUCKETS;
	if (bpf_probe_read_kernel(s->bucket, n * 8, (void *)(w->base + 8UL * first))) {
		c->done = 1;
		return 1;
	}
	for (int i = 0; i < BUCKETS && i < n; i += 4) {
		__u64 *b = &s->bucket[i];
		if (b[0] & b[1] & b[2] & b[3] & 1) /* most are empty; what is left of an earlier block beyond n is harmless */
			continue;
		if (put_group(i, n, block, (skipped + i) / 4)) {
			c->bucket = first + i;
			return 1;
		}
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
