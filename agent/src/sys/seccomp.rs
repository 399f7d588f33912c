//! seccomp(2): a filter that the kernel asks before each system call, and the signal that reports a refused one.
//!
//! In: instructions. Out: whether they are in force, and how many calls were refused since. It must not decide which calls are
//! refused.
//!
//! A refused call raises SIGSYS in its thread. The handler counts it and has the call answer EPERM: the kernel never ran it, whatever
//! the handler does.
//!
//! I/O: system calls.
#![allow(
    unsafe_code,
    reason = "seccomp(2) and the registers of a signal's context have no safe wrapper"
)]

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

static REFUSED: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicI64 = AtomicI64::new(-1);

/// How many calls were refused so far, and the number of the last one; a number below 0 if there was none.
#[must_use]
pub fn refused() -> (u64, i64) {
    (REFUSED.load(Ordering::Relaxed), LAST.load(Ordering::Relaxed))
}

/// Whether this kernel knows filters whose refusals raise a signal.
///
/// # Errors
/// What seccomp(2) says: ENOSYS before Linux 3.17 or where a sandbox hides it.
pub fn probe() -> io::Result<()> {
    let trap = libc::SECCOMP_RET_TRAP;
    // SAFETY: the kernel reads four bytes that live until the call returns.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const trap)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts the filter in force for the calling thread and all that it starts, or for all threads of the process.
/// The thread must have set no_new_privs, or have CAP_SYS_ADMIN.
///
/// # Errors
/// What seccomp(2) says; with `all_threads`, that a thread has a filter of its own.
pub fn install(program: &mut [libc::sock_filter], all_threads: bool) -> io::Result<()> {
    count()?;
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let threads = if all_threads { libc::SECCOMP_FILTER_FLAG_TSYNC } else { 0 };
    // Without the flag, kernels before 5.16 slow the process down against a speculation that it does not need.
    match set(&program, threads | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set(&program, threads),
        done => done,
    }
}

fn set(program: &libc::sock_fprog, flags: libc::c_ulong) -> io::Result<()> {
    let program: *const libc::sock_fprog = program;
    // SAFETY: the program and its instructions live until the call returns; the kernel copies and checks them.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, program) };
    match answer {
        0 => Ok(()),
        ..0 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!("thread {thread} has a filter of its own"))),
    }
}

/// Installs the handler.
fn count() -> io::Result<()> {
    // SAFETY: all zeros is a valid value: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_refused;
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the handler has the type that SA_SIGINFO asks for, and does only what a handler may.
    let answer = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Notes the call, and has it answer EPERM. Only atomics: it may interrupt anything.
extern "C" fn on_refused(
    _signal: libc::c_int,
    _info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    REFUSED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: with SA_SIGINFO the third argument is the context that the kernel made, for this handler alone.
    let Some(context) = (unsafe { context.cast::<libc::ucontext_t>().as_mut() }) else { return };
    let call = answer(context, -i64::from(libc::EPERM));
    LAST.store(call, Ordering::Relaxed);
}

/// Sets what the interrupted call answers; returns its number.
#[cfg(target_arch = "x86_64")]
const fn answer(context: &mut libc::ucontext_t, value: i64) -> i64 {
    /// `REG_RAX` of sys/ucontext.h.
    const RAX: usize = 13;
    // The kernel has put the number back to where the answer goes (`syscall_rollback`).
    std::mem::replace(&mut context.uc_mcontext.gregs[RAX], value)
}

/// Sets what the interrupted call answers; returns its number.
#[cfg(target_arch = "aarch64")]
const fn answer(context: &mut libc::ucontext_t, value: i64) -> i64 {
    context.uc_mcontext.regs[0] = value.cast_unsigned();
    context.uc_mcontext.regs[8].cast_signed()
}
