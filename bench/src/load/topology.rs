//! The network of the load: a switch namespace with a bridge, and a veth from it into every other namespace.
//!
//! In: how many namespaces. Out: namespaces `wl0`… with 10.88.0.1… on `eth0`, listed by `ip netns`. It must not touch
//! an interface or a firewall of the namespace that it runs in: the switch lives in a namespace of its own (`wlsw`)
//! so that no rule applies to it. I/O: runs `ip -batch`.

use std::{
    fmt::Write as _,
    io::Write as _,
    net::Ipv4Addr,
    os::unix::fs::MetadataExt as _,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd as _;

const SWITCH: &str = "wlsw";

/// Name of namespace `index`; that of the host namespace is `host`.
#[must_use]
pub fn name(index: Option<usize>) -> String {
    index.map_or_else(|| "host".to_owned(), |i| format!("wl{i}"))
}

/// Address of namespace `index` on the bridge.
#[must_use]
pub fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, u8::try_from(index + 1).unwrap_or(u8::MAX))
}

/// Makes the switch and `count` namespaces.
pub fn up(count: usize) -> anyhow::Result<()> {
    let mut namespaces = format!("netns add {SWITCH}\n");
    let mut switch =
        String::from("link set lo up\nlink add name sw0 type bridge\nlink set sw0 up\n");
    for index in 0..count {
        writeln!(namespaces, "netns add wl{index}")?;
        writeln!(switch, "link add wl{index}h type veth peer name eth0 netns wl{index}")?;
        writeln!(switch, "link set wl{index}h master sw0 up")?;
    }
    batch(None, &namespaces)?;
    let Err(error) = connect(count, &switch) else { return Ok(()) };
    // The names are in the way of the next try.
    match down(count) {
        Ok(()) => Err(error),
        Err(left) => Err(error.context(format!("and its namespaces are left: {left:#}"))),
    }
}

fn connect(count: usize, switch: &str) -> anyhow::Result<()> {
    batch(Some(SWITCH), switch)?;
    // On a node the other end of a pod's veth is in the node's namespace, which gives the pod's a number there: ends of
    // connections are reported by it. Which number is open: namespaces of a load before keep theirs until the kernel has
    // cleared them away.
    let numbers =
        (0..count).fold(String::new(), |lines, n| lines + &format!("netns set wl{n} auto\n"));
    batch(None, &numbers)?;
    for index in 0..count {
        let lines =
            format!("link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\n", address(index));
        batch(Some(&format!("wl{index}")), &lines)?;
    }
    Ok(())
}

/// Deletes what [`up`] made.
pub fn down(count: usize) -> anyhow::Result<()> {
    let mut lines = format!("netns del {SWITCH}\n");
    for index in 0..count {
        writeln!(lines, "netns del wl{index}")?;
    }
    batch(None, &lines)
}

/// Moves the calling thread (so: a process that has one) into a namespace by name; `host` stays.
pub fn enter(name: &str) -> anyhow::Result<()> {
    if name == "host" {
        return Ok(());
    }
    let path = format!("/run/netns/{name}");
    let file = std::fs::File::open(&path).with_context(|| path.clone())?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| path)?;
    Ok(())
}

/// Inode number of a namespace by name, as the report gives it.
pub fn inode(name: &str) -> anyhow::Result<u64> {
    let path =
        if name == "host" { "/proc/self/ns/net".to_owned() } else { format!("/run/netns/{name}") };
    Ok(std::fs::metadata(&path).with_context(|| path)?.ino())
}

fn batch(netns: Option<&str>, lines: &str) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    if let Some(name) = netns {
        command.args(["-n", name]);
    }
    let mut ip = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("running ip")?;
    ip.stdin.take().context("ip has no input")?.write_all(lines.as_bytes())?;
    let status = ip.wait()?;
    ensure!(status.success(), "ip -batch ended with {status} on:\n{lines}");
    Ok(())
}
