/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * The walk of the task list: processes and, when wanted, the sockets of their fd tables. */
#pragma once
#include "sockets.h"

#define PF_KTHREAD 0x00200000
#define TASKS (1 << 22)        /* the kernel's own limit of pids */
#define THREADS (1 << 16)      /* of one process whose CPU time is summed */
#define LEADERLESS 64          /* threads looked at for one that still lives */
#define FD_BLOCKS 4096         /* of 64 words of 64 fds: 16 million fds */
#define UNORDERED_NS 100000000 /* a task gets its start time a moment before its place in the list */

/* The number of a thread in the agent's pid namespace, 0 when it has none. */
static __always_inline __u32 pid_here(struct ctl *c, struct scratch *s, struct task_struct *t)
{
	struct pid *pid = READ(t, thread_pid);
	if (!pid || READ(pid, level) < c->pidns_level)
		return 0;
	__u64 at = number(s, pid) + bpf_core_field_offset(struct pid, numbers);
	at += c->pidns_level * bpf_core_type_size(struct upid);
	struct upid *u = CAST(at, struct upid);
	return (__u64)READ(u, ns) == c->pidns ? READ(u, nr) : 0;
}

struct cpu_sum { __u64 node, head, sum; };
static int sum_thread(__u32 idx, struct cpu_sum *x)
{
	if (x->node == x->head || !x->node)
		return 1;
	struct task_struct *t = CAST(x->node - bpf_core_field_offset(struct task_struct, thread_node), struct task_struct);
	x->sum += READ(t, se.sum_exec_runtime);
	__u64 next = 0;
	bpf_probe_read_kernel(&next, 8, &t->thread_node.next);
	x->node = next;
	return 0;
}

static __always_inline __u64 ran_for(struct signal_struct *sg)
{
	struct cpu_sum x = { .node = (__u64)READ(sg, thread_head.next), .head = (__u64)&sg->thread_head };
	bpf_loop(THREADS, sum_thread, &x, 0);
	return READ(sg, sum_sched_runtime) + x.sum;
}

struct alive { __u64 node, head, task; };
static int find_alive(__u32 idx, struct alive *x)
{
	if (x->node == x->head || !x->node)
		return 1;
	__u64 task = x->node - bpf_core_field_offset(struct task_struct, thread_node);
	struct task_struct *t = CAST(task, struct task_struct);
	if (READ(t, mm)) {
		x->task = task;
		return 1;
	}
	__u64 next = 0;
	bpf_probe_read_kernel(&next, 8, &t->thread_node.next);
	x->node = next;
	return 0;
}

/* Threads that are in another network namespace than their process: one record for each that follows. */
struct elsewhere { __u64 node, head, net; __u32 pid; };
static int find_elsewhere(__u32 idx, struct elsewhere *x)
{
	struct ctl *c = control();
	if (!c || x->node == x->head || !x->node)
		return 1;
	struct task_struct *t = CAST(x->node - bpf_core_field_offset(struct task_struct, thread_node), struct task_struct);
	struct nsproxy *ns = READ(t, nsproxy);
	if (ns && (__u64)READ(ns, net_ns) != x->net) {
		__u32 k = c->nprocs;
		struct procrec *r = bpf_map_lookup_elem(&procs, &k);
		if (!r)
			return 1;
		c->nprocs = k + 1;
		struct net *net = READ(ns, net_ns);
		x->net = (__u64)net;
		r->pid = x->pid;
		r->threads = r->start = 0;
		r->kept = ELSEWHERE;
		r->netns = READ(net, ns.inum);
	}
	__u64 next = 0;
	bpf_probe_read_kernel(&next, 8, &t->thread_node.next);
	x->node = next;
	return 0;
}

/* Global for the same reason as put_file. */
__noinline int put_elsewhere(__u64 signal, __u64 net, __u32 pid)
{
	struct signal_struct *sg = CAST(signal, struct signal_struct);
	struct elsewhere e = { .node = (__u64)READ(sg, thread_head.next), .head = (__u64)&sg->thread_head, .net = net, .pid = pid };
	bpf_loop(THREADS, find_elsewhere, &e, 0);
	return 0;
}

struct fd_count { __u64 bitmap; __u32 words, sum; };
static int count_block(__u32 idx, struct fd_count *x)
{
	struct scratch *s = scratch_area();
	__u32 done = idx * FDS;
	if (!s || done >= x->words)
		return 1;
	__u32 n = x->words - done;
	if (n > FDS)
		n = FDS;
	if (bpf_probe_read_kernel(s->word, n * 8, (void *)(x->bitmap + done * 8UL)))
		return 1;
	for (int i = 0; i < FDS && i < n; i++) {
		__u64 v = s->word[i];
		v -= (v >> 1) & 0x5555555555555555;
		v = (v & 0x3333333333333333) + ((v >> 2) & 0x3333333333333333);
		v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
		x->sum += (v * 0x0101010101010101) >> 56;
	}
	return 0;
}

