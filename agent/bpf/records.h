/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * What the programs and user space say to each other. The same layout stands, with its size
 * asserted, in agent/src/discover/bpf/records.rs. */
#pragma once
#include "core.h"

/* Records per slice. User space copies them out between slices, so these bound a slice, not a node. */
#define SOCKS 4096
#define PROCS 2048
#define NETS  1024
#define LOOKS 2048
#define HEADS 2048       /* blocks of 256 buckets that are remembered: half a million buckets, the largest usual hash */
#define CPUS  4096
#define CHAIN 64         /* sockets of one hash chain that are followed */
#define KNOWN 16384      /* processes that are remembered, by pid; two at one place are read at every pass */

struct sockrec {
	__u32 netns, inode, pid;
	__u32 hash;                   /* its place in the established hash, if it is in there */
	__u16 family;
	__u8 state, protocol;
	__u16 lport, rport;           /* host order */
	__u64 sk;                     /* its address */
	__u64 cgroup, sent, received; /* of a TIME_WAIT socket: sent = expiry in jiffies */
	__u32 laddr[4], raddr[4];     /* network order */
};

/* A socket that is looked at again: in: where it was, and its hash then; out: its state, 0 when something else is
 * there now, and its bytes when everything is wanted. */
struct lookrec {
	__u64 sk;
	__u32 hash, state;
	__u64 sent, received;
};

/* What the last walk found at the heads of 256 buckets, four in one number: while they are what they were, the chains
 * have nothing new. 0: to be walked in any case. */
#define GROUPS 64
struct headrec { __u32 group[GROUPS]; };

struct procrec {
	__u32 pid, ppid, netns, threads; /* no threads: it did not run, all but `kept` is as it was */
	__u64 start, cpu_ns, cgroup, rss_pages;
	__u32 fds;                    /* ~0: more than is counted */
	__u32 kept;                   /* its files were not walked: it holds what it held */
	char comm[16];
};

/* What is remembered of a process: what it had run for when it was read, and when its files were.
 * Who has not run since has neither opened nor closed anything. */
struct known {
	__u32 pid;
	__u32 stale;                  /* in: a socket of it may have changed without it */
	__u64 generation, start, read_ns, files_ns;
};

struct netrec {
	__u64 active, passive, failed, resets, established;
	__u64 hash;                   /* the established hash this namespace uses */
	__s32 tcp, udp;
	__u32 inum, pad;
};

enum { HEADS_UNUSED, HEADS_NOTED, HEADS_TRUSTED };

enum { SLOT_TCP4, SLOT_TCP6, SLOT_UDP4, SLOT_UDP6, SLOTS };

/* The control block, all of u64, numbered in records.rs as well: in = set by user space, out = set
 * by the program, cursor = out of one slice and in to the next. A pass begins with cursors of zero. */
struct ctl {
	/* in, once */
	__u64 slice_ns;
	/* out of `calibrate` */
	__u64 sock_fops, hash, init_task, pidns, pidns_level, net_ops, fin_timeout, cpus;
	__s64 inuse_idx[SLOTS];
	__u64 proto[SLOTS];           /* tcp_prot and so on */
	/* out of each slice */
	__u64 done;                   /* nothing is left for another slice */
	__u64 nsocks, nprocs, nnets, cut;
	/* `tasks` */
	__u64 want_sockets;           /* in */
	__u64 task, task_start;       /* cursor: the next task */
	__u64 fd;                     /* cursor: the next fd of that task, whose process record is out already */
	__u64 from_start;             /* cursor: tasks that started earlier are behind us, once a cursor was lost */
	__u64 lost;                   /* out: cursors whose task was gone */
	/* `sockhash` */
	__u64 table;                  /* in: which hash */
	__u64 since;                  /* in: TIME_WAIT sockets that expire earlier are known already (jiffies) */
	__u64 jiffies;                /* out: the time now */
	__u64 bucket, buckets;        /* cursor; out: how many there are */
	/* `netns` */
	__u64 net, nth;               /* cursor: the last one that is out, and its place in the list */
	__u64 restarted;              /* out: a namespace before the cursor was gone, so from the start again */
	/* `tasks` */
	__u64 generation;             /* in: what is remembered from another one does not count */
	/* `sockhash` */
	__u64 heads;                  /* in: what to do with what is remembered of heads */
	__u64 walked;                 /* cursor: groups of buckets whose chains were walked */
	/* `states` */
	__u64 nlooks;                 /* in */
	/* `tasks`, `states` */
	__u64 everything;             /* in: of who has not run all but the files is read, of sockets the bytes */
	/* scratch */
	__u64 deadline;
};
