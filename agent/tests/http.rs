//! The server as a client sees it: real sockets, a made-up node.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, may fail a test by panicking")]

#[path = "http/auth.rs"]
mod auth;
#[path = "http/client.rs"]
mod client;
#[path = "http/node.rs"]
mod node;
#[path = "http/reviews.rs"]
mod reviews;
#[path = "http/tls.rs"]
mod tls;
#[path = "http/web.rs"]
mod web;

use client::{start, start_at_file, start_with};
use node::Node;
use probelet_agent::serve::http::cost::{Admission, Cost};
use probelet_agent::serve::{SeriesLimits, bind, full_report, http::probes};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::test]
async fn the_whole_report_is_sent_in_every_encoding() {
    let snapshot = Node::new(3000).pass(0);
    let expected = full_report(&snapshot, &Arc::default());
    let server = start(snapshot).await;

    let plain = server.get("/v1/report").await;
    let gzip = server.send("GET", "/v1/report", "Accept-Encoding: gzip\r\n").await;
    let zstd = server.send("GET", "/v1/report", "Accept-Encoding: gzip, zstd\r\n").await;

    assert_eq!(plain.body, expected);
    assert_eq!(plain.json()["connections"].as_array().unwrap().len(), 3000);
    assert_eq!(
        (gzip.header("content-encoding"), zstd.header("content-encoding")),
        (Some("gzip"), Some("zstd"))
    );
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip.body[..]), &mut text)
        .unwrap();
    assert_eq!(text, expected);
    assert_eq!(zstd::stream::decode_all(&zstd.body[..]).unwrap(), expected);
}

#[tokio::test]
async fn an_unchanged_report_is_not_sent_again() {
    let mut node = Node::new(10);
    let server = start(node.pass(0)).await;
    let tag = server.get("/v1/report").await.header("etag").unwrap().to_owned();

    let same = server.send("GET", "/v1/report", &format!("If-None-Match: {tag}\r\n")).await;
    server.snapshots.send_replace(node.pass(3));
    let newer = server.send("GET", "/v1/report", &format!("If-None-Match: {tag}\r\n")).await;

    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(newer.status, 200);
}

#[tokio::test]
async fn a_delta_has_what_changed_and_nothing_else() {
    let mut node = Node::new(100);
    let server = start(node.pass(0)).await;
    let epoch = server.get("/v1/report").await.json()["epoch"].as_u64().unwrap();
    server.snapshots.send_replace(node.pass(3));

    let delta = server.get(&format!("/v1/report?since={epoch}")).await.json();
    let future = server.get("/v1/report?since=999999").await.json();

    assert_eq!(
        (delta["full"].as_bool(), delta["connections"].as_array().unwrap().len()),
        (Some(false), 3)
    );
    assert_eq!(delta["processes"], serde_json::json!([]));
    assert_eq!(
        (future["full"].as_bool(), future["connections"].as_array().unwrap().len()),
        (Some(true), 100)
    );
}

