//! The allocator's heap profiler.
//!
//! In: nothing. Out: whether it was turned on. It must not be called where another allocator is in
//! use: then it says no.
//!
//! I/O: none; changes the state of the allocator.

#![allow(unsafe_code, reason = "mallctl takes an untyped pointer")]

/// Begins to sample allocations; `false` when the allocator was built or started without that.
#[must_use]
pub fn profile() -> bool {
    // SAFETY: `prof.active` is a bool, as the manual of jemalloc says, and so is the value.
    unsafe { tikv_jemalloc_ctl::raw::write(b"prof.active\0", true) }.is_ok()
}
