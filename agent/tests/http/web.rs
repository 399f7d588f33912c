//! The page for browsers, as a client without one sees it.

use super::client::{start, start_web};
use super::node::Node;
use super::reviews::Reviews;
use probelet_agent::serve::http::auth::Terms;

#[tokio::test]
async fn the_page_comes_with_a_policy_that_allows_only_itself() {
    let server = start_web(Node::new(1).pass(0), None).await;

    let page = server.get("/").await;

    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'none'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(page.body.starts_with(b"<!doctype html>") && page.body.len() < 60_000);
}

#[tokio::test]
async fn the_page_is_there_only_where_it_is_switched_on_and_only_to_read() {
    let without = start(Node::new(1).pass(0)).await;
    let with = start_web(Node::new(1).pass(0), None).await;

    assert_eq!(without.get("/").await.status, 404);
    let post = with.send("POST", "/", "Content-Length: 0\r\n").await;
    let head = with.send("HEAD", "/", "").await;

    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn behind_a_front_the_page_is_open_and_what_it_shows_is_not() {
    let reviews = Reviews::start().await;
    let server =
        start_web(Node::new(1).pass(0), Some(reviews.front(Terms::default(), false))).await;

    assert_eq!(server.get("/").await.status, 200);
    assert_eq!(server.get("/v1/report").await.status, 401);
    assert!(reviews.asked("TokenReview").is_empty());
}

#[tokio::test]
async fn no_answer_may_be_kept_on_the_way() {
    let reviews = Reviews::start().await;
    let server =
        start_web(Node::new(1).pass(0), Some(reviews.front(Terms::default(), false))).await;
    let good = "Authorization: Bearer good\r\n";
    let etag = server.send("GET", "/v1/report", good).await.header("etag").unwrap().to_owned();
    let known = format!("{good}If-None-Match: {etag}\r\n");

    for (path, headers, status) in [
        ("/v1/report", good, 200),
        ("/v1/report", &*known, 304),
        ("/v1/report?pid=x", good, 400),
        ("/v1/report", "", 401),
        ("/metrics", good, 200),
        ("/healthz", "", 200),
        ("/", "", 200),
        ("/v2", good, 404),
    ] {
        let reply = server.send("GET", path, headers).await;

        assert_eq!(
            (reply.status, reply.header("cache-control")),
            (status, Some("no-store")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_of_the_web_that_calls_itself_loopback_reads_nothing() {
    let server = start_web(Node::new(1).pass(0), None).await;
    let under = |name: &str| {
        format!("GET /v1/report HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")
    };
    let mut answers = Vec::new();
    for name in ["evil.example:9466", "127.0.0.1:9466", "localhost:9466"] {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
        socket.write_all(under(name).as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answers.push(answer[9..12].to_owned());
    }

    assert_eq!(answers, ["421", "200", "200"]);
}
