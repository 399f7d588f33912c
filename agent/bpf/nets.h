/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * The counters of every network namespace, summed over the CPUs. */
#pragma once
#include "read.h"

#define NAMESPACES (1 << 20)
enum { ACTIVE_OPENS = 5, PASSIVE_OPENS = 6, ATTEMPT_FAILS = 7, ESTAB_RESETS = 8, CURR_ESTAB = 9 }; /* enums of uapi/linux/snmp.h */
enum { EMBRYONIC_RSTS = 4 };

struct sums { __u64 mib, ext, inuse, embryonic, active, passive, failed, resets, established; __s32 tcp, udp; };

static __always_inline __s32 inuse(__u64 at, __s64 idx)
{
	if (idx < 0)
		return 0;
	struct prot_inuse *p = CAST(at + 4 * idx, struct prot_inuse);
	return READ(p, val[0]);
}

static int sum_cpu(__u32 idx, struct sums *x)
{
	__u64 *off = bpf_map_lookup_elem(&cpus, &idx);
	struct ctl *c = control();
	if (!off || !c)
		return 1;
	struct tcp_mib *m = CAST(x->mib + *off, struct tcp_mib);
	x->active += READ(m, mibs[ACTIVE_OPENS]);
	x->passive += READ(m, mibs[PASSIVE_OPENS]);
	x->failed += READ(m, mibs[ATTEMPT_FAILS]);
	x->resets += READ(m, mibs[ESTAB_RESETS]);
	x->established += READ(m, mibs[CURR_ESTAB]);
	struct linux_mib *e = CAST(x->ext + *off, struct linux_mib);
	x->embryonic += READ(e, mibs[EMBRYONIC_RSTS]);
	__u64 p = x->inuse + *off;
	x->tcp += inuse(p, c->inuse_idx[SLOT_TCP4]) + inuse(p, c->inuse_idx[SLOT_TCP6]);
	x->udp += inuse(p, c->inuse_idx[SLOT_UDP4]) + inuse(p, c->inuse_idx[SLOT_UDP6]);
	return 0;
}

static __always_inline __u32 local_ports(struct net *net)
{
	if (bpf_core_field_exists(net->ipv4.ip_local_ports.range))
		return READ(net, ipv4.ip_local_ports.range);
	struct net___v67 *old = CAST(net, struct net___v67);
	if (bpf_core_field_exists(old->ipv4.ip_local_ports.range)) /* up to 6.7 */
		return READ(old, ipv4.ip_local_ports.range[0]) | READ(old, ipv4.ip_local_ports.range[1]) << 16;
	return 0;
}

/* Returns 1 when the window is full. */
static __always_inline int put_net(struct ctl *c, struct scratch *s, struct net *net)
{
	__u32 k = c->nnets;
	struct netrec *r = bpf_map_lookup_elem(&nets, &k);
	if (!r)
		return 1;
	c->nnets = k + 1;
	struct sums x = { .mib = number(s, READ(net, mib.tcp_statistics)), .inuse = number(s, READ(net, core.prot_inuse)) };
	x.ext = number(s, READ(net, mib.net_statistics));
	bpf_loop(c->cpus, sum_cpu, &x, 0);
	r->active = x.active;
	r->passive = x.passive;
	r->failed = x.failed;
	r->resets = x.resets;
	r->established = x.established;
	r->embryonic = x.embryonic;
	r->cookie = READ(net, net_cookie);
	r->tcp = x.tcp;
	r->udp = x.udp;
	r->inum = READ(net, ns.inum);
	r->hash = c->hash;
	if (bpf_core_field_exists(net->ipv4.tcp_death_row.hashinfo)) /* all but 5.18 to 6.0 */
		r->hash = (__u64)READ(net, ipv4.tcp_death_row.hashinfo);
	r->ports = 0;
	r->udp_table = c->udp_table;
	if (!c->detail)
		return 0;
	r->ports = local_ports(net);
	if (bpf_core_field_exists(net->ipv4.udp_table))
		r->udp_table = (__u64)READ(net, ipv4.udp_table);
	return 0;
}

struct net_walk { __u64 net, first, nth; };
static int walk_nets(__u32 idx, struct net_walk *w)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	if (!c || !s)
		return 1;
	if (idx && w->net == w->first) {
		c->done = 1;
		return 1;
	}
	struct net *net = CAST(w->net, struct net);
	/* the ring contains its head, which is no namespace */
	if ((__u64)READ(net, ns.ops) == c->net_ops) {
		if (w->nth >= c->nth) {
			if (c->nnets && late(c))
				return 1;
			if (put_net(c, s, net))
				return 1;
			c->nth = w->nth + 1;
			c->net = w->net;
		} else if (w->nth + 1 == c->nth && w->net != c->net) {
			/* a namespace before the cursor is gone, so we may have lost our place: once more */
			c->nth = 0;
			c->restarted++;
			return 1;
		}
		w->nth++;
	}
	__u64 next = 0;
	bpf_probe_read_kernel(&next, 8, &net->list.next);
	if (!next) {
		c->done = 1;
		return 1;
	}
	w->net = next - bpf_core_field_offset(struct net, list);
	return 0;
}

SEC("raw_tp/inet_sock_set_state")
int netns(void *ctx)
{
	struct ctl *c = control();
	if (!c)
		return 1;
	begin(c);
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct net_walk w = { .first = (__u64)t->nsproxy->net_ns };
	w.net = w.first;
	bpf_loop(NAMESPACES, walk_nets, &w, 0);
	return 0;
}