static __always_inline __u32 count_fds(struct fdtable *fdt)
{
	struct fd_count x = { .bitmap = (__u64)READ(fdt, open_fds), .words = READ(fdt, max_fds) / 64 };
	__u32 blocks = (x.words + FDS - 1) / FDS;
	if (blocks > FD_BLOCKS)
		return ~0;
	bpf_loop(blocks, count_block, &x, 0);
	return x.sum;
}

static __always_inline __u64 positive(__s64 v)
{
	return v > 0 ? v : 0; /* the approximate sums may be below zero */
}

/* File, anonymous and shared memory; rss_stat[2] is swap. Literal indices: a computed one would be
 * scaled by the size that core.h knows instead of the kernel's. */
static __always_inline __u64 pages(struct mm_struct *mm)
{
	if (!mm)
		return 0;
	if (bpf_core_field_exists(mm->rss_stat[0].count))
		return positive(READ(mm, rss_stat[0].count)) + positive(READ(mm, rss_stat[1].count)) +
		       positive(READ(mm, rss_stat[3].count));
#ifdef PROBE_READ
	struct mm_struct___v61 *m = (void *)mm;
	return positive(READ(m, rss_stat.count[0].counter)) + positive(READ(m, rss_stat.count[1].counter)) +
	       positive(READ(m, rss_stat.count[3].counter));
#else
	return 0;
#endif
}

static __always_inline void put_process(struct procrec *r, struct ctl *c, struct scratch *s, struct task_struct *leader,
					struct task_struct *live, struct fdtable *fdt)
{
	struct signal_struct *sg = READ(leader, signal);
	struct task_struct *parent = READ(leader, real_parent);
	parent = READ(parent, group_leader);
	r->ppid = pid_here(c, s, parent);
	r->threads = READ(sg, nr_threads);
	r->netns = 0;
	struct nsproxy *ns = READ(live, nsproxy);
	if (ns) {
		struct net *net = READ(ns, net_ns);
		r->netns = READ(net, ns.inum);
	}
	struct css_set *set = READ(leader, cgroups);
	struct cgroup *cg = READ(set, dfl_cgrp);
	struct kernfs_node *kn = READ(cg, kn);
	r->cgroup = READ(kn, id);
	r->rss_pages = pages(READ(live, mm));
	r->fds = fdt ? count_fds(fdt) : 0;
	bpf_probe_read_kernel(r->comm, sizeof r->comm, &leader->comm);
}

struct fd_walk { __u64 files, bitmap; __u32 max, pid, fd, stopped; };
static int walk_fds(__u32 idx, struct fd_walk *w)
{
	struct scratch *s = scratch_area();
	struct ctl *c = control();
	__u32 word = w->fd / 64;
	if (!s || !c || w->fd >= w->max)
		return 1;
	__u64 bits = 0;
	if (bpf_probe_read_kernel(&bits, 8, (void *)(w->bitmap + word * 8UL)))
		return 1;
	bits &= ~0UL << (w->fd & 63);
	w->fd = word * 64;
	if (bits) {
		if (bpf_probe_read_kernel(s->word, sizeof s->word, (void *)(w->files + word * 512UL)))
			return 1;
		for (int i = 0; i < FDS; i++, bits >>= 1) {
			__u64 fp = s->word[i];
			if (!(bits & 1) || !fp)
				continue;
			struct file *f = CAST(fp, struct file);
			if ((__u64)READ(f, f_op) != c->sock_fops)
				continue;
			if (put_file(fp, w->pid)) {
				w->fd += i;
				w->stopped = 1;
				return 1;
			}
		}
	}
	w->fd += 64;
	if (bits && late(c)) {
		w->stopped = 1;
		return 1;
	}
	return 0;
}

