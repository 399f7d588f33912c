//! Docker's events as it sends them, and a Docker that breaks off.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
};

use super::*;

#[test]
fn waits_grow_and_stay_within_their_bounds() {
    assert!(wait(1) >= WAIT.0 && wait(1) <= WAIT.0 * 2);
    for failures in 6..100 {
        assert!(wait(failures) >= WAIT.1 / 2 && wait(failures) <= WAIT.1, "{failures}");
    }
}

#[test]
fn a_container_is_not_named_by_what_others_that_are_linked_to_it_call_it() {
    let own = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        own_name(&names).to_owned()
    };
    assert_eq!(own(&["/api/db", "/db", "/worker/database"]), "db");
    assert_eq!(own(&["/a/b", "/a-long-name"]), "a-long-name");
    assert_eq!(own(&["plain"]), "plain");
    assert_eq!(own(&[]), "");
}

/// What Docker 20.10 sent for `docker rename web web2`.
const RENAME: &str = r#"{"status":"rename","id":"b3a9","from":"probe:1","Type":"container","Action":"rename",
    "Actor":{"ID":"b3a9","Attributes":{"app":"web","image":"probe:1","name":"web2","oldName":"/web","tier":"front"}},
    "scope":"local","time":1795402113,"timeNano":1795402113981013942}"#;
/// The same for the start and for `docker kill`, which is no label but an attribute of `die`.
const START: &str = r#"{"status":"start","id":"b3a9","from":"probe:1","Type":"container","Action":"start",
    "Actor":{"ID":"b3a9","Attributes":{"app":"web","image":"probe:1","name":"web","tier":"front"}},
    "scope":"local","time":1795402112,"timeNano":1795402112981013942}"#;
const DIE: &str = r#"{"status":"die","id":"b3a9","from":"probe:1","Type":"container","Action":"die",
    "Actor":{"ID":"b3a9","Attributes":{"app":"web","exitCode":"137","image":"probe:1","name":"web2","tier":"front"}},
    "scope":"local","time":1795402114,"timeNano":1795402114183209331}"#;

fn after(events: &[&str]) -> Table {
    let (tx, _) = tokio::sync::watch::channel(Arc::default());
    let (table, names) = (Table::default(), DockerNames::default());
    let mut follower = Follower { socket: PathBuf::new(), again: AGAIN, tx: &tx, table, names };
    for event in events {
        follower.apply(serde_json::from_str(event).expect("an event of Docker"));
    }
    follower.table
}

#[test]
fn a_started_container_has_its_name_image_and_labels() {
    let table = after(&[START]);
    let container = &table.containers()["b3a9"];
    assert_eq!((container.name.as_str(), container.image.as_str()), ("web", "probe:1"));
    assert_eq!(container.started, Some(1_795_402_112));
    let labels =
        container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
    assert_eq!(labels, ["app=web", "tier=front"]);
}

#[test]
fn a_renamed_container_keeps_its_labels_and_start() {
    let table = after(&[START, RENAME]);
    let container = &table.containers()["b3a9"];
    assert_eq!((container.name.as_str(), container.labels.len()), ("web2", 2));
    assert_eq!(container.started, Some(1_795_402_112));
}

#[test]
fn a_stopped_container_that_is_renamed_stays_unlisted() {
    assert!(after(&[RENAME]).containers().is_empty());
}

#[test]
fn a_dead_container_is_forgotten() {
    assert!(after(&[START, RENAME, DIE]).containers().is_empty());
}

