//! An API server that knows a few tokens for agents: `good` of someone who may, `weak` of someone who may not, `slow` of
//! someone who may and about whom it thinks for a while, `tenant` of someone who may get the pods of two namespaces; and
//! `server`, of someone who may, for the API server itself.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use probelet_agent::kube::{Access, Audience, Reviewer};
use probelet_agent::serve::http::auth::{Auth, Terms};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// What the server was asked, and whether it answers.
#[derive(Default)]
struct Book {
    asked: Mutex<Vec<Value>>,
    away: AtomicBool,
    forgetful: AtomicBool,
}

/// The server.
pub(crate) struct Reviews {
    book: Arc<Book>,
    home: TempDir,
}

impl Reviews {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::new(Book::default());
        let answering = Arc::clone(&book);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let book = Arc::clone(&answering);
                let service = service_fn(move |request| answer(Arc::clone(&book), request));
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(socket), service));
            }
        });
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: u, user: {{token: ours}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n"
        );
        std::fs::write(home.path().join("config"), config).unwrap();
        Self { book, home }
    }

    /// A listener that asks this server.
    pub(crate) fn front(&self, terms: Terms, loopback: bool) -> Auth {
        self.front_for(terms, loopback, false)
    }

    /// The same, which may accept tokens for the API server.
    pub(crate) fn front_for(&self, terms: Terms, loopback: bool, api_server: bool) -> Auth {
        let access = Access::Kubeconfig(Some(self.home.path().join("config")));
        let audience = Audience { ours: "probelet".to_owned(), api_server };
        Auth::new(Reviewer::new(access, audience), terms, loopback).unwrap()
    }

    /// From now on it answers nothing but errors, or answers again.
    pub(crate) fn set_away(&self, away: bool) {
        self.book.away.store(away, Ordering::Relaxed);
    }

    /// From now on it knows no token.
    pub(crate) fn forget(&self) {
        self.book.forgetful.store(true, Ordering::Relaxed);
    }

    /// The questions of this kind so far.
    pub(crate) fn asked(&self, kind: &str) -> Vec<Value> {
        let asked = self.book.asked.lock().unwrap();
        asked.iter().filter(|question| question["kind"] == kind).cloned().collect()
    }
}

async fn answer(
    book: Arc<Book>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    assert_eq!(request.headers()["authorization"], "Bearer ours");
    let question = request.into_body().collect().await.unwrap().to_bytes();
    let question: Value = serde_json::from_slice(&question).unwrap();
    book.asked.lock().unwrap().push(question.clone());
    if book.away.load(Ordering::Relaxed) {
        let refusal = Response::builder().status(503).body(Full::default());
        return Ok(refusal.unwrap());
    }
    let status = match path.as_str() {
        "/apis/authentication.k8s.io/v1/tokenreviews" => {
            let for_agents = question["spec"]["audiences"] == json!(["probelet"]);
            let known = |name| {
                let user = json!({"username": name, "uid": "1", "groups": ["readers"]});
                let mut status = json!({"authenticated": true, "user": user});
                if for_agents {
                    status["audiences"] = json!(["probelet"]);
                }
                status
            };
            match question["spec"]["token"].as_str() {
                _ if book.forgetful.load(Ordering::Relaxed) => json!({"user": {}}),
                Some("good") if for_agents => known("alice"),
                Some("weak") if for_agents => known("bob"),
                Some("tenant") if for_agents => known("carol"),
                Some("server") if !for_agents => known("alice"),
                Some("slow") if for_agents => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    known("alice")
                }
                _ => json!({"user": {}, "error": "no such token"}),
            }
        }
        "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
            let asked = &question["spec"]["resourceAttributes"];
            let tenant = asked["resource"] == "pods"
                && [json!("shop"), json!("ops")].contains(&asked["namespace"]);
            let user = &question["spec"]["user"];
            json!({"allowed": user == "alice" || (user == "carol" && tenant)})
        }
        other => panic!("no one may ask for {other}"),
    };
    let answer = json!({"kind": question["kind"], "spec": question["spec"], "status": status});
    Ok(Response::builder().status(201).body(Full::from(answer.to_string())).unwrap())
}