/* One process. Returns 1 when the slice ended inside it; c->fd is then where to go on. */
__noinline int put_task(__u64 task, __u32 pid)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	if (!c || !s)
		return 1;
	struct task_struct *leader = CAST(task, struct task_struct), *live = leader;
	struct signal_struct *sg = READ(leader, signal);
	__u32 place = pid % KNOWN, k = c->nprocs;
	struct known *m = bpf_map_lookup_elem(&known, &place);
	if (!m)
		return 1;
	struct procrec *r = 0;
	bool idle = 0;
	if (!c->fd) {
		r = bpf_map_lookup_elem(&procs, &k);
		if (!r)
			return 1;
		c->nprocs = k + 1;
		r->pid = pid;
		r->start = READ(leader, start_boottime);
		r->cpu_ns = ran_for(sg);
		r->threads = 0;
		bool same = m->pid == pid && m->start == r->start && m->generation == c->generation;
		idle = same && m->read_ns == r->cpu_ns && !c->everything;
		r->kept = c->want_sockets && same && !m->stale && m->files_ns == r->cpu_ns;
		if (!same) {
			m->pid = pid;
			m->start = r->start;
			m->generation = c->generation;
			m->files_ns = ~0UL;
			struct nsproxy *ns = READ(leader, nsproxy);
			put_elsewhere(number(s, sg), ns ? number(s, READ(ns, net_ns)) : 0, pid);
		}
		m->read_ns = r->cpu_ns;
		if (idle && (r->kept || !c->want_sockets))
			return 0;
	}
	if (!READ(leader, mm) && READ(sg, nr_threads) > 1) {
		/* the leader exited, its threads go on: /proc/PID/fd is empty then, but the files are open */
		struct alive x = { .node = (__u64)READ(sg, thread_head.next), .head = (__u64)&sg->thread_head };
		bpf_loop(LEADERLESS, find_alive, &x, 0);
		if (x.task)
			live = CAST(x.task, struct task_struct);
	}
	struct files_struct *files = READ(live, files);
	struct fdtable *fdt = files ? READ(files, fdt) : 0;
	if (r && !idle)
		put_process(r, c, s, leader, live, fdt);
	if (!c->want_sockets || !fdt || (r && r->kept))
		return 0;
	struct fd_walk w = { .files = (__u64)READ(fdt, fd), .bitmap = (__u64)READ(fdt, open_fds),
			     .max = READ(fdt, max_fds), .pid = pid, .fd = c->fd };
	bpf_loop(w.max / 64, walk_fds, &w, 0);
	c->fd = w.fd;
	if (!w.stopped) {
		/* what it ran for when the walk began: it may have run since */
		m->files_ns = m->read_ns;
		m->stale = 0;
	}
	return w.stopped;
}

struct task_walk { __u64 task; };
static int walk_tasks(__u32 idx, struct task_walk *w)
{
	struct ctl *c = control();
	struct scratch *s = scratch_area();
	if (!c || !s)
		return 1;
	if (w->task == c->init_task) {
		c->done = 1;
		return 1;
	}
	struct task_struct *t = CAST(w->task, struct task_struct);
	if ((idx & 3) == 3 && late(c)) {
		c->task = w->task;
		c->task_start = READ(t, start_boottime);
		return 1;
	}
	if (!(READ(t, flags) & PF_KTHREAD) && READ(t, start_boottime) >= c->from_start) {
		__u32 pid = pid_here(c, s, t);
		if (pid && put_task(w->task, pid)) {
			c->task = w->task;
			c->task_start = READ(t, start_boottime);
			return 1;
		}
	}
	c->fd = 0;
	__u64 next = 0;
	bpf_probe_read_kernel(&next, 8, &t->tasks.next);
	if (!next) {
		c->done = 1;
		return 1;
	}
	w->task = next - bpf_core_field_offset(struct task_struct, tasks);
	return 0;
}

/* Whether the cursor's task still stands in the list: an unlinked one has its `prev` poisoned, a
 * reused one has another start time. */
static __always_inline bool linked(struct ctl *c)
{
	__u64 off = bpf_core_field_offset(struct task_struct, tasks), node = c->task + off, next = 0, prev = 0, back = 0, forth = 0;
	struct task_struct *t = CAST(c->task, struct task_struct);
	bpf_probe_read_kernel(&next, 8, &t->tasks.next);
	bpf_probe_read_kernel(&prev, 8, &t->tasks.prev);
	struct task_struct *n = CAST(next - off, struct task_struct), *p = CAST(prev - off, struct task_struct);
	bpf_probe_read_kernel(&back, 8, &n->tasks.prev);
	bpf_probe_read_kernel(&forth, 8, &p->tasks.next);
	return back == node && forth == node && READ(t, start_boottime) == c->task_start;
}

SEC("raw_tp/inet_sock_set_state")
int tasks(void *ctx)
{
	struct ctl *c = control();
	if (!c)
		return 1;
	begin(c);
	struct task_walk w = { .task = c->task };
	if (w.task && !linked(c)) {
		c->lost++;
		c->fd = 0;
		c->from_start = c->task_start > UNORDERED_NS ? c->task_start - UNORDERED_NS : 1;
		w.task = 0;
	}
	if (!w.task) {
		__u64 next = 0;
		struct task_struct *init = CAST(c->init_task, struct task_struct);
		bpf_probe_read_kernel(&next, 8, &init->tasks.next);
		w.task = next - bpf_core_field_offset(struct task_struct, tasks);
	}
	c->task = 0;
	bpf_loop(TASKS, walk_tasks, &w, 0);
	return 0;
}
