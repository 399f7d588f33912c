//! The running containers, as Docker lists them, in an answer of bounded length.
//!
//! In: Docker's socket. Out: the list. It must not take in more than is kept of it: bollard reads an
//! answer to its end however long that is.
//!
//! I/O: one request on a connection of its own.

use super::MAX_CONTAINERS;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use probelet_core::hash::HashMap;
use serde::Deserialize;
use std::path::Path;
use tokio::net::UnixStream;

/// The longest answer: 16,384 containers of 4 kB. Docker shows 1 to 2 kB of each.
const LONGEST: usize = 64 << 20;
/// `{"status":["running","paused"]}`. With a limit Docker would list stopped ones too. A container that is
/// restarting has no process, and its start is an event; Podman refuses to list by that state, and by `dead`.
const RUNNING: &str = "%7B%22status%22%3A%5B%22running%22%2C%22paused%22%5D%7D";

/// What is read of a container. Any other field may be of a kind that we never met: one of them must not cost
/// the names of all.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Names", default)]
    pub(super) names: Option<Vec<String>>,
    #[serde(rename = "Image", default)]
    pub(super) image: Option<String>,
    #[serde(rename = "Labels", default)]
    pub(super) labels: Option<HashMap<String, String>>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the socket cannot be reached")]
    Connect(#[source] std::io::Error),
    #[error("the request failed")]
    Http(#[source] hyper::Error),
    #[error("Docker answered {0}")]
    Refused(hyper::StatusCode),
    #[error("the response ended early or is longer than {LONGEST} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the response is not a list of containers")]
    Json(#[source] serde_json::Error),
}

/// Lists the running containers: one more than is kept, to notice when there are too many.
pub(super) async fn running(socket: &Path) -> Result<Vec<Listed>, Error> {
    let text = fetch(socket, LONGEST).await?;
    serde_json::from_slice(&text).map_err(Error::Json)
}

async fn fetch(socket: &Path, longest: usize) -> Result<Bytes, Error> {
    let stream = UnixStream::connect(socket).await.map_err(Error::Connect)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Error::Http)?;
    let exchange = async move {
        let url = format!("/containers/json?limit={}&filters={RUNNING}", MAX_CONTAINERS + 1);
        let mut request = Request::new(Empty::<Bytes>::new());
        // Text of ours, which is a path.
        *request.uri_mut() = url.parse().unwrap_or_default();
        request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("docker"));
        let answer = sender.send_request(request).await.map_err(Error::Http)?;
        if !answer.status().is_success() {
            return Err(Error::Refused(answer.status()));
        }
        let body = Limited::new(answer.into_body(), longest).collect().await;
        Ok(body.map_err(Error::Body)?.to_bytes())
    };
    // The connection ends when the exchange gives up its sender; what it says of that is no news.
    let (text, _) = tokio::join!(exchange, connection);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    async fn ask(answer: &'static str, longest: usize) -> Result<Bytes, Error> {
        let directory = tempfile::TempDir::new().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        });
        let text = fetch(&socket, longest).await;
        let asked = server.await.unwrap();
        assert!(asked.starts_with("GET /containers/json?limit=16385&filters=%7B"), "{asked}");
        text
    }

    /// What Podman 4 answers, cut down, with a state and a mount that Docker does not have.
    const PODMAN: &str = r#"[{"Id":"b3a9","Names":["/web"],"Image":"docker.io/library/nginx:1","Command":"nginx",
        "Created":1795402112,"Ports":null,"Labels":{"app":"web"},"State":"stopping","Status":"stopping",
        "NetworkSettings":null,"Mounts":[{"Type":"glob","RW":"yes"}],"Health":{"Status":"new"}},
        {"Id":"c4","Names":null,"Labels":null}]"#;

    #[test]
    fn fields_that_are_not_read_may_hold_anything() {
        let list: Vec<Listed> = serde_json::from_str(PODMAN).unwrap();

        let ids: Vec<&str> = list.iter().map(|listed| &*listed.id).collect();
        assert_eq!(ids, ["b3a9", "c4"]);
        assert_eq!(list[0].names.as_deref(), Some(&["/web".to_owned()][..]));
        assert_eq!(list[0].labels.as_ref().map(|labels| &*labels["app"]), Some("web"));
    }

    /// A server that knows these states alone, as Podman does, which answers any other one so.
    async fn ask_podman() -> Result<Vec<Listed>, Error> {
        const STATES: [&str; 8] = [
            "unknown",
            "configured",
            "created",
            "running",
            "stopped",
            "paused",
            "exited",
            "removing",
        ];
        let directory = tempfile::TempDir::new().unwrap();
        let socket = directory.path().join("podman.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let filters = head.split("filters=").nth(1).unwrap().split([' ', '&']).next().unwrap();
            let encoded = [("%7B", "{"), ("%7D", "}"), ("%22", "\""), ("%3A", ":"), ("%2C", ",")];
            let plain = |text: String, (from, to): (&str, &str)| text.replace(from, to);
            let filters = encoded.into_iter().fold(filters.to_owned(), plain);
            let filters = filters.replace("%5B", "[").replace("%5D", "]");
            let filters: HashMap<String, Vec<String>> = serde_json::from_str(&filters).unwrap();
            let known = filters["status"].iter().all(|state| STATES.contains(&&**state));
            let (status, text) = if known {
                ("200 OK", PODMAN)
            } else {
                ("500 Internal Server Error", r#"{"cause":"invalid argument","response":500}"#)
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", text.len());
            stream.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
        });
        let list = running(&socket).await;
        server.await.unwrap();
        list
    }

    #[tokio::test]
    async fn podman_is_asked_for_states_that_it_knows() {
        assert_eq!(ask_podman().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_bound() {
        const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";

        assert_eq!(ask(ANSWER, 2).await.unwrap(), "[]");
        assert!(matches!(ask(ANSWER, 1).await, Err(Error::Body(_))));
        let refused = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(ask(refused, 2).await, Err(Error::Refused(_))));
    }
}
