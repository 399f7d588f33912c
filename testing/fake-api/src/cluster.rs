//! A small API server in memory, for tests: list, watch, apply, create, replace and delete of any kind.
//!
//! In: requests of a client. Out: answers as the real one gives them, as far as the operator can tell: generations that
//! count changes of the spec, resource versions, conflicts, watches that go on. Faults can be ordered. Pure but for waiting.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use probelet_crds::{NodeConfig, SEED};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What the server says instead of doing it.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Its code.
    pub code: u16,
    /// Why.
    pub message: &'static str,
    /// For how many seconds it wants to be left alone; 0 is not said.
    pub retry_after: u32,
}

#[derive(Default)]
struct State {
    /// By collection (`nodes`) and name.
    objects: BTreeMap<(String, String), Value>,
    /// Collection, event.
    log: Vec<(String, Value)>,
    version: i64,
    /// Writes by method and path, without those that were refused.
    writes: Vec<String>,
    fault: Option<Fault>,
    refused: u32,
    hidden: Option<&'static str>,
    forbidden: Option<&'static str>,
    denied: Option<&'static str>,
    applying: bool,
    /// What a review says of a token, and how many there were.
    tokens: BTreeMap<String, Value>,
    reviews: u32,
}

/// The server.
#[derive(Clone, Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Fake {
    /// One whose agents acknowledge what they are assigned at once.
    #[must_use]
    pub fn applying() -> Self {
        let fake = Self::default();
        fake.state.lock().unwrap().applying = true;
        fake
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        Client::new(service, "probelet")
    }

    /// Puts an object as someone else would: its generation counts changes of its spec.
    pub fn put(&self, collection: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state.lock().unwrap();
        let key = (collection.to_owned(), name.to_owned());
        let old = state.objects.get(&key).cloned();
        let version = state.version + 1;
        let mut object = old.clone().unwrap_or_else(|| {
            json!({"metadata": {"name": name, "uid": format!("{collection}-{name}-{version}"),
                "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}})
        });
        change(&mut object);
        if old.as_ref().is_some_and(|old| old["spec"] != object["spec"]) {
            let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        if old.as_ref() == Some(&object) {
            return;
        }
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        state.version = version;
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        state.log.push((collection.to_owned(), json!({"type": kind, "object": object})));
        state.objects.insert(key, object);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Deletes an object as someone else would; returns what it was.
    pub fn remove(&self, collection: &str, name: &str) -> Option<Value> {
        let mut state = self.state.lock().unwrap();
        let object = state.objects.remove(&(collection.to_owned(), name.to_owned()))?;
        state.version += 1;
        let mut last = object.clone();
        last["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.log.push((collection.to_owned(), json!({"type": "DELETED", "object": last})));
        drop(state);
        self.changed.notify_waiters();
        Some(object)
    }

    /// A node with these labels.
    pub fn node(&self, name: &str, labels: &Value) {
        self.put("nodes", name, |node| node["metadata"]["labels"] = labels.clone());
    }

    /// A `ProbeConfig` with this spec.
    pub fn config(&self, name: &str, spec: &Value) {
        self.put("probeconfigs", name, |config| config["spec"] = spec.clone());
    }

    /// An object; null if there is none.
    #[must_use]
    pub fn get(&self, collection: &str, name: &str) -> Value {
        let state = self.state.lock().unwrap();
        state.objects.get(&(collection.to_owned(), name.to_owned())).cloned().unwrap_or_default()
    }

    /// How many objects a collection has.
    #[must_use]
    pub fn count(&self, collection: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.objects.keys().filter(|(have, _)| have == collection).count()
    }

    /// Writes since the last call.
    pub fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().writes)
    }

    /// Writes that were refused since the last call.
    pub fn refused(&self) -> u32 {
        std::mem::take(&mut self.state.lock().unwrap().refused)
    }

    /// Knows a token: of which account, for which audience, bound to which node if to any.
    pub fn token(&self, token: &str, user: &str, audience: &str, node: Option<&str>) {
        let mut status =
            json!({"authenticated": true, "audiences": [audience], "user": {"username": user}});
        if let Some(node) = node {
            status["user"]["extra"] = json!({"authentication.kubernetes.io/node-name": [node]});
        }
        self.state.lock().unwrap().tokens.insert(token.to_owned(), status);
    }

    /// How often it was asked about a token since the last call.
    pub fn reviews(&self) -> u32 {
        std::mem::take(&mut self.state.lock().unwrap().reviews)
    }

    /// As a server does: a token is good for those audiences of the question that it was made for.
    fn review(&self, question: &Value) -> Answer {
        let mut state = self.state.lock().unwrap();
        state.reviews += 1;
        let token = question["spec"]["token"].as_str().unwrap_or_default();
        let known = state.tokens.get(token).filter(|status| {
            let asked = question["spec"]["audiences"].as_array().cloned().unwrap_or_default();
            asked.contains(&status["audiences"][0])
        });
        let status = known.cloned().unwrap_or_else(|| json!({"authenticated": false}));
        reply(201, &json!({"metadata": {}, "spec": question["spec"], "status": status}))
    }

    /// Answers writes of `NodeProbes` with this.
    pub fn fault(&self, fault: Option<Fault>) {
        self.state.lock().unwrap().fault = fault;
    }

    /// Never answers lists of this collection.
    pub fn hide(&self, collection: Option<&'static str>) {
        self.state.lock().unwrap().hidden = collection;
        self.changed.notify_waiters();
    }

    /// Allows nothing of this collection, or of this object.
    pub fn forbid(&self, path: Option<&'static str>) {
        self.state.lock().unwrap().forbidden = path;
    }

    /// Lets no client write this object, as a policy of the cluster does: its webhook's words, and no code of its own.
    pub fn deny(&self, path: Option<&'static str>) {
        self.state.lock().unwrap().denied = path;
    }

    fn is_denied(&self, words: &[&str], object: &Value) -> bool {
        let named = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{}/{}", words[0], words.get(1).unwrap_or(&named));
        self.state.lock().unwrap().denied == Some(path.as_str())
    }

    fn is_forbidden(&self, words: &[&str]) -> bool {
        let forbidden = self.state.lock().unwrap().forbidden;
        forbidden.is_some_and(|path| words.join("/").starts_with(path))
    }

    /// A condition of a `ProbeConfig` as "status reason".
    #[must_use]
    pub fn condition(&self, name: &str, kind: &str) -> String {
        let config = self.get("probeconfigs", name);
        let conditions = config["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.map_or(String::new(), |c| {
            format!("{} {}", c["status"].as_str().unwrap(), c["reason"].as_str().unwrap())
        })
    }

    /// An agent says something of its node.
    pub fn report(&self, node: &str, conditions: &[(&str, &str, &str)], cpu: &str) {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| json!({"type": kind, "status": status, "reason": reason}))
            .collect();
        self.put("nodeprobes", node, |probe| {
            let config: NodeConfig =
                serde_json::from_value(probe["spec"]["config"].clone()).unwrap();
            probe["status"] = json!({
                "observedGeneration": probe["metadata"]["generation"],
                "appliedConfigHash": config.hash(), "agent": {"cpu": cpu}, "conditions": conditions,
            });
        });
    }

    /// An agent says the same again.
    pub fn refresh(&self, node: &str, beat: &str) {
        self.put("nodeprobes", node, |probe| probe["status"]["lastReport"] = json!(beat));
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap();
        let query = head.uri.query().unwrap_or("").to_owned();
        let words: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        let from = match words.as_slice() {
            ["api", ..] => 2,
            _ => 3,
        };
        let words = match &words[from..] {
            ["namespaces", _, rest @ ..] | rest => rest,
        };
        let collection = words[0];
        if collection == "tokenreviews" {
            return self.review(&serde_json::from_slice(&body).unwrap_or_default());
        }
        if self.is_forbidden(words) {
            return error(403, "Forbidden", "", 0);
        }
        if head.method == Method::GET {
            return match words.get(1) {
                Some(name) => self.read(collection, name),
                // As a server that knows no streaming lists.
                None if query.contains("sendInitialEvents") => error(422, "Invalid", "", 0),
                None if query.contains("watch=true") || query.contains("watch=1") => {
                    self.watch(collection, &query)
                }
                None => self.list(collection, &query).await,
            };
        }
        if let Some(refusal) = self.refusal(collection) {
            return refusal;
        }
        let manager = query.split('&').find_map(|word| word.strip_prefix("fieldManager="));
        let manager =
            manager.filter(|name| *name == SEED).map_or(String::new(), |m| format!(" {m}"));
        let write = format!("{} {}{manager}", head.method, words.join("/"));
        self.state.lock().unwrap().writes.push(write);
        let object: Value = serde_json::from_slice(&body).unwrap_or_default();
        if self.is_denied(words, &object) {
            return error(400, "BadRequest", "admission webhook \"policy\" denied the request", 0);
        }
        match (head.method, words.get(1)) {
            (Method::POST, _) => self.create(collection, &object),
            (Method::PUT, Some(name)) => self.replace(collection, name, &object),
            (Method::DELETE, Some(name)) => match self.remove(collection, name) {
                Some(object) => reply(200, &object),
                None => error(404, "NotFound", "", 0),
            },
            (_, Some(name)) if is_merge(&head.headers) => self.merge(collection, name, &object),
            (_, Some(name)) => self.apply(collection, name, words.get(2).is_some(), &object),
            (_, None) => error(405, "MethodNotAllowed", "", 0),
        }
    }

    fn refusal(&self, collection: &str) -> Option<Answer> {
        let mut state = self.state.lock().unwrap();
        let fault = state.fault.clone().filter(|_| collection == "nodeprobes")?;
        state.refused += 1;
        Some(error(fault.code, "Fault", fault.message, fault.retry_after))
    }

    fn read(&self, collection: &str, name: &str) -> Answer {
        match self.get(collection, name) {
            Value::Null => error(404, "NotFound", "", 0),
            object => reply(200, &object),
        }
    }

    async fn list(&self, collection: &str, query: &str) -> Answer {
        let named = query.split('&').find_map(|word| {
            word.strip_prefix("fieldSelector=metadata.name%3D").map(str::to_owned)
        });
        loop {
            let changed = self.changed.notified();
            if self.state.lock().unwrap().hidden != Some(collection) {
                break;
            }
            changed.await;
        }
        let state = self.state.lock().unwrap();
        let items: Vec<&Value> = state
            .objects
            .iter()
            .filter(|((have, name), _)| {
                have == collection && named.as_ref().is_none_or(|named| named == name)
            })
            .map(|(_, o)| o)
            .collect();
        reply(
            200,
            &json!({"metadata": {"resourceVersion": state.version.to_string()}, "items": items}),
        )
    }

    fn watch(&self, collection: &str, query: &str) -> Answer {
        let since = query.split('&').find_map(|word| word.strip_prefix("resourceVersion="));
        let since: i64 = since.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (fake, collection) = (self.clone(), collection.to_owned());
        let lines = stream::unfold(0, move |at| {
            let (fake, collection) = (fake.clone(), collection.clone());
            async move {
                let (line, at) = fake.next_line(&collection, since, at).await;
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), at))
            }
        });
        Response::new(BodyExt::boxed_unsync(StreamBody::new(lines)))
    }

    async fn next_line(&self, collection: &str, since: i64, mut at: usize) -> (String, usize) {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state.lock().unwrap();
                while let Some((have, event)) = state.log.get(at) {
                    at += 1;
                    let version = event["object"]["metadata"]["resourceVersion"].as_str().unwrap();
                    if have == collection && version.parse::<i64>().unwrap() > since {
                        return (format!("{event}\n"), at);
                    }
                }
            }
            changed.await;
        }
    }

    fn create(&self, collection: &str, object: &Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        if !self.get(collection, &name).is_null() {
            return error(409, "AlreadyExists", "", 0);
        }
        self.put(collection, &name, |new| new["spec"] = object["spec"].clone());
        reply(201, &self.get(collection, &name))
    }

    fn replace(&self, collection: &str, name: &str, object: &Value) -> Answer {
        let old = self.get(collection, name);
        if old["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return error(409, "Conflict", "", 0);
        }
        self.put(collection, name, |new| new["spec"] = object["spec"].clone());
        reply(200, &self.get(collection, name))
    }

    /// Merges into the status or the data, if no one wrote meanwhile.
    fn merge(&self, collection: &str, name: &str, object: &Value) -> Answer {
        let old = self.get(collection, name);
        let version = &object["metadata"]["resourceVersion"];
        if !version.is_null() && old["metadata"]["resourceVersion"] != *version {
            return error(409, "Conflict", "", 0);
        }
        self.put(collection, name, |new| {
            for part in ["status", "data"] {
                for (key, value) in object[part].as_object().into_iter().flatten() {
                    new[part][key] = value.clone();
                }
            }
        });
        reply(200, &self.get(collection, name))
    }

    fn apply(&self, collection: &str, name: &str, status: bool, object: &Value) -> Answer {
        if status && self.get(collection, name).is_null() {
            return error(404, "NotFound", "", 0);
        }
        self.put(collection, name, |new| {
            if status {
                new["status"] = object["status"].clone();
            } else {
                new["spec"] = object["spec"].clone();
                new["metadata"]["labels"] = object["metadata"]["labels"].clone();
                new["metadata"]["ownerReferences"] = object["metadata"]["ownerReferences"].clone();
            }
        });
        let answer = reply(200, &self.get(collection, name));
        if collection == "nodeprobes" && self.state.lock().unwrap().applying {
            self.report(name, GOOD, "1m");
        }
        answer
    }
}

fn is_merge(headers: &hyper::HeaderMap) -> bool {
    let kind = headers.get(hyper::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.contains("merge-patch"))
}

/// What an agent says that works.
pub const GOOD: &[(&str, &str, &str)] = &[
    ("Ready", "True", "Reporting"),
    ("ConfigApplied", "True", "Applied"),
    ("WithinBudget", "True", "Within"),
];

fn reply(code: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string()));
    Response::builder().status(code).body(BodyExt::boxed_unsync(body)).unwrap()
}

fn error(code: u16, reason: &str, message: &str, retry_after: u32) -> Answer {
    reply(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": message, "details": {"retryAfterSeconds": retry_after}}),
    )
}
