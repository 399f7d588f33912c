//! Probes as a kubelet sends them, and as no one should.

use super::*;
use crate::serve::testing::{big, snapshot};
use std::sync::atomic::{AtomicU64, Ordering};

fn status(head: &str, snapshot: &Snapshot, began_ns: u64) -> u16 {
    respond(head.as_bytes(), snapshot, began_ns)[9..12].parse().unwrap()
}

#[test]
fn a_probe_learns_whether_the_engine_lives_and_whether_there_is_a_picture() {
    let (now, picture, none) = (boot_ns(), big(1), snapshot());
    let live = "GET /healthz HTTP/1.1\r\nHost: 10.0.0.1:9468\r\n\r\n";
    let ready = "GET /readyz HTTP/1.1\r\n\r\n";

    assert_eq!((status(live, &picture, now), status(ready, &picture, now)), (200, 200));
    assert_eq!((status(live, &none, now), status(ready, &none, now)), (200, 503));
    assert_eq!(status(live, &picture, 0), 503, "nothing was published since the machine started");
}

#[test]
fn anything_else_is_refused_in_a_word() {
    let picture = big(1);
    for (head, expected) in [
        ("GET /metrics HTTP/1.1\r\n\r\n", 404),
        ("POST /healthz HTTP/1.1\r\n\r\n", 405),
        ("\x16\x03\x01\r\n\r\n", 404),
        ("", 404),
    ] {
        assert_eq!(status(head, &picture, boot_ns()), expected, "{head:?}");
    }
    let head = respond(b"HEAD /healthz HTTP/1.1\r\n\r\n", &picture, boot_ns());
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

fn listener(admit: Admit) -> (SocketAddr, channel::Sender<bool>) {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = channel::channel(false);
    let snapshots = channel::channel(Arc::new(big(1))).1;
    tokio::spawn(serve(listener, snapshots, admit, stopping));
    (address, stop)
}

async fn probe(address: SocketAddr) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn who_says_nothing_gives_way_to_who_probes() {
    let (address, _stop) = listener(Arc::new(|_| Admission::Granted));
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }

    assert!(probe(address).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn each_probe_is_paid_and_an_empty_share_makes_the_next_one_wait() {
    let paid = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&paid);
    let (began, rest) = (Instant::now(), Duration::from_millis(400));
    let admit: Admit = Arc::new(move |cost| {
        let Cost::Probes(cpu) = cost else { return Admission::Granted };
        sum.fetch_add(u64::try_from(cpu.as_nanos()).unwrap(), Ordering::Relaxed);
        if began.elapsed() < rest { Admission::RetryAfter(rest) } else { Admission::Granted }
    });
    let (address, _stop) = listener(admit);

    assert!(probe(address).await.starts_with("HTTP/1.1 200"));
    assert!(probe(address).await.starts_with("HTTP/1.1 200"));

    assert!(began.elapsed() >= rest, "the second one waited in the kernel's queue");
    assert!(paid.load(Ordering::Relaxed) > 1000);
}
