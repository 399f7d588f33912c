/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * Every socket of a hash, held by any process: run when the kernel counts more sockets than were met through
 * files, to find those in the tables of single threads, of io_uring, on their way over a Unix socket, and
 * the kernel's own. */
#pragma once
#include "sockets.h"

static __always_inline void put_stray(struct ctl *c, struct sock_common *copy, struct sock *sk, __u64 at)
{
	__u8 protocol = protocol_of(c, copy, sk);
	if (!protocol || (protocol == TCP ? copy->skc_state == CLOSE : !copy->skc_num))
		return;
	struct sockrec *r = put_common(c, copy, at);
	if (!r)
		return;
	r->protocol = protocol;
	put_full(r, sk);
	struct socket *so = READ(sk, sk_socket);
	if (so) {
		struct socket_alloc *sa = CAST(so, struct socket_alloc);
		r->inode = READ(sa, vfs_inode.i_ino);
	}
}

struct stray_chain { __u64 node; };
static int list_chain(__u32 idx, struct stray_chain *w)
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
	if (state != TIME_WAIT && state != NEW_SYN_RECV && !bpf_probe_read_kernel(s->common, COMMON, (void *)at))
		put_stray(c, (void *)s->common, sk, at);
	return !w->node || w->node & 1;
}

/* Global for the same reason as put_file. Returns 1 when the window might not hold the chain. */
__noinline int put_list(__u64 node)
{
	struct ctl *c = control();
	struct stray_chain w = { .node = node };
	if (!c)
		return 0;
	if (c->nsocks > SOCKS - CHAIN)
		return 1;
	bpf_loop(CHAIN, list_chain, &w, 0);
	if (w.node && !(w.node & 1))
		c->cut++;
	return 0;
}

struct stray_walk { __u64 base; __u32 words, head; };
static int list_buckets(__u32 idx, struct stray_walk *w)
{
	struct scratch *s = scratch_area();
	struct ctl *c = control();
	if (!s || !c)
		return 1;
	__u32 first = c->place, words = w->words, head = w->head;
	if (first >= c->places) {
		c->done = 1;
		return 1;
	}
	if (idx && late(c))
		return 1;
	if (bpf_probe_read_kernel(s->bucket, sizeof s->bucket / 2, (void *)(w->base + 8UL * words * first))) {
		c->done = 1;
		return 1;
	}
	__u32 n = c->places - first, i = 0;
	for (; i < BUCKETS / 4; i++) {
		__u32 k = i * words + head;
		if (i >= n || k >= BUCKETS / 2)
			break;
		__u64 node = s->bucket[k];
		if (!node || node & 1)
			continue;
		if (put_list(node)) {
			c->place = first + i;
			return 1;
		}
	}
	c->place = first + i;
	return 0;
}

SEC("raw_tp/inet_sock_set_state")
int strays(void *ctx)
{
	struct ctl *c = control();
	if (!c)
		return 1;
	begin(c);
	struct inet_hashinfo *hash = CAST(c->table, struct inet_hashinfo);
	struct stray_walk w = { .base = (__u64)READ(hash, ehash), .words = 1 };
	__u64 mask = READ(hash, ehash_mask);
	if (c->kind == LISTEN_HASH) {
		/* up to 5.18 listeners were linked otherwise */
		c->done = 1;
		struct inet_listen_hashbucket *bucket = 0;
		if (!bpf_core_field_exists(bucket->nulls_head) || bpf_core_type_size(struct inet_listen_hashbucket) != 16)
			return 0;
		c->done = 0;
		w.base = (__u64)READ(hash, lhash2);
		mask = READ(hash, lhash2_mask);
		w.words = 2;
		w.head = 1;
	} else if (c->kind == UDP_HASH) {
		struct udp_table *table = CAST(c->table, struct udp_table);
		w.base = (__u64)READ(table, hash);
		mask = READ(table, mask);
		w.words = 2;
	}
	c->places = mask + 1;
	bpf_loop(c->places / (BUCKETS / 4) + 2, list_buckets, &w, 0);
	return 0;
}
