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

/* How a TCP connection fares, as TCP_INFO has it. */
struct quality {
	__u32 rtt;                    /* smoothed, in eighths of a microsecond */
	__u32 retransmitted;
	__u32 segments;               /* sent with data, the retransmitted ones included */
	__u32 unused;
};

struct sockrec {
	__u32 netns, inode, pid;
	__u32 hash;                   /* its place in the established hash, if it is in there */
	__u8 family, role;
	__u8 state, protocol;
	__u16 lport, rport;           /* host order */
	__u64 sk;                     /* its address */
	/* of a TIME_WAIT socket: sent = expiry in jiffies; of a listener: sent = connections that wait to be
	 * accepted, received = how many may */
	__u64 cgroup, sent, received;
	__u32 laddr[4], raddr[4];     /* network order */
	__u32 interface;              /* that it is bound to */
	__u32 sequence;               /* of a TIME_WAIT socket: what it would receive next, which tells it from another one here */
	struct quality quality;
};

/* What the kernel remembers of how a socket was connected. */
enum { ROLE_UNKNOWN, ACCEPTED, DIALLED };

/* A socket that is looked at again: in: where it was, and its hash then; out: its state, 0 when something else is
 * there now, and its bytes and quality when everything is wanted; of a listener always its queue, as in sockrec. */
struct lookrec {
	__u64 sk;
	__u32 hash, state;
	__u64 sent, received;
	struct quality quality;
};

/* What the last walk found at the heads of 256 buckets, four in one number: while they are what they were, the chains
 * have nothing new. 0: to be walked in any case. The address of a TIME_WAIT socket says little: the next one on the same
 * ports often gets it again. So a group with such a head says so, and has a mark of what they would receive, which the
 * next seven walks look at, and then those whose turn it is: ports that are used again at once are used again at once. */
#define GROUPS 64
#define WAITING_HEAD 2
#define MARK 0x3ffcU
#define YOUNG 0x1c000U   /* a number, of walks that are left */
#define YOUNG_ONE 0x4000U
#define AGAIN 0x20000U   /* the next walk follows the chains once more: see `put_time_wait` */
struct headrec { __u32 group[GROUPS]; };

struct procrec {
	__u32 pid, ppid, netns, threads; /* no threads: it did not run, all but `kept` is as it was */
	__u64 start, cpu_ns, cgroup, rss_pages;
	__u32 fds;                    /* ~0: more than is counted */
	__u32 kept;                   /* its files were not walked: it holds what it held; ELSEWHERE: see there */
	char comm[16];
};

/* Not a process: a thread of `pid` is in the namespace `netns`, where its process is not. */
#define ELSEWHERE 2

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
	__u32 inum;
	__u32 ports;                  /* the first ephemeral port, the last one above it; 0: not known */
	__u64 udp_table;
	__u64 embryonic;              /* half-open requests that were reset: `failed` counts them too */
	__u64 cookie;                 /* which namespace of all since boot it is */
};

enum { ESTABLISHED_HASH, LISTEN_HASH, UDP_HASH };

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
	/* `netns` */
	__u64 detail;                 /* in: ports and tables are wanted as well */
	/* `sockhash` */
	__u64 turn, turns;            /* in: of the groups with a TIME_WAIT head, which part has its mark looked at (turns: a mask) */
	__u64 waiting;                /* cursor: such groups that were met */
	/* `strays`, with `table` */
	__u64 udp_table;              /* out of `calibrate`: the one of all namespaces, up to 6.1 */
	__u64 kind;                   /* in: which kind of hash it is */
	__u64 place, places;          /* cursor; out: buckets */
	/* `sockhash` */
	__u64 unsure;                 /* cursor: groups that the next walk has to follow once more, though no counter moves */
	/* scratch */
	__u64 deadline;
};
