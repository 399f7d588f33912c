//! What distinguishes one content of a file from the next.
//!
//! In: a path. Out: a value that is another one after a change. It must not read the file.
//!
//! I/O: one `stat`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Device, inode, size and time of the last change; `None` of a file that is not there. Kubernetes puts a new file where the
/// old one was; others write into it. The time is the inode's (ctime): that of the content (mtime) is set to an older
/// one by `cp -p`, `rsync` and `tar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, u64, i64, i64)>);

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let file = fs::metadata(path).ok();
        Self(file.map(|f| (f.dev(), f.ino(), f.size(), f.ctime(), f.ctime_nsec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn a_change_that_keeps_size_and_time_of_the_content_is_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "one").unwrap();
        let before = Stamp::of(file.path());
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        // The kernel's clock for files moves in steps of up to 10 ms.
        sleep(Duration::from_millis(30));

        fs::write(&file, "two").unwrap();
        file.as_file().set_modified(written).unwrap();

        assert_ne!(Stamp::of(file.path()), before);
    }

    #[test]
    fn a_file_that_stays_as_it_is_or_away_has_not_changed() {
        let file = tempfile::NamedTempFile::new().unwrap();

        assert_eq!(Stamp::of(file.path()), Stamp::of(file.path()));
        assert_eq!(Stamp::of(Path::new("/none")), Stamp::of(Path::new("/none")));
        assert_ne!(Stamp::of(Path::new("/none")), Stamp::of(file.path()));
    }
}
