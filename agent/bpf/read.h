/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * How kernel memory is read, and the maps. Two builds of one source:
 * default      CAST gives a typed read-only pointer, READ is a plain load that cannot fault (6.2+)
 * -DPROBE_READ CAST is a C cast, READ copies with bpf_probe_read_kernel (5.17+) */
#pragma once
#include "records.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#ifdef PROBE_READ
#define CAST(p, T) ((T *)(p))
#define READ(p, f) ({ __typeof__((p)->f) v_; bpf_probe_read_kernel(&v_, sizeof v_, &(p)->f); v_; })
#else
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
#define CAST(p, T) ((T *)bpf_rdonly_cast((const void *)(p), bpf_core_type_id_kernel(T)))
#define READ(p, f) ((p)->f)
#endif

#define MAP(name_, type_, n_, flags_) \
	struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(map_flags, flags_); __uint(max_entries, n_); \
		 __type(key, __u32); __type(value, type_); } name_ SEC(".maps")

#define FDS 64           /* fd slots, and bitmap words, copied per step */
#define BUCKETS 256      /* hash buckets copied per step */
#define LINE 64          /* bytes of a cache line: what is not read costs nothing */
#define COMMON (2 * LINE) /* bytes of struct sock_common that are copied; the verifier holds that every field fits */

/* The agent runs one program at a time, so one scratch area will do. */
struct scratch { __u64 word[FDS], bucket[BUCKETS], pointer, pinned, known; char common[COMMON]; };

MAP(ctl, struct ctl, 1, BPF_F_MMAPABLE);
MAP(socks, struct sockrec, SOCKS, BPF_F_MMAPABLE);
MAP(procs, struct procrec, PROCS, BPF_F_MMAPABLE);
MAP(nets, struct netrec, NETS, BPF_F_MMAPABLE);
MAP(known, struct known, KNOWN, BPF_F_MMAPABLE);
MAP(looks, struct lookrec, LOOKS, BPF_F_MMAPABLE);
MAP(heads, struct headrec, HEADS, BPF_F_MMAPABLE);
MAP(cpus, __u64, CPUS, 0);  /* __per_cpu_offset, learnt once */
MAP(scratch, struct scratch, 1, 0);

static __always_inline struct ctl *control(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&ctl, &zero);
}

static __always_inline struct scratch *scratch_area(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&scratch, &zero);
}

/* The verifier forbids arithmetic on a pointer that it knows the type of; one that went through a
 * map is a number again. */
static __always_inline __u64 number(struct scratch *s, const void *p)
{
	*(volatile __u64 *)&s->pointer = (__u64)p;
	return *(volatile __u64 *)&s->pointer;
}

static __always_inline bool late(struct ctl *c)
{
	return bpf_ktime_get_ns() > c->deadline;
}

static __always_inline void begin(struct ctl *c)
{
	c->deadline = bpf_ktime_get_ns() + c->slice_ns;
	c->nsocks = c->nprocs = c->nnets = c->cut = c->done = 0;
}
