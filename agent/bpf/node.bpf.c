/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * Programs that are run on demand (BPF_PROG_TEST_RUN) and never attached: the type raw_tp is what
 * the kernel lets user space run in its own context. Each run is one slice, ended by the clock or
 * by a full window; the cursor in the control block says where the next one goes on. */
#include "tasks.h"
#include "sockhash.h"
#include "strays.h"
#include "nets.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define ANCESTORS 4096

struct ancestor { __u64 task; };
static int climb(__u32 idx, struct ancestor *x)
{
	struct task_struct *t = CAST(x->task, struct task_struct);
	if (!READ(t, pid))
		return 1;
	__u64 parent = 0;
	bpf_probe_read_kernel(&parent, 8, &t->real_parent);
	x->task = parent;
	return !parent;
}

/* What the kernel adds to a per-CPU address to get that of one CPU, learnt from a map whose values
 * are per-CPU: the usual way, the symbol `runqueues`, needs a kernel with CONFIG_KALLSYMS_ALL. */
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1);
	 __type(key, __u32); __type(value, __u64); } each_cpu SEC(".maps");

struct cpu_learn { __u64 base; };
static int learn_cpu(__u32 idx, struct cpu_learn *x)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	__u64 *off = bpf_map_lookup_elem(&cpus, &idx);
	__u32 zero = 0;
	void *mine = bpf_map_lookup_percpu_elem(&each_cpu, &zero, idx);
	if (!c || !s || !off || !mine) /* no such CPU */
		return 1;
	*off = number(s, mine) - x->base;
	c->cpus = idx + 1;
	return 0;
}

/* The task list's head, our pid namespace, the per-CPU offsets: what current leads to. */
static __always_inline void learn_node(struct ctl *c, struct scratch *s, struct task_struct *t)
{
	struct ancestor a = { .task = (__u64)t };
	bpf_loop(ANCESTORS, climb, &a, 0);
	c->init_task = a.task;
	struct pid *pid = t->thread_pid;
	c->pidns_level = READ(pid, level);
	__u64 at = number(s, pid) + bpf_core_field_offset(struct pid, numbers);
	struct upid *u = CAST(at + c->pidns_level * bpf_core_type_size(struct upid), struct upid);
	c->pidns = (__u64)READ(u, ns);
	struct cpu_learn x = {};
	__u64 map = number(s, &each_cpu);
	bpf_probe_read_kernel(&x.base, 8, (void *)(map + bpf_core_field_offset(struct bpf_array, pptrs)));
	c->cpus = 0;
	bpf_loop(CPUS, learn_cpu, &x, 0);
}

/* ctx[0]: a socket fd of the caller, ctx[1]: which slot of inuse_idx it stands for. */
SEC("raw_tp/inet_sock_set_state")
int calibrate(__u64 *ctx)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	__u64 fd = ctx[0], slot = ctx[1];
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct fdtable *fdt = t->files->fdt;
	__u64 fp = 0;
	if (!c || !s || slot >= SLOTS || fd >= fdt->max_fds || bpf_probe_read_kernel(&fp, 8, fdt->fd + fd) || !fp)
		return 1;
	struct file *f = CAST(fp, struct file);
	struct socket *so = CAST(READ(f, private_data), struct socket);
	struct sock *sk = READ(so, sk);
	struct net *net = READ(sk, __sk_common.skc_net.net);
	struct proto *proto = READ(sk, __sk_common.skc_prot);
	c->inuse_idx[slot & 3] = READ(proto, inuse_idx);
	c->proto[slot & 3] = (__u64)proto;
	/* gone by 7.2; since 6.2 each namespace has its table */
	if (slot == SLOT_UDP4 && bpf_core_field_exists(proto->h.udp_table))
		c->udp_table = (__u64)READ(proto, h.udp_table);
	if (slot != SLOT_TCP4)
		return 0;
	c->sock_fops = (__u64)READ(f, f_op);
	c->net_ops = (__u64)READ(net, ns.ops);
	c->fin_timeout = READ(net, ipv4.sysctl_tcp_fin_timeout);
	if (bpf_core_field_exists(net->ipv4.tcp_death_row.hashinfo))
		c->hash = (__u64)READ(net, ipv4.tcp_death_row.hashinfo);
	else /* filled in up to 6.0 */
		c->hash = (__u64)READ(proto, h.hashinfo);
	learn_node(c, s, t);
	return 0;
}