/// Answers like Docker 20.10 on one connection, and reports which requests came. The first stream of events breaks off.
async fn answer(mut stream: UnixStream, broken: Arc<AtomicUsize>, asked: mpsc::Sender<String>) {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(n) => head.extend(&chunk[..n]),
            }
        }
        let request = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        head.clear();
        let session = broken.load(Relaxed);
        let json = if request.contains("/containers/json") {
            // In the second session "b" has gone and "a" was renamed meanwhile.
            let (a, more) = [("web", r#",{"Id":"b","Names":["/db"],"Image":"i"}"#), ("web2", "")]
                [session.min(1)];
            format!(r#"[{{"Id":"a","Names":["/{a}"],"Image":"i","Labels":{{"k":"v"}}}}{more}]"#)
        } else {
            String::new()
        };
        let events = request.contains("/events");
        asked.send(request).await.expect("the test listens");
        let length = json.len();
        let reply = if events {
            let event = START.replace('\n', " ");
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{event}\n\r\n",
                event.len() + 1
            )
        } else {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
            )
        };
        stream.write_all(reply.as_bytes()).await.expect("the follower reads");
        if events && session == 0 {
            time::sleep(Duration::from_millis(300)).await;
            broken.fetch_add(1, Relaxed);
            return;
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_followed_by_a_new_list() {
    let directory = tempfile::TempDir::new().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (asked, mut requests) = mpsc::channel(100);
    let server = tokio::spawn(async move {
        let broken = Arc::new(AtomicUsize::new(0));
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&broken), asked.clone()));
        }
    });
    let (tx, mut rx) = watch::channel(Arc::default());
    tokio::spawn(follow(socket, tx));
    let names = rx.wait_for(|names: &Arc<DockerNames>| names.events == 1).await.unwrap().clone();
    assert_eq!((names.state, names.containers.len()), (State::Connected, 3));
    let lost = |names: &Arc<DockerNames>| matches!(names.state, State::Disconnected { .. });
    assert_eq!(rx.wait_for(lost).await.unwrap().containers.len(), 3);
    let names = rx.wait_for(|names| names.reconnects == 1).await.unwrap().clone();
    assert_eq!((names.state, names.containers.len()), (State::Connected, 1));
    assert_eq!(names.containers["a"].name, "web2");
    server.abort();
    requests.close();
    let mut all = Vec::new();
    while let Some(request) = requests.recv().await {
        all.push(request);
    }
    let paths: Vec<&str> =
        all.iter().filter_map(|request| request.split(['?', ' ']).nth(1)).collect();
    assert_eq!(paths[..3], ["/containers/json", "/events", "/containers/json"]);
    assert!(paths[3..].iter().all(|path| *path == "/events"), "{paths:?}");
}

/// A Docker that never sends an event: each list has one container more than the one before.
async fn silent(mut stream: UnixStream, lists: Arc<AtomicUsize>) {
    let mut head = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut head).await {
        let request = String::from_utf8_lossy(&head[..read]).into_owned();
        let json = if request.contains("/containers/json") {
            let all = 0..=lists.fetch_add(1, Relaxed).min(1);
            let all: Vec<_> =
                all.map(|n| format!(r#"{{"Id":"c{n}","Names":["/web-{n}"]}}"#)).collect();
            format!("[{}]", all.join(","))
        } else {
            String::new()
        };
        let reply = if request.contains("/events") {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len())
        };
        stream.write_all(reply.as_bytes()).await.expect("the follower reads");
    }
}

#[tokio::test]
async fn a_container_whose_event_was_dropped_gets_its_name_with_the_next_list() {
    let directory = tempfile::TempDir::new().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let lists = Arc::new(AtomicUsize::new(0));
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(silent(stream, Arc::clone(&lists)));
        }
    });
    let (tx, mut rx) = watch::channel(Arc::default());
    tokio::spawn(async move {
        let (table, names, again) = (Table::default(), DockerNames::default(), GATHER);
        Follower { socket, again, tx: &tx, table, names }.run().await;
    });

    let later = |names: &Arc<DockerNames>| names.containers.contains_key("c1");
    let names = time::timeout(TIMEOUT, rx.wait_for(later)).await.unwrap().unwrap().clone();

    assert_eq!((names.containers["c1"].name.as_str(), names.events), ("web-1", 0));
    assert_eq!((names.state, names.reconnects), (State::Connected, 0));
}
