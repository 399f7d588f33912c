/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
 * The kernel types that are read, with only the fields that are read. preserve_access_index makes
 * every access a relocation that the kernel resolves against its own BTF at load time, so neither
 * the order nor the offsets in this file matter; names and kinds do. */
#pragma once
typedef signed char __s8;   typedef unsigned char __u8;
typedef short __s16;        typedef unsigned short __u16;
typedef int __s32;          typedef unsigned int __u32;
typedef long long __s64;    typedef unsigned long long __u64;
typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64;
typedef __u32 __wsum; typedef __u16 __sum16;
typedef _Bool bool;

enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6 };
enum { BPF_F_MMAPABLE = 1 << 10 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head { struct list_head *next, *prev; };
struct ns_common { unsigned int inum; const void *ops; };
struct percpu_counter { __s64 count; };

/* processes */
struct pid_namespace;
struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct upid numbers[1]; };
struct sched_entity { __u64 sum_exec_runtime; };
struct signal_struct { int nr_threads; struct list_head thread_head; unsigned long long sum_sched_runtime; };
struct mm_struct { struct percpu_counter rss_stat[4]; };    /* 6.2 and newer */
typedef struct { __s64 counter; } atomic_long_t;
struct mm_rss_stat { atomic_long_t count[4]; };
struct mm_struct___v61 { struct mm_rss_stat rss_stat; };    /* up to 6.1 */
struct kernfs_node { __u64 id; };
struct cgroup { struct kernfs_node *kn; };
struct css_set { struct cgroup *dfl_cgrp; };
struct nsproxy { struct net *net_ns; };
struct task_struct {
	unsigned int flags;
	int pid;
	struct sched_entity se;
	struct list_head tasks, thread_node;
	struct mm_struct *mm;
	struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	char comm[16];
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
};

/* files */
struct fdtable { unsigned int max_fds; struct file **fd; unsigned long *open_fds; };
struct files_struct { struct fdtable *fdt; };
struct inode { unsigned long i_ino; };
struct file { struct inode *f_inode; const void *f_op; void *private_data; };

/* sockets */
struct inet_ehash_bucket;
struct hlist_nulls_node;
struct hlist_nulls_head { struct hlist_nulls_node *first; };
struct inet_listen_hashbucket { struct hlist_nulls_head nulls_head; }; /* 5.19 and newer */
struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask, lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
};
struct udp_hslot { int count; };
struct udp_table { struct udp_hslot *hash; unsigned int mask; };
struct local_ports { __u32 range; };               /* 6.8 and newer: the last one above the first one */
struct inet_timewait_death_row { struct inet_hashinfo *hashinfo; };
struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	int sysctl_tcp_fin_timeout;
	struct local_ports ip_local_ports;
	struct udp_table *udp_table;               /* 6.2 and newer */
};
struct tcp_mib { unsigned long mibs[16]; };
struct linux_mib { unsigned long mibs[64]; };
struct netns_mib { struct tcp_mib *tcp_statistics; struct linux_mib *net_statistics; };
struct prot_inuse { int val[64]; };
struct netns_core { struct prot_inuse *prot_inuse; };
struct net {
	struct list_head list;
	struct ns_common ns;
	__u64 net_cookie;
	struct netns_core core;
	struct netns_mib mib;
	struct netns_ipv4 ipv4;
};
struct local_ports___v67 { int range[2]; };
struct netns_ipv4___v67 { struct local_ports___v67 ip_local_ports; };
struct net___v67 { struct netns_ipv4___v67 ipv4; };
struct proto { unsigned int inuse_idx; union { struct inet_hashinfo *hashinfo; struct udp_table *udp_table; } h; };
struct hlist_nulls_node { struct hlist_nulls_node *next, **pprev; };
typedef struct { struct net *net; } possible_net_t;
struct in6_addr { union { __be32 u6_addr32[4]; } in6_u; };
struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	unsigned int skc_hash;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned char skc_net_refcnt : 1;
	int skc_bound_dev_if;
	struct proto *skc_prot;
	possible_net_t skc_net;
	struct hlist_nulls_node skc_nulls_node;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	__u32 skc_tw_rcv_nxt;
};
struct sock_cgroup_data { struct cgroup *cgroup; };
struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	__u16 sk_type, sk_protocol;
	unsigned char sk_userlocks : 4;
	__u32 sk_ack_backlog, sk_max_ack_backlog;
	struct sock_cgroup_data sk_cgrp_data;
};
struct inet_bind_bucket { signed char fastreuse, fastreuseport; };
struct inet_connection_sock { struct inet_bind_bucket *icsk_bind_hash; };
struct mptcp_sock { struct sock *first; };
struct timer_list { unsigned long expires; };
struct inet_timewait_sock { unsigned char tw_substate; struct timer_list tw_timer; struct inet_bind_bucket *tw_tb; };
struct socket { struct file *file; struct sock *sk; };
struct socket_alloc { struct socket socket; struct inode vfs_inode; };
struct tcp_sock { __u64 bytes_received, bytes_acked; __u32 srtt_us, total_retrans, data_segs_out; };

/* a per-CPU array map as the kernel keeps it */
struct bpf_array { void *pptrs[1]; };

#pragma clang attribute pop
