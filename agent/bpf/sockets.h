/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * One socket to one record: shared by the walk of fd tables and the walk of the hash. */
#pragma once
#include "read.h"

#define AF_INET 2
#define AF_INET6 10
#define TCP 6
#define UDP 17
#define MPTCP 262
#define STREAM 1
#define DGRAM 2
#define TIME_WAIT 6
#define CLOSE 7
#define LISTEN 10
#define NEW_SYN_RECV 12
#define BINDPORT_LOCK 8   /* of sk_userlocks: the program chose the port; what is accepted never has it */
#define CONNECT_BIND 16   /* 6.18 and newer: connect() chose it */

#ifdef PROBE_READ
#define BITS(p, f) BPF_CORE_READ_BITFIELD_PROBED(p, f)
#else
#define BITS(p, f) BPF_CORE_READ_BITFIELD(p, f)
#endif

/* What full sockets, TIME_WAIT and request minisockets have in common, from a copy made beforehand:
 * one copy and plain loads cost less than a read for each field. */
static __always_inline struct sockrec *put_common(struct ctl *c, struct sock_common *sc, __u64 sk)
{
	__u32 k = c->nsocks;
	struct sockrec *r = bpf_map_lookup_elem(&socks, &k);
	if (!r)
		return 0;
	c->nsocks = k + 1;
	r->family = sc->skc_family;
	r->state = sc->skc_state;
	r->lport = sc->skc_num;
	r->rport = __builtin_bswap16(sc->skc_dport);
	r->sk = sk;
	r->hash = sc->skc_hash;
	r->cgroup = r->sent = r->received = 0;
	r->quality = (struct quality){};
	r->inode = r->pid = 0;
	r->protocol = TCP;
	r->role = ROLE_UNKNOWN;
	r->interface = sc->skc_bound_dev_if;
	struct net *net = CAST(sc->skc_net.net, struct net);
	r->netns = READ(net, ns.inum);
	if (r->family == AF_INET) {
		r->laddr[0] = sc->skc_rcv_saddr;
		r->raddr[0] = sc->skc_daddr;
	} else for (int i = 0; i < 4; i++) {
		r->laddr[i] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
		r->raddr[i] = sc->skc_v6_daddr.in6_u.u6_addr32[i];
	}
	return r;
}

/* A bucket of ports that connect() made is nobody's to share but of those who connect. */
static __always_inline __u8 by_bucket(struct inet_bind_bucket *tb)
{
	return tb && READ(tb, fastreuse) < 0 && READ(tb, fastreuseport) < 0 ? DIALLED : ROLE_UNKNOWN;
}

/* An accepted socket is a copy of its listener, backlog and all, but for the mark of a chosen port.
 * Global: verified once, not once for each way that leads here. */
__noinline int role_of(__u64 at, __u32 state)
{
	struct sock *sk = CAST(at, struct sock);
	if (state == LISTEN || state == CLOSE)
		return ROLE_UNKNOWN;
	if (BITS(sk, sk_userlocks) & (BINDPORT_LOCK | CONNECT_BIND))
		return DIALLED;
	if (READ(sk, sk_max_ack_backlog))
		return ACCEPTED;
	struct inet_connection_sock *icsk = CAST(sk, struct inet_connection_sock);
	return by_bucket(READ(icsk, icsk_bind_hash));
}

static __always_inline void put_quality(struct quality *q, struct tcp_sock *tp)
{
	q->rtt = READ(tp, srtt_us);
	q->retransmitted = READ(tp, total_retrans);
	q->segments = READ(tp, data_segs_out);
}

static __always_inline void put_full(struct sockrec *r, struct sock *sk)
{
	struct cgroup *cg = READ(sk, sk_cgrp_data.cgroup);
	struct kernfs_node *kn = READ(cg, kn);
	r->cgroup = READ(kn, id);
	if (r->protocol == TCP && r->state == LISTEN) {
		r->sent = READ(sk, sk_ack_backlog);
		r->received = READ(sk, sk_max_ack_backlog);
	} else if (r->protocol == TCP) {
		struct tcp_sock *tp = CAST(sk, struct tcp_sock);
		r->sent = READ(tp, bytes_acked);
		r->received = READ(tp, bytes_received);
		put_quality(&r->quality, tp);
		r->role = role_of(r->sk, r->state);
	}
}

