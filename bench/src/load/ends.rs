//! The truth about connections: one line an end, `pid netns local-ip port remote-ip port`.
//!
//! In: streams, or the files that they were written to. Out: the same as values. I/O: reads and writes these files.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
};

use anyhow::Context;

/// One end of a connection, as the process that holds it knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The process that holds it.
    pub pid: u32,
    /// Name of its network namespace.
    pub netns: String,
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
}

impl End {
    /// Writes the ends of `streams`, held by this process.
    pub fn write(path: &Path, netns: &str, streams: &[TcpStream]) -> anyhow::Result<()> {
        let mut text = String::new();
        for stream in streams {
            let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
            let pid = std::process::id();
            writeln!(
                text,
                "{pid} {netns} {} {} {} {}",
                local.ip(),
                local.port(),
                remote.ip(),
                remote.port()
            )?;
        }
        fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// Joins `NAME.0` … into `NAME`.
    pub fn gather(dir: &Path, name: &str, count: usize) -> anyhow::Result<()> {
        let mut all = String::new();
        for index in 0..count {
            let piece = dir.join(format!("{name}.{index}"));
            all.push_str(&fs::read_to_string(&piece).with_context(|| piece.display().to_string())?);
            fs::remove_file(piece)?;
        }
        fs::write(dir.join(name), all)?;
        Ok(())
    }

    /// Reads a file of ends.
    pub fn read(path: &Path) -> anyhow::Result<Vec<Self>> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        text.lines()
            .map(|line| Self::parse(line).with_context(|| format!("bad line {line:?}")))
            .collect()
    }

    /// Reads one line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let pid = words.next()?.parse().ok()?;
        let netns = words.next()?.to_owned();
        let mut address = || {
            let ip: IpAddr = words.next()?.parse().ok()?;
            Some(SocketAddr::new(ip, words.next()?.parse().ok()?))
        };
        Some(Self { pid, netns, local: address()?, remote: address()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_truth_is_read() {
        let end = End::parse("38 wl4 127.0.0.1 48122 127.0.0.1 20003").unwrap();

        assert_eq!((end.pid, end.netns.as_str()), (38, "wl4"));
        assert_eq!((end.local.port(), end.remote.port()), (48122, 20003));
    }

    #[test]
    fn half_a_line_is_nothing() {
        assert_eq!(End::parse("38 wl4 127.0.0.1 48122"), None);
    }
}
