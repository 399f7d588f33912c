//! System calls that no safe crate offers, each behind a safe function.
//!
//! In and out: plain values and owned file descriptors. It must not decide anything: what a call
//! is for stands with its caller. The only place of the agent where `unsafe` is allowed.
//!
//! I/O: yes.

pub mod bpf;
pub mod mmap;