/* The TCP socket that stands for an MPTCP one: its listener, or the connection that it began with. */
static __always_inline struct sock *first_subflow(struct sock *sk)
{
	if (!bpf_core_type_exists(struct mptcp_sock) || READ(sk, sk_protocol) != MPTCP)
		return 0;
	struct mptcp_sock *m = CAST(sk, struct mptcp_sock);
	return READ(m, first);
}

/* Copies what is common to all sockets; the second line holds the IPv6 addresses only. */
static __always_inline bool copy_common(struct scratch *s, struct sock *sk)
{
	if (!sk || bpf_probe_read_kernel(s->common, LINE, sk))
		return 0;
	__u16 family = ((struct sock_common *)s->common)->skc_family;
	return family == AF_INET ||
	       (family == AF_INET6 && !bpf_probe_read_kernel(s->common + LINE, LINE, (char *)sk + LINE));
}

/* TCP or UDP, 0 for anything else. The protocol's operations stand in the first cache line and say
 * it for all but sockets whose operations were replaced (kTLS, sockmap). By type as well then: a raw
 * socket may have any protocol number. */
static __always_inline __u8 protocol_of(struct ctl *c, struct sock_common *sc, struct sock *sk)
{
	__u64 proto = (__u64)sc->skc_prot;
	if (proto == c->proto[SLOT_TCP4] || proto == c->proto[SLOT_TCP6])
		return TCP;
	if (proto == c->proto[SLOT_UDP4] || proto == c->proto[SLOT_UDP6])
		return UDP;
	__u16 protocol = READ(sk, sk_protocol), type = READ(sk, sk_type);
	return (protocol == TCP && type == STREAM) || (protocol == UDP && type == DGRAM) ? protocol : 0;
}

/* One open socket file. A global (non-static) function is verified once, not once for each slot of
 * the loop that calls it; it takes numbers only. Returns 1 when the window is full. */
__noinline int put_file(__u64 fp, __u32 pid)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	if (!c || !s)
		return 1;
	struct file *f = CAST(fp, struct file);
	struct socket *so = CAST(READ(f, private_data), struct socket);
	struct sock *sk = READ(so, sk);
	if (!copy_common(s, sk))
		return 0;
	struct sock_common *sc = (void *)s->common;
	__u8 protocol = protocol_of(c, sc, sk);
	if (!protocol) {
		sk = first_subflow(sk);
		if (!copy_common(s, sk))
			return 0;
		protocol = TCP;
	}
	if (protocol == TCP ? sc->skc_state == CLOSE : !sc->skc_num)
		return 0;
	struct sockrec *r = put_common(c, sc, number(s, sk));
	if (!r)
		return 1;
	struct inode *inode = READ(f, f_inode);
	r->inode = READ(inode, i_ino);
	r->pid = pid;
	r->protocol = protocol;
	put_full(r, sk);
	return 0;
}

/* Another look at sockets that were read before. The same hash at the same place is the same socket, or one between
 * the same ends: the process that put that there has run. */
static int look_again(__u32 idx, void *unused)
{
	struct ctl *c = control();
	struct lookrec *r = bpf_map_lookup_elem(&looks, &idx);
	if (!c || !r || idx >= c->nlooks)
		return 1;
	struct sock_common *sc = CAST(r->sk, struct sock_common);
	__u32 hash = READ(sc, skc_hash);
	r->state = hash == r->hash && READ(sc, skc_num) ? READ(sc, skc_state) : 0;
	if (r->state == LISTEN) {
		struct sock *sk = CAST(r->sk, struct sock);
		r->sent = READ(sk, sk_ack_backlog);
		r->received = READ(sk, sk_max_ack_backlog);
	} else if (c->everything && r->state && r->state != TIME_WAIT && r->state != NEW_SYN_RECV) {
		struct tcp_sock *tp = CAST(r->sk, struct tcp_sock);
		r->sent = READ(tp, bytes_acked);
		r->received = READ(tp, bytes_received);
		put_quality(&r->quality, tp);
	}
	return 0;
}

SEC("raw_tp/inet_sock_set_state")
int states(void *ctx)
{
	bpf_loop(LOOKS, look_again, 0, 0);
	return 0;
}
