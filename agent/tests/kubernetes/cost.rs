//! What an event costs the agent: bytes of memory asked for, and CPU time of the thread that reads.
//!
//! The server runs on a thread of its own, so that the clocks and counters of this one show the feed alone.

use super::feed::{Running, no_limit, quick, url};
use super::server::{Server, end_of_list, event};
use probelet_core::cluster::objects::Kind;
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tikv_jemalloc_ctl::thread::allocatedp;
use tokio::sync::oneshot;

const POD: &str = include_str!("../fixtures/kubernetes/pod.json");
const EVENTS: usize = 2000;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// A server that lists nothing, then says `EVENTS` changes when told, a few at a time as a network does.
fn server(go: oneshot::Receiver<()>) -> SocketAddr {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut server = Server::start(&[Kind::Pod]).await;
            sender.send(server.address).unwrap();
            let stream = server.next(Kind::Pod).await.stream();
            stream.send(&end_of_list(1)).await;
            go.await.unwrap();
            for n in 0..EVENTS {
                let mut text = String::new();
                let changed = POD.trim_end().replace("48213", &(n + 2).to_string());
                write!(text, "{}", event("MODIFIED", &changed)).unwrap();
                stream.send(&text).await;
            }
            stream.left().await;
        });
    });
    receiver.recv().unwrap()
}

#[test]
fn a_change_of_a_pod_asks_for_little_memory_and_time() {
    let (go, told) = oneshot::channel();
    let address = server(told);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (bytes, time) = runtime.block_on(async {
        let mut feed = Running::start(&url(address), quick(), no_limit());
        assert_eq!(feed.take(Kind::Pod).await, ["listing", "listed"]);
        let allocated = allocatedp::read().unwrap();
        let before = (allocated.get(), cpu());
        go.send(()).unwrap();
        let mut left = EVENTS;
        while left > 0 {
            left -= feed.events.recv().await.unwrap().len();
        }
        let spent = (allocated.get() - before.0, cpu() - before.1);
        feed.stop().await;
        spent
    });

    let (bytes, each) = (bytes / EVENTS as u64, time / u32::try_from(EVENTS).unwrap());
    println!("{bytes} bytes allocated and {each:?} of CPU time an event of {} bytes", POD.len());
    // The object itself takes 1 KiB, what is read from the socket 6 to 12; keeping the whole pod took 19 KiB more.
    assert!(bytes < 24 << 10, "{bytes}");
    assert!(each < Duration::from_millis(2), "{each:?}");
}
