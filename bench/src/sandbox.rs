//! The box: PID, network and mount namespaces of its own, so that only the load and the agent are in /proc, and
//! nothing in it reaches a network.
//!
//! In: this program. Out: the same program again, as process 1 of the box. The box and all in it end when process 1
//! does, and that ends when the program outside does. I/O: runs `unshare`, `mount`, `ip`; needs root.

use std::{
    io::Read as _,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, ensure};

/// The argument by which this program knows that it is inside.
pub const INSIDE: &str = "--inside";

/// Whether boxes can be made here, or why not.
pub fn possible() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("needs root");
    }
    if Command::new("unshare").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err("needs unshare of util-linux");
    }
    if Command::new("ip").arg("-V").stdout(Stdio::null()).status().is_err() {
        return Err("needs ip of iproute2");
    }
    Ok(())
}

/// Runs `program` with `args` as process 1 of a new box and returns how it ended.
pub fn run(program: &std::path::Path, args: &[std::ffi::OsString]) -> anyhow::Result<ExitCode> {
    let mut child = Command::new("unshare")
        .args([
            "--pid",
            "--net",
            "--mount",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
        ])
        .arg(program)
        .args(args)
        .stdin(Stdio::piped()) // held open until we end: the box watches it
        .spawn()
        .context("running unshare")?;
    let hold = child.stdin.take();
    let status = child.wait()?;
    drop(hold);
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What process 1 does first: loopback up, its own list of namespaces, and an end when the program outside ends.
pub fn settle() -> anyhow::Result<()> {
    std::thread::spawn(end_with_the_outside);
    run_tool("ip", &["link", "set", "lo", "up"])?;
    std::fs::create_dir_all("/run/netns")?;
    run_tool("mount", &["-t", "ramfs", "ramfs", "/run/netns"])
}

#[expect(
    clippy::disallowed_methods,
    reason = "process 1 ends the box by ending; its main thread may be anywhere"
)]
fn end_with_the_outside() {
    let mut rest = Vec::new();
    let outcome = std::io::stdin().lock().read_to_end(&mut rest);
    std::process::exit(if outcome.is_ok() { 130 } else { 1 });
}

fn run_tool(program: &str, args: &[&str]) -> anyhow::Result<()> {
    let status =
        Command::new(program).args(args).status().with_context(|| format!("running {program}"))?;
    ensure!(status.success(), "{program} {} ended with {status}", args.join(" "));
    Ok(())
}