#[tokio::test]
async fn a_long_poll_ends_with_the_change_it_waits_for() {
    let mut node = Node::new(10);
    let server = start(node.pass(0)).await;
    let epoch = server.get("/v1/report").await.json()["epoch"].as_u64().unwrap();
    let next = node.pass(2);

    let target = format!("/v1/report?since={epoch}&wait=20");
    let began = Instant::now();
    let change = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.snapshots.send_replace(next);
    };
    let (reply, ()) = tokio::join!(server.get(&target), change);

    assert!(
        began.elapsed() >= Duration::from_millis(200) && began.elapsed() < Duration::from_secs(10)
    );
    assert_eq!(reply.json()["connections"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_long_poll_that_saw_nothing_says_so_in_time() {
    let server = start(Node::new(10).pass(0)).await;
    let first = server.get("/v1/report").await;
    let tag = first.header("etag").unwrap().to_owned();

    let (wait, conditional) = ("/v1/report?wait=0.2", format!("If-None-Match: {tag}\r\n"));
    let same = server.send("GET", wait, &conditional).await;
    let delta = server.get(&format!("/v1/report?since={}&wait=0.2", first.json()["epoch"])).await;

    assert_eq!(same.status, 304);
    assert_eq!(delta.json()["connections"], serde_json::json!([]));
}

#[tokio::test]
async fn bad_requests_are_answered_with_a_message() {
    let server = start(Node::new(1).pass(0)).await;

    let bad = server.get("/v1/report?pid=abc").await;
    assert_eq!(
        (bad.status, bad.error()),
        (400, "`pid=abc` is not understood: it takes a process id".to_owned())
    );
    let method = server.send("POST", "/v1/report", "Content-Length: 0\r\n").await;
    assert_eq!((method.status, method.header("allow")), (405, Some("GET, HEAD")));
    let path = server.get("/v2").await;
    assert_eq!(path.status, 404);
    assert!(path.error().contains("/v1/report"));
    let long = server.get(&format!("/v1/report?pid={}", "1".repeat(5000))).await;
    assert_eq!(long.status, 414);
    let profile = server.get("/debug/pprof/heap").await;
    assert_eq!(
        (profile.status, profile.error()),
        (404, "profiles are off: start with --debug-pprof".to_owned())
    );
}

#[tokio::test]
async fn a_head_request_gets_the_head_alone() {
    let server = start(Node::new(100).pass(0)).await;

    let reply = server.send("HEAD", "/v1/report", "").await;

    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert!(reply.header("etag").is_some());
}

#[tokio::test]
async fn filters_narrow_the_report_down() {
    let server = start(Node::new(100).pass(0)).await;

    let pid = server.get("/v1/report?pid=1001").await.json();
    let container = server.get("/v1/report?container=000").await.json();
    let none = server.get("/v1/report?namespace=shop").await.json();

    assert_eq!(pid["processes"].as_array().unwrap().len(), 1);
    assert!(pid["connections"].as_array().unwrap().iter().all(|c| c["pid"] == 1001));
    assert_eq!(pid["connections"].as_array().unwrap().len(), 20);
    assert_eq!(container["connections"].as_array().unwrap().len(), 20);
    assert_eq!(none["connections"], serde_json::json!([]));
}

#[tokio::test]
async fn a_budget_that_is_used_up_refuses_reports_and_nothing_else() {
    let admit = |cost| match cost {
        Cost::Cpu(_) => Admission::RetryAfter(Duration::from_millis(2100)),
        _ => Admission::Granted,
    };
    let server = start_with(Node::new(1).pass(0), SeriesLimits::default(), false, admit).await;

    let report = server.get("/v1/report").await;

    assert_eq!((report.status, report.header("retry-after")), (503, Some("3")));
    let message = "the CPU budget of 5m is used up; try again in 3 s, or raise spec.budget.cpu";
    assert_eq!(report.error(), message);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn a_budget_that_is_used_up_gives_the_last_whole_report_with_its_age() {
    let spent = Arc::new(AtomicBool::new(false));
    let budget = Arc::clone(&spent);
    let admit = move |cost| match cost {
        Cost::Cpu(_) | Cost::Newer(_) if budget.load(Ordering::Relaxed) => {
            Admission::RetryAfter(Duration::from_secs(2))
        }
        _ => Admission::Granted,
    };
    let mut node = Node::new(100);
    let server = start_with(node.pass(0), SeriesLimits::default(), false, admit).await;
    let gzip = "Accept-Encoding: gzip\r\n";
    let first = server.send("GET", "/v1/report", gzip).await;
    server.snapshots.send_replace(node.pass(3));
    spent.store(true, Ordering::Relaxed);

    let again = server.send("GET", "/v1/report", gzip).await;

    assert_eq!((again.status, again.header("age")), (200, Some("0")));
    assert_eq!(again.header("content-encoding"), Some("gzip"));
    assert_eq!(again.header("etag"), first.header("etag"), "it is the one before");
    assert!(again.body == first.body);
    assert_eq!(first.header("age"), None);
    // Who has it, asks for a part or takes no encoding would be misled or is not helped by it.
    let condition = format!("{gzip}If-None-Match: {}\r\n", first.header("etag").unwrap());
    assert_eq!(server.send("GET", "/v1/report", &condition).await.status, 503);
    for (target, headers) in
        [("/v1/report?since=1", gzip), ("/v1/report?pid=1001", gzip), ("/v1/report", "")]
    {
        assert_eq!(server.send("GET", target, headers).await.status, 503, "{target} {headers}");
    }
}

#[tokio::test]
async fn too_many_requests_learn_when_to_come_again() {
    let admit = |cost| match cost {
        Cost::Request => Admission::RetryAfter(Duration::from_millis(50)),
        _ => Admission::Granted,
    };
    let server = start_with(Node::new(1).pass(0), SeriesLimits::default(), false, admit).await;

    let report = server.get("/v1/report").await;

    assert_eq!((report.status, report.header("retry-after")), (429, Some("1")));
}

#[tokio::test]
async fn the_agent_is_ready_with_its_first_report() {
    let server = start(node::empty()).await;
    let before = (server.get("/readyz").await.status, server.get("/v1/report").await.status);

    server.snapshots.send_replace(Node::new(1).pass(0));

    assert_eq!(before, (503, 503));
    assert_eq!(server.get("/readyz").await.status, 200);
    assert_eq!(server.get("/v1/report").await.status, 200);
}

#[tokio::test]
async fn metrics_name_the_cost_of_the_agent_and_the_flows_of_the_node() {
    let server = start(Node::new(100).pass(0)).await;
    server.get("/v1/report").await;

    let reply = server.get("/metrics").await;

    let text = String::from_utf8(reply.body).unwrap();
    for line in [
        "probelet_agent_cpu_budget_cores 0.005",
        "probelet_agent_cpu_seconds_total{mode=\"user\",task=\"discover\"} 1",
        "probelet_agent_level{level=\"Full\"} 1",
        "probelet_agent_report_requests_total{code=\"200\"} 1",
        "probelet_agent_http_requests_total{code=\"200\",path=\"/v1/report\"} 1",
        "probelet_agent_source_info{source=\"bpf\"} 1",
        "probelet_flows{destination_namespace=\"\",destination_service=\"\",destination_workload=\"external\",port=\"443\",protocol=\"tcp\",reporter=\"source\",service_port=\"\",source_namespace=\"\",source_node=\"\",source_workload=\"worker-1\"} 20",
        "probelet_workload_open_fds{workload=\"worker-1\"} 20",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("coverage_ratio"), "nothing was opened");
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
        assert!(text.contains(&format!("# HELP {base} ")), "{name} has no help");
    }
}

/// The value of every series of a metric, in the order of the text.
fn values(text: &str, name: &str) -> Vec<f64> {
    let of = |line: &str| {
        line.strip_prefix(name)?.strip_prefix('{')?.split(' ').next_back()?.parse().ok()
    };
    text.lines().filter_map(of).collect()
}

#[tokio::test]
async fn series_beyond_the_cap_are_summed_up_and_no_counter_goes_down() {
    let mut node = Node::new(1000);
    let few = SeriesLimits { max_series: 50, ..SeriesLimits::default() };
    let server = start_with(node.pass(0), few, false, |_| Admission::Granted).await;

    let before = String::from_utf8(server.get("/metrics").await.body).unwrap();
    server.snapshots.send_replace(node.pass(500));
    // A text serves all scrapes of one second.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    let after = String::from_utf8(server.get("/metrics").await.body).unwrap();

    // A place is for what other nodes would open, and stands empty.
    assert_eq!(values(&before, "probelet_flows").len(), 5, "{before}");
    assert!((values(&before, "probelet_flows").iter().sum::<f64>() - 1000.0).abs() < 0.1);
    assert!(values(&before, "probelet_agent_series")[0] <= 50.0);
    assert!(values(&before, "probelet_agent_series")[1] > 0.0);
    let bytes = [&before, &after].map(|text| values(text, "probelet_flow_bytes_total"));
    assert!(bytes[0].iter().zip(&bytes[1]).all(|(before, after)| before <= after), "{bytes:?}");
    assert!(
        (bytes[1].iter().sum::<f64>() - bytes[0].iter().sum::<f64>() - 500_000.0).abs() < 0.1,
        "{bytes:?}"
    );
}

#[tokio::test]
async fn metrics_are_refused_only_beyond_their_own_rate() {
    let server = start(Node::new(1).pass(0)).await;
    let mut codes = Vec::new();
    for _ in 0..30 {
        codes.push(server.get("/metrics").await.status);
    }

    assert!(codes[..10].iter().all(|&c| c == 200), "{codes:?}");
    assert!(codes.contains(&429), "{codes:?}");
}

#[tokio::test]
async fn of_a_peer_that_says_nothing_the_connection_that_waited_longest_makes_room() {
    let server = start(Node::new(1).pass(0)).await;
    let mut held = Vec::new();
    for _ in 0..12 {
        held.push(TcpStream::connect(server.address).await.unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let answer = server.get("/metrics").await;

    let closed = tokio::time::timeout(Duration::from_secs(5), held[0].read(&mut [0; 1])).await;
    // The peer may end it with a FIN or, if it had unread bytes, with a RST.
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    let second = tokio::time::timeout(Duration::from_millis(100), held[1].read(&mut [0; 1])).await;
    assert!(second.is_err(), "{second:?}");
    let metrics = String::from_utf8(answer.body).unwrap();
    let evicted = "probelet_agent_http_closed_total{reason=\"evicted\"} 1";
    assert!(metrics.contains(evicted), "{metrics}");
}

#[tokio::test]
async fn stopping_takes_less_than_a_second_even_with_waiting_clients() {
    let server = start(Node::new(40_000).pass(0)).await;
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    waiting
        .write_all(b"GET /v1/report?since=1&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /v1/report HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    slow.read_exact(&mut [0; 100]).await.unwrap();
    let began = Instant::now();

    server.stop.send_replace(true);
    server.task.await.unwrap();

    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_file_serves_whom_its_rights_let_and_is_gone_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let (stop, task) = start_at_file(Node::new(20).pass(0), &path);
    for host in ["localhost", "anything.example"] {
        let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
        let asked = format!("GET /v1/report HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        client.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"node\":"), "{host}");
    }

    stop.send_replace(true);
    task.await.unwrap();

    assert!(!path.exists());
}

#[tokio::test]
async fn a_port_in_use_is_explained() {
    let taken = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = taken.local_addr().unwrap();

    let error = bind(address).unwrap_err().to_string();

    let said = |error: String, flag: &str| {
        let advice = format!("choose another with {flag} or stop the process that has it");
        assert_eq!(error, format!("cannot listen on {address}: address in use; {advice}"));
    };
    said(error, "--listen");
    said(probes::bind(address).unwrap_err().to_string(), "--probe-listen");
}

#[tokio::test]
async fn the_heap_and_the_cpu_profile_are_not_empty() {
    let mut snapshot = Arc::into_inner(Node::new(20_000).pass(0)).unwrap();
    // What one peer may use is to last for all of it.
    snapshot.vitals.budget_cores = 8.0;
    let server =
        start_with(Arc::new(snapshot), SeriesLimits::default(), true, |_| Admission::Granted).await;
    let work = async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(900) {
            server.get("/v1/report").await;
        }
    };

    let (cpu, second, ()) = tokio::join!(
        server.get("/debug/pprof/profile?seconds=1&frequency=999"),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.get("/debug/pprof/profile?seconds=1").await
        },
        work
    );
    let heap = server.get("/debug/pprof/heap").await;

    assert_eq!(
        (cpu.status, second.status, heap.status),
        (200, 409, 200),
        "{}",
        String::from_utf8_lossy(&heap.body)
    );
    let profile: pprof::protos::Profile = pprof::protos::Message::decode(&cpu.body[..]).unwrap();
    assert!(profile.sample.len() > 10, "{} samples", profile.sample.len());
    assert!(heap.body.starts_with(b"heap_v2/"), "{}", String::from_utf8_lossy(&heap.body));
}
