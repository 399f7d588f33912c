//! The files of `/proc`, opened relative to one held directory.
//!
//! In: a pid and the name of one of its files. Out: an open file or its bytes. It must not keep
//! anything open by itself, and never follows a link of `/proc/PID/fd`.
//!
//! I/O: opens and reads files of `/proc`.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, RawDir};

use crate::discover::Error;

/// What `statfs` says of a real `/proc`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// `/proc/4294967295/` and the longest name asked for.
const PATH_MAX: usize = 48;
/// A listing of 40 threads: one of the first two is what is looked for.
const THREADS: usize = 1024;
/// First size of a read buffer; it doubles when a file fills it.
const FIRST_READ: usize = 4096;

/// A held directory of processes: `/proc`, or a copy of one in tests.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    dir: OwnedFd,
    is_proc: bool,
}

impl Root {
    /// Opens the directory.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source: rustix::io::Errno| Error::Read {
            operation: "list",
            path: path.display().to_string(),
            source: source.into(),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let kind = rustix::fs::fstatfs(&dir).map_err(failed)?;
        let is_proc = u64::try_from(kind.f_type).is_ok_and(|kind| kind == PROC_SUPER_MAGIC);
        Ok(Self { path: path.to_owned(), dir, is_proc })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Whether the size of `/proc/PID/fd` is the number of its entries, as since kernel 6.2. Asked
    /// of this process, which surely has some.
    #[must_use]
    pub(crate) fn sizes_count_fds(&self) -> bool {
        self.is_proc
            && rustix::fs::statat(&self.dir, c"self/fd", rustix::fs::AtFlags::empty())
                .is_ok_and(|stat| stat.st_size > 0)
    }

    /// Opens a file of a process.
    pub fn file(&self, pid: u32, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let path = PidPath::new(pid, name);
        Ok(rustix::fs::openat(&self.dir, path.text(), flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The size of a file of a process.
    pub fn size(&self, pid: u32, name: &str) -> io::Result<u64> {
        let path = PidPath::new(pid, name);
        let stat = rustix::fs::statat(&self.dir, path.text(), rustix::fs::AtFlags::empty())?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    /// Reads a file of a process whole, into a buffer that keeps its capacity.
    pub fn read(&self, pid: u32, name: &str, into: &mut Vec<u8>) -> io::Result<()> {
        let file = self.file(pid, name, OFlags::RDONLY)?;
        into.clear();
        loop {
            if into.capacity() == into.len() {
                into.reserve(into.len().max(FIRST_READ));
            }
            if rustix::io::read(&file, rustix::buffer::spare_capacity(into))? == 0 {
                return Ok(());
            }
        }
    }

    /// The lowest thread of a process but its first one. A process goes on when its first thread ends, but its number then
    /// shows no files, namespaces or memory; those of each other thread are the process's.
    pub(crate) fn another_thread(&self, pid: u32) -> Option<u32> {
        let mut another = None;
        self.threads(pid, &mut [MaybeUninit::uninit(); THREADS], |thread| {
            another = Some(thread).filter(|thread| *thread != pid);
            another.is_none()
        });
        another
    }

    /// Lists the threads of a process, none of one that has gone; `found` gets each, and says whether to go on.
    pub(crate) fn threads(
        &self,
        pid: u32,
        listing: &mut [MaybeUninit<u8>],
        mut found: impl FnMut(u32) -> bool,
    ) {
        let Ok(directory) = self.file(pid, "task", OFlags::RDONLY | OFlags::DIRECTORY) else {
            return;
        };
        let mut entries = RawDir::new(&directory, listing);
        while let Some(Ok(entry)) = entries.next() {
            let thread = super::stat::decimal(entry.file_name().to_bytes());
            if thread.and_then(|thread| u32::try_from(thread).ok()).is_some_and(|it| !found(it)) {
                return;
            }
        }
    }

    /// The inode number that a link such as `net:[4026531840]` names.
    pub(crate) fn link_number(&self, pid: u32, name: &str) -> io::Result<u32> {
        let path = PidPath::new(pid, name);
        let mut buffer = [MaybeUninit::<u8>::uninit(); 32];
        let (link, _) = rustix::fs::readlinkat_raw(&self.dir, path.text(), &mut buffer)?;
        bracketed(link).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// The number between the brackets of `net:[4026531840]` or `socket:[29422]`.
#[must_use]
pub(crate) fn bracketed(link: &[u8]) -> Option<u32> {
    let open = link.iter().position(|&b| b == b'[')?;
    let number = link.get(open + 1..)?.strip_suffix(b"]")?;
    u32::try_from(super::stat::decimal(number)?).ok()
}

/// Whether an error only says that the process, or one of its files, has gone.
#[must_use]
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL))
}

/// `PID/NAME` on the stack.
struct PidPath([u8; PATH_MAX]);

impl PidPath {
    fn new(pid: u32, name: &str) -> Self {
        let mut digits = [0; 10];
        let mut first = digits.len();
        let mut rest = pid;
        loop {
            first -= 1;
            digits[first] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let mut bytes = [0; PATH_MAX];
        let slash = digits.len() - first;
        bytes[..slash].copy_from_slice(&digits[first..]);
        bytes[slash] = b'/';
        bytes[slash + 1..slash + 1 + name.len()].copy_from_slice(name.as_bytes());
        Self(bytes)
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_made_of_a_pid_and_a_name() {
        assert_eq!(PidPath::new(0, "stat").text(), c"0/stat");
        assert_eq!(PidPath::new(u32::MAX, "net/sockstat6").text(), c"4294967295/net/sockstat6");
    }

    #[test]
    fn only_links_with_a_number_in_brackets_name_one() {
        assert_eq!(bracketed(b"socket:[29422]"), Some(29422));
        assert_eq!(bracketed(b"/dev/null"), None);
        assert_eq!(bracketed(b"anon_inode:[eventfd]"), None);
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("7")).unwrap();
        std::fs::write(tree.path().join("7/stat"), vec![b'x'; 3 * FIRST_READ + 1]).unwrap();
        let mut text = Vec::new();

        Root::open(tree.path()).unwrap().read(7, "stat", &mut text).unwrap();

        assert_eq!(text.len(), 3 * FIRST_READ + 1);
    }
}
