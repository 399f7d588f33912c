//! Lists the nodes of the cluster now and then, where the role allows it and there are not too many.
//!
//! In: answers of the server. Out: [`Event::Nodes`]. Nodes change often and their addresses almost
//! never, so that they are not watched: each of them writes its status every five minutes. It must not
//! read a list to its end that is longer than is kept, nor be missed: without it addresses of nodes
//! that no endpoint reports have no name.
//!
//! I/O: the network through [`Connection`]; sleeps.

use super::wire;
use crate::kube::connection::{self, Connection, Error};
use crate::kube::split::{Items, Part};
use crate::kube::status::Class;
use crate::kube::timing::{random, share};
use probelet_core::cluster::objects::{Event, Node};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

/// The server's cache answers; servers of today keep to the limit there as well.
const URL: &str = "/api/v1/nodes?limit=500&resourceVersion=0";
/// In a larger cluster the lists of all agents would be more than anybody asked for: 500 nodes are
/// 7 MB, and with an agent on each, once an hour, 1 MB a second in all.
const NODES: usize = 500;
/// A list of so many is shorter, images and all.
const BYTES: usize = 32 << 20;
/// How long a single look waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a list amounted to.
#[derive(Debug)]
enum Listed {
    Nodes(Vec<Node>),
    TooMany,
}

/// Lists the nodes every so often, give or take a half, until no one receives events any more.
pub(super) async fn follow(
    connection: Arc<Connection>,
    events: mpsc::Sender<Vec<Event>>,
    start: Duration,
    every: Duration,
    silence: Duration,
) {
    let mut logged = false;
    sleep(share(start, random())).await;
    loop {
        let outcome = list(&connection, silence).await;
        let message = match &outcome {
            Ok(Listed::Nodes(_)) => None,
            Ok(Listed::TooMany) => Some("there are more than 500 nodes".to_owned()),
            Err(error) if error.class() == Class::Forbidden => {
                Some("the role does not allow to list them".to_owned())
            }
            Err(error) => Some(error.chain()),
        };
        match message {
            Some(reason) if !std::mem::replace(&mut logged, true) => {
                info!(reason, "addresses of other nodes are known from endpoints only");
            }
            Some(reason) => debug!(reason, "nodes are not listed"),
            None => logged = false,
        }
        if let Ok(Listed::Nodes(nodes)) = outcome
            && events.send(vec![Event::Nodes(nodes)]).await.is_err()
        {
            return;
        }
        tokio::select! {
            () = sleep(every / 2 + share(every, random())) => {}
            () = events.closed() => return,
        }
    }
}

/// The same once, before anything else is asked: for a single look.
pub(super) async fn once(connection: &Connection, events: &mpsc::Sender<Vec<Event>>) {
    if let Ok(Ok(Listed::Nodes(nodes))) = timeout(PATIENCE, list(connection, PATIENCE)).await {
        let _no_one_looks = events.send(vec![Event::Nodes(nodes)]).await;
    }
}

async fn list(connection: &Connection, silence: Duration) -> Result<Listed, Error> {
    let mut body = connection.get(URL, silence).await?.into_body();
    let (mut items, mut nodes) = (Items::default(), Vec::new());
    let (mut more, mut bytes) = (false, 0);
    while let Some(chunk) = connection::chunk(&mut body, silence).await? {
        bytes += chunk.len();
        items.feed(&chunk, |part| match part {
            Part::Item(Ok(text)) => nodes.extend(wire::node(text)),
            Part::Item(Err(_)) => more = true,
            Part::Metadata(text) => more |= wire::has_more(text),
        });
        if more || nodes.len() > NODES || bytes > BYTES {
            return Ok(Listed::TooMany);
        }
    }
    if items.complete() { Ok(Listed::Nodes(nodes)) } else { Err(Error::Incomplete) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::Access;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// What becomes of an answer, and which request was made for it.
    async fn listed(status: &str, body: &str) -> Result<Listed, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let home = tempfile::tempdir().unwrap();
        let kubeconfig = home.path().join("config");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            (String::from_utf8_lossy(&head[..read]).into_owned(), stream)
        });
        let silence = Duration::from_secs(10);
        let connection = Connection::new(Access::Kubeconfig(Some(kubeconfig)), silence, silence);
        let outcome = list(&connection, silence).await;
        let (asked, _open) = server.await.unwrap();
        assert!(asked.starts_with("GET /api/v1/nodes?limit=500&resourceVersion=0 "), "{asked}");
        outcome
    }

    fn named(name: usize) -> String {
        format!(
            r#"{{"metadata":{{"name":"n-{name}"}},"status":{{"addresses":[{{"type":"InternalIP","address":"10.0.0.1"}}]}}}}"#
        )
    }

    fn page(nodes: usize, more: &str) -> String {
        let items: Vec<String> = (0..nodes).map(named).collect();
        format!(
            r#"{{"kind":"NodeList","metadata":{{"resourceVersion":"7","continue":"{more}"}},"items":[{}]}}"#,
            items.join(",")
        )
    }

    #[tokio::test]
    async fn a_list_of_nodes_is_read_whole() {
        let Ok(Listed::Nodes(nodes)) = listed("200 OK", &page(3, "")).await else { panic!() };

        assert_eq!(nodes.iter().map(|n| &*n.name).collect::<Vec<_>>(), ["n-0", "n-1", "n-2"]);
    }

    #[tokio::test]
    async fn a_cluster_with_too_many_nodes_is_not_listed() {
        for body in [page(2, "next"), page(NODES + 1, "")] {
            assert!(matches!(listed("200 OK", &body).await, Ok(Listed::TooMany)));
        }
    }

    #[tokio::test]
    async fn a_role_that_does_not_allow_it_is_no_other_failure() {
        let body = r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}"#;

        let refused = listed("403 Forbidden", body).await.unwrap_err();

        assert_eq!(refused.class(), Class::Forbidden);
    }
}
