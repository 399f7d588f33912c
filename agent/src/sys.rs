//! The system calls for which no safe wrapper exists: the only place with `unsafe`.
//!
//! In: plain values. Out: plain values and owned descriptors. It must not decide anything.
//!
//! I/O: system calls.

pub mod bpf;
pub mod filter;
pub mod group;
pub mod heap;
pub mod landlock;
pub mod mmap;
pub mod seccomp;
pub mod socket;
pub mod text;
pub mod usage;
