//! Processes of the load that move: one connection on command, a steady stream of them, or as many as possible.
//!
//! In: a namespace name and orders on stdin. Out: lines on stdout with times on the monotonic clock, which all
//! processes of a machine share. It must not poll: it sleeps between orders. I/O: sockets on 127.0.0.1.

use std::{
    io::{BufRead, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};

use super::{topology, worker::prepare};

/// Seconds on the monotonic clock.
#[must_use]
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
        .as_secs_f64()
}

/// Both ends of a loopback connection; the client's first.
fn connect(listener: &TcpListener) -> anyhow::Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(listener.local_addr()?).context("connecting")?;
    let (server, _) = listener.accept().context("accepting")?;
    Ok((client, server))
}

fn listen(netns: &str, port: u16) -> anyhow::Result<TcpListener> {
    topology::enter(netns)?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("listening on {port} in {netns}"))
}

/// Waits for a line on stdin with the milliseconds to hold; opens one connection, says `TIME pid client server` (the time
/// just before connect), holds it, closes the client's end first (by FIN), says `TIME`, and stays until stdin ends.
pub fn pair(netns: &str, port: u16) -> anyhow::Result<()> {
    prepare("wl-pair")?;
    let listener = listen(netns, port)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.is_empty() {
        return Ok(());
    }
    let hold =
        Duration::from_millis(line.trim().parse().with_context(|| format!("order {line:?}"))?);

    let opened = now();
    let (client, server) = connect(&listener)?;
    writeln!(
        out,
        "{opened:.6} {} {} {}",
        std::process::id(),
        client.local_addr()?,
        client.peer_addr()?
    )?;
    out.flush()?;
    std::thread::sleep(hold);
    let closed = now();
    drop(client);
    drop(server);
    writeln!(out, "{closed:.6}")?;
    out.flush()?;
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(())
}

/// Opens and closes `per_second` connections a second, evenly, until it is killed.
pub fn stream(netns: &str, per_second: u32) -> anyhow::Result<()> {
    prepare("wl-stream")?;
    let listener = listen(netns, 0)?;
    let gap = Duration::from_secs(1) / per_second.max(1);
    let mut due = Instant::now();
    loop {
        due += gap;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (client, server) = connect(&listener)?;
        drop(client);
        drop(server);
    }
}

/// Whether orders may still come: set when stdin ends.
static OVER: AtomicBool = AtomicBool::new(false);

/// Opens and closes `per_second` connections a second, evenly, until stdin ends; then says how many there were. They end in
/// turn by FIN and by RST, of the client and of the server.
pub fn ends(netns: &str, per_second: u32) -> anyhow::Result<()> {
    prepare("wl-ends")?;
    let listener = listen(netns, 0)?;
    std::thread::spawn(|| {
        let ended = std::io::stdin().read_to_end(&mut Vec::new());
        if ended.is_err() {
            // As good as ended: nothing can be ordered any more.
        }
        OVER.store(true, Ordering::Relaxed);
    });
    let gap = Duration::from_secs(1) / per_second.max(1);
    let (mut due, mut count) = (Instant::now(), 0_u64);
    while !OVER.load(Ordering::Relaxed) {
        due += gap;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (client, server) = connect(&listener)?;
        let (first, second) = if count % 2 == 0 { (client, server) } else { (server, client) };
        if count % 4 >= 2 {
            rustix::net::sockopt::set_socket_linger(&first, Some(Duration::ZERO))?;
        }
        drop(first);
        drop(second);
        count += 1;
    }
    writeln!(std::io::stdout(), "{count}")?;
    Ok(())
}

/// For every order on stdin (milliseconds) opens and closes as many connections as it can, and says how many and in
/// how many seconds. They end by RST: `TIME_WAIT` sockets of one round would slow the next and exhaust the ports.
pub fn storm(netns: &str) -> anyhow::Result<()> {
    prepare("wl-storm")?;
    let listener = listen(netns, 0)?;
    let mut out = std::io::stdout();
    for order in std::io::stdin().lines() {
        let span = Duration::from_millis(order?.trim().parse()?);
        let start = Instant::now();
        let mut count = 0u64;
        while start.elapsed() < span {
            let (client, server) = connect(&listener)?;
            rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
            drop(client);
            drop(server);
            count += 1;
        }
        writeln!(out, "{count} {}", start.elapsed().as_secs_f64())?;
        out.flush()?;
    }
    Ok(())
}
