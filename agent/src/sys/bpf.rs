//! The bpf(2) system call, as far as a light skeleton needs it.
//!
//! In: blobs and file descriptors. Out: file descriptors and numbers. It must not know what the
//! programs do. `union bpf_attr` is written by byte offset: six commands are used, and their
//! offsets are the kernel's ABI.
//!
//! I/O: yes.
#![allow(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper; descriptors come back as plain numbers"
)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
#[cfg(test)]
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const MAP_TYPE_ARRAY: u32 = 2;
const PROG_TYPE_SYSCALL: u32 = 31;
const SLEEPABLE: u32 = 1 << 4;
/// Offset of `verified_insns` in `struct bpf_prog_info`, and the size up to its end.
#[cfg(test)]
const VERIFIED_INSNS: usize = 216;
#[cfg(test)]
const PROG_INFO: usize = 224;

/// `union bpf_attr`, zeroed.
#[derive(Default)]
struct Attr([u64; 20]);

impl Attr {
    fn u32(&mut self, offset: usize, value: u32) -> &mut Self {
        let shift = offset % 8 * 8;
        let word = &mut self.0[offset / 8];
        *word = *word & !(u64::from(u32::MAX) << shift) | u64::from(value) << shift;
        self
    }

    fn u64(&mut self, offset: usize, value: u64) -> &mut Self {
        self.0[offset / 8] = value;
        self
    }

    fn fd(&mut self, offset: usize, fd: BorrowedFd<'_>) -> &mut Self {
        self.u32(offset, fd.as_raw_fd().cast_unsigned())
    }

    fn get_u32(&self, offset: usize) -> u32 {
        low_u32(self.0[offset / 8] >> (offset % 8 * 8))
    }

    /// # Safety
    /// Every address in the attributes must be valid for what the command does with it.
    unsafe fn call(&mut self, command: libc::c_long, size: usize) -> io::Result<i32> {
        // SAFETY: the attributes are 160 bytes, more than any command here reads or writes; what
        // they point to is the caller's promise.
        let r = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), size) };
        if r < 0 {
            Err(io::Error::last_os_error())
        } else {
            i32::try_from(r).map_err(io::Error::other)
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low_u32(word: u64) -> u32 {
    word as u32
}

#[allow(clippy::cast_possible_truncation, reason = "blobs and contexts are far below 4 GiB")]
const fn size(bytes: usize) -> u32 {
    bytes as u32
}

fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.addr() as u64
}

/// # Safety
/// `fd` must be a descriptor that the kernel has just made for us and that no one else owns.
unsafe fn own(fd: i32) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// An array map of one element that holds `data`: what the loader program reads.
pub(crate) fn blob_map(data: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = Attr::default();
    attr.u32(0, MAP_TYPE_ARRAY).u32(4, 4).u32(8, size(data.len())).u32(12, 1);
    // SAFETY: the attributes hold no address.
    let map = unsafe { own(attr.call(MAP_CREATE, 72)?) };
    let key = 0u32;
    let mut attr = Attr::default();
    attr.fd(0, std::os::fd::AsFd::as_fd(&map))
        .u64(8, address(&raw const key))
        .u64(16, address(data.as_ptr()));
    // SAFETY: the key is four bytes and the value as long as the map was made for; both outlive the call.
    unsafe { attr.call(MAP_UPDATE_ELEM, 32)? };
    Ok(map)
}

/// Loads the loader program: type SYSCALL, so that it may itself call bpf(2) (kernel 5.14).
pub(crate) fn load_loader(insns: &[u8], map: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let fds = [map.as_raw_fd()];
    let mut attr = Attr::default();
    attr.u32(0, PROG_TYPE_SYSCALL).u32(4, size(insns.len() / 8)).u64(8, address(insns.as_ptr()));
    attr.u64(16, address(c"Dual BSD/GPL".as_ptr()))
        .u32(44, SLEEPABLE)
        .u64(120, address(fds.as_ptr()));
    // SAFETY: instructions, licence and descriptor array live until the call returns.
    Ok(unsafe { own(attr.call(PROG_LOAD, 128)?) })
}

/// Runs the loader: the kernel makes `maps` maps and `progs` programs, in the order of the light
/// skeleton. `log` receives the verifier's words when it is not empty.
pub(crate) fn run_loader(
    loader: BorrowedFd<'_>,
    maps: usize,
    progs: usize,
    log: &mut [u8],
) -> io::Result<(Vec<OwnedFd>, Vec<OwnedFd>)> {
    // struct bpf_loader_ctx (24 bytes), then 16 bytes for each map and 4 for each program
    let first_prog = 24 + 16 * maps;
    let bytes = (first_prog + 4 * progs).next_multiple_of(8);
    let mut context = vec![0u64; bytes / 8];
    context[0] = bytes as u64;
    if !log.is_empty() {
        context[1] = 1 | (log.len() as u64) << 32;
        context[2] = address(log.as_mut_ptr());
    }
    let mut attr = Attr::default();
    attr.fd(0, loader).u32(40, size(bytes)).u64(48, address(context.as_mut_ptr()));
    // SAFETY: the context is as long as said, and the log outlives the call.
    unsafe { attr.call(PROG_TEST_RUN, 80)? };
    let failed = attr.get_u32(4).cast_signed();
    if failed < 0 {
        return Err(io::Error::from_raw_os_error(-failed));
    }
    let fd_at = |offset: usize| low_u32(context[offset / 8] >> (offset % 8 * 8)).cast_signed();
    // SAFETY: the loader succeeded, so these are the descriptors that it made for us.
    let own_at = |offset: usize| unsafe { own(fd_at(offset)) };
    Ok((
        (0..maps).map(|i| own_at(24 + 16 * i)).collect(),
        (0..progs).map(|i| own_at(first_prog + 4 * i)).collect(),
    ))
}

/// Runs a `raw_tp` program once, in the context of the calling thread; `args` is what it finds in `ctx`.
pub fn run(program: BorrowedFd<'_>, args: &[u64]) -> io::Result<u32> {
    let mut attr = Attr::default();
    attr.fd(0, program);
    if !args.is_empty() {
        // the kernel wants no address when there is nothing at it
        attr.u32(40, size(size_of_val(args))).u64(48, address(args.as_ptr()));
    }
    // SAFETY: the arguments are as long as said and are only read.
    unsafe { attr.call(PROG_TEST_RUN, 80)? };
    Ok(attr.get_u32(4))
}

/// How many instructions the verifier looked at when it accepted the program (0 before kernel 5.16).
#[cfg(test)]
pub(crate) fn verified_insns(program: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0u64; PROG_INFO / 8];
    let mut attr = Attr::default();
    attr.fd(0, program).u32(4, size(PROG_INFO)).u64(8, address(info.as_mut_ptr()));
    // SAFETY: the kernel writes at most the length that it is given; no pointer in `info` is set.
    unsafe { attr.call(OBJ_GET_INFO_BY_FD, 16)? };
    Ok(low_u32(info[VERIFIED_INSNS / 8] >> (VERIFIED_INSNS % 8 * 8)))
}
