//! Notices of the kernel that a file may have changed.
//!
//! In: the file's path. Out: a future that is ready soon after someone wrote it, renamed another file over it, or
//! swapped the link that leads to it, as Kubernetes does with a mounted `ConfigMap`. The *directory* is watched, since a
//! watch on the file would stay with the old inode. It must not read the file, and may miss what the poll finds.
//! I/O: inotify.

use std::{
    ffi::{CStr, OsString},
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// The link that Kubernetes renames when a mounted `ConfigMap` changes.
const CONFIG_MAP_LINK: &[u8] = b"..data";

pub(super) struct Notices {
    directory: PathBuf,
    name: OsString,
    /// The inotify instance, and which directory (device, inode) it listens to. `None`: there is only the poll.
    listening: Option<(AsyncFd<OwnedFd>, (u64, u64))>,
}

impl Notices {
    /// Listens to the directory of `path`.
    pub(super) fn of(path: &Path) -> Self {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = path.file_name().unwrap_or_default().to_owned();
        let mut notices = Self { directory, name, listening: None };
        notices.renew();
        notices
    }

    /// Listens again if the directory was replaced, or is there again.
    pub(super) fn renew(&mut self) {
        let is =
            fs::metadata(&self.directory).map(|directory| (directory.dev(), directory.ino())).ok();
        let was = self.listening.as_ref().map(|(_, directory)| *directory);
        if is == was && is.is_some() {
            return;
        }
        self.listening = is.and_then(|is| match listen(&self.directory) {
            Ok(fd) => Some((fd, is)),
            Err(error) => {
                let directory = self.directory.display();
                tracing::debug!(%directory, %error, "cannot watch the file for changes; checking it every 5 s instead");
                None
            }
        });
    }

    /// Ready when the file may have changed; never without notices.
    pub(super) async fn next(&mut self) {
        loop {
            let Some((fd, _)) = &self.listening else { return std::future::pending().await };
            let Ok(mut ready) = fd.readable().await else { return std::future::pending().await };
            match ready.try_io(|fd| self.drain(fd.get_ref())) {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(_)) => {
                    drop(ready);
                    self.listening = None;
                }
            }
        }
    }

    /// Takes all notices that are there; whether one of them is about the file.
    fn drain(&self, fd: &OwnedFd) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(fd, &mut buffer);
        let mut ours = false;
        loop {
            match reader.next() {
                Ok(event) => ours |= self.concerns(event.events(), event.file_name()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) if ours => return Ok(true),
                // With `WouldBlock` the runtime waits for the next notice.
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn concerns(&self, events: ReadFlags, name: Option<&CStr>) -> bool {
        let directory_itself =
            ReadFlags::IGNORED | ReadFlags::QUEUE_OVERFLOW | ReadFlags::MOVE_SELF;
        let name = name.map(CStr::to_bytes);
        events.intersects(directory_itself)
            || name == Some(self.name.as_os_str().as_bytes())
            || name == Some(CONFIG_MAP_LINK)
    }
}

fn listen(directory: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let changes = WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE;
    let links = WatchFlags::CREATE | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
    inotify::add_watch(&fd, directory, changes | links)?;
    // Its successor is unsafe for the sake of types that lie about their descriptor; this one owns it.
    #[allow(deprecated, reason = "sound for an OwnedFd")]
    AsyncFd::new(fd)
}
