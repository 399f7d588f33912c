//! The few things that the kernel or the allocator offers only through pointers.
//!
//! In: safe arguments. Out: safe values. Nothing else in the agent may be `unsafe`.
//!
//! I/O: yes.

pub mod heap;
