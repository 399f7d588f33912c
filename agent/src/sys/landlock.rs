//! landlock(7): from now on a thread reaches only files below the places that it names, and only the TCP ports.
//!
//! In: open directories and files, ports. Out: whether it is in force. It must not choose the places.
//!
//! The structures are the kernel's ABI (include/uapi/linux/landlock.h), written as bytes: `struct landlock_path_beneath_attr` is
//! packed.
//!
//! I/O: system calls.
#![allow(unsafe_code, reason = "landlock's system calls have no wrapper in libc or rustix")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Reading a file.
pub(crate) const READ_FILE: u64 = 1 << 2;
/// Listing a directory.
pub(crate) const READ_DIR: u64 = 1 << 3;
/// Writing into a file that is there.
pub(crate) const WRITE_FILE: u64 = 1 << 1;
/// Making a file, replacing it and removing it.
pub(crate) const MAKE_FILE: u64 = 1 << 8 | 1 << 5 | 1 << 14;

const CONNECT_TCP: u64 = 1 << 1;
const BIND_TCP: u64 = 1 << 0;
const ABSTRACT_SOCKETS: u64 = 1 << 0;
const RULE_PATH: libc::c_long = 1;
const RULE_PORT: libc::c_long = 2;

/// Which version of landlock the kernel has: 1 is files, 4 is TCP ports as well, 6 is abstract sockets as well.
///
/// # Errors
/// ENOSYS: not built in; EOPNOTSUPP: not switched on at boot.
pub fn version() -> io::Result<u32> {
    const VERSION: libc::c_long = 1;
    // SAFETY: with this flag the kernel reads nothing.
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION)
    };
    u32::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// What a thread may reach, before it is in force.
#[derive(Debug)]
pub struct Rules {
    ruleset: OwnedFd,
    files: u64,
    version: u32,
}

impl Rules {
    /// Rules by which nothing is reached: no file, and no TCP port if `ports` asks for that and the kernel can.
    ///
    /// # Errors
    /// What landlock_create_ruleset(2) says.
    pub fn new(version: u32, ports: bool) -> io::Result<Self> {
        let files = handled(version);
        let network = if ports && version >= 4 { CONNECT_TCP | BIND_TCP } else { 0 };
        let scoped = if version >= 6 { ABSTRACT_SOCKETS } else { 0 };
        let attributes = [files, network, scoped];
        let size: usize = match version {
            ..4 => 8,
            4..6 => 16,
            6.. => 24,
        };
        // SAFETY: the kernel reads `size` bytes of three words.
        let answer = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, attributes.as_ptr(), size, 0)
        };
        let fd = i32::try_from(answer).map_err(io::Error::other)?;
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us.
        let ruleset = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { ruleset, files, version })
    }

    /// Lets `place`, and all below it if it is a directory, be reached for what `rights` say.
    ///
    /// # Errors
    /// What landlock_add_rule(2) says.
    pub fn allow(&self, place: BorrowedFd<'_>, rights: u64, directory: bool) -> io::Result<()> {
        // Rights over directories are refused for a file.
        let fits = if directory { self.files } else { self.files & (READ_FILE | WRITE_FILE) };
        let mut rule = [0_u8; 12];
        rule[..8].copy_from_slice(&(rights & fits).to_ne_bytes());
        rule[8..].copy_from_slice(&place.as_raw_fd().to_ne_bytes());
        self.add(RULE_PATH, rule.as_ptr())
    }

    /// Lets this TCP port be connected to. Nothing where the kernel does not look at ports.
    ///
    /// # Errors
    /// What landlock_add_rule(2) says.
    pub fn connect(&self, port: u16) -> io::Result<()> {
        if self.version < 4 {
            return Ok(());
        }
        let rule = [CONNECT_TCP, u64::from(port)];
        self.add(RULE_PORT, rule.as_ptr().cast())
    }

    fn add(&self, kind: libc::c_long, rule: *const u8) -> io::Result<()> {
        let ruleset = self.ruleset.as_raw_fd();
        // SAFETY: `rule` is as long as its kind says, and outlives the call.
        let answer = unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, kind, rule, 0) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Puts the rules in force for the calling thread and all that it starts. It must have set no_new_privs.
    ///
    /// # Errors
    /// What landlock_restrict_self(2) says.
    pub(crate) fn restrict(&self) -> io::Result<()> {
        // SAFETY: a number and a flag.
        let answer =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.ruleset.as_raw_fd(), 0) };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// The rights over files that this version can refuse. All of them, so that what is not allowed is refused.
const fn handled(version: u32) -> u64 {
    let bits = match version {
        ..2 => 13,
        2 => 14,
        3..5 => 15,
        5.. => 16,
    };
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_thread_reaches_what_it_named_and_nothing_else() {
        let version = match version() {
            Ok(version) => version,
            Err(error) => return println!("SKIP: this machine: no landlock: {error}"),
        };
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for home in [&inside, &outside] {
            std::fs::write(home.path().join("file"), "text").unwrap();
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let rules = Rules::new(version, true).unwrap();
        let place = File::open(inside.path()).unwrap();
        rules.allow(place.as_fd(), READ_FILE, true).unwrap();
        let (inside, outside) = (inside.path().join("file"), outside.path().join("file"));

        let (read, refused, connected) = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            rules.restrict().unwrap();
            (File::open(inside), File::open(outside), std::net::TcpStream::connect(address))
        })
        .join()
        .unwrap();

        assert!(read.is_ok());
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert_eq!(connected.is_err(), version >= 4);
    }
}
