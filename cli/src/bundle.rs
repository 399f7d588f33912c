//! A tape archive, compressed: the support bundle.
//!
//! In: names and contents. Out: the bytes of a `.tar.gz`. A name has letters, digits, dots, dashes and slashes between its
//! parts, leads nowhere else and stands once: what is odd in it is replaced, what is too long cut. Pure: values only; the
//! caller writes.

use std::collections::BTreeSet;
use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};

const BLOCK: usize = 512;
/// Bytes of a name in a header.
const NAME: usize = 100;

/// A bundle under way.
pub(crate) struct Bundle {
    folder: String,
    /// Unix seconds, for all files.
    time: i64,
    names: BTreeSet<String>,
    out: GzEncoder<Vec<u8>>,
}

impl Bundle {
    /// An empty one; all files are below `folder`.
    pub(crate) fn new(folder: String, time: i64) -> Self {
        let out = GzEncoder::new(Vec::new(), Compression::default());
        Self { folder, time, names: BTreeSet::new(), out }
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let name = self.unique(&format!("{}/{name}", self.folder));
        self.out.write_all(&header(&name, content.len(), self.time))?;
        self.out.write_all(content)?;
        let rest = content.len() % BLOCK;
        if rest > 0 {
            self.out.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }

    /// A name that is safe for anyone who unpacks it.
    fn unique(&mut self, name: &str) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let part = |part: &str| {
            let part: String = part.chars().map(letter).collect();
            // Dots alone lead elsewhere.
            if part.chars().all(|c| c == '.') { "_".repeat(part.len().max(1)) } else { part }
        };
        let safe = name.split('/').map(part).collect::<Vec<_>>().join("/");
        let (stem, end) = safe.rsplit_once('.').unwrap_or((&safe, ""));
        let end = if end.is_empty() || end.len() > 8 { String::new() } else { format!(".{end}") };
        let stem = if end.is_empty() { safe.as_str() } else { stem };
        let mut number = String::new();
        for at in 1_u32.. {
            let room = NAME - end.len() - number.len();
            let name = format!("{}{number}{end}", &stem[..stem.len().min(room)]);
            if self.names.insert(name.clone()) {
                return name;
            }
            number = format!("-{at}");
        }
        safe
    }

    /// The whole.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.finish()
    }
}

fn header(name: &str, size: usize, time: i64) -> [u8; BLOCK] {
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(NAME)]);
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", time.max(0)).as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn tar_reads_what_was_packed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar.gz");
        let mut bundle = Bundle::new("dump".to_owned(), 1_700_000_000);
        bundle.add("a.txt", b"hello\n").unwrap();
        bundle.add("logs/b.log", &[b'x'; 1024]).unwrap();
        std::fs::write(&path, bundle.finish().unwrap()).unwrap();

        let said = Command::new("tar").arg("-tzvf").arg(&path).output().unwrap();

        let list = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let words: Vec<Vec<&str>> = list.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!((words[0][2], words[0][5]), ("6", "dump/a.txt"));
        assert_eq!((words[1][2], words[1][5]), ("1024", "dump/logs/b.log"));
    }

    #[test]
    fn no_name_leads_elsewhere_or_stands_twice() {
        let mut bundle = Bundle::new("dump".to_owned(), 0);
        let long = "x".repeat(300);
        for (name, safe) in [
            ("logs/../../etc/passwd", "dump/logs/__/__/etc/passwd"),
            ("/etc//x", "dump/_/etc/_/x"),
            ("a\x1b[2J.log", "dump/a__2J.log"),
            ("a\x1b[2J.log", "dump/a__2J-1.log"),
            (&long, &format!("dump/{}", "x".repeat(95))),
            (&long, &format!("dump/{}-1", "x".repeat(93))),
            (&format!("{long}.txt"), &format!("dump/{}.txt", "x".repeat(91))),
        ] {
            assert_eq!(bundle.unique(&format!("dump/{name}")), safe);
        }
    }
}
