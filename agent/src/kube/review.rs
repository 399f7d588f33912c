//! Asks the API server who holds a token and whether they have a right.
//!
//! In: a token and a right. Out: a verdict, or why there is none. It must not remember anything, least of all the token:
//! that is for who asks.
//!
//! A connection of its own rather than that of the watches: those read late on purpose, and a person waits here. It is
//! closed when no one asked for half a minute.
//!
//! I/O: the network.

use super::connection::{Access, Connection, Error, chunk};
use hyper::Method;
use kube::client::Body;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESSES: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// No caller is more patient for one question.
const PATIENCE: Duration = Duration::from_secs(10);
/// Credentials of ours that were refused are read again at most so often.
const RENEW: Duration = Duration::from_secs(5);
/// Of an answer so much is read: a user may be in many groups.
const MAX_ANSWER: usize = 256 << 10;
/// Of a name so much is shown.
const MAX_SHOWN: usize = 253;

/// What the API server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The holder may read.
    Allowed,
    /// It knows no such token, or not any more.
    Unknown,
    /// It knows the holder, who may not.
    Forbidden {
        /// The holder.
        user: Arc<str>,
    },
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoVerdict {
    /// For the log; names no token.
    pub message: String,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl From<Error> for NoVerdict {
    fn from(error: Error) -> Self {
        Self { message: error.chain(), retry_after: error.retry_after() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<S> {
    api_version: &'static str,
    kind: &'static str,
    spec: S,
}

#[derive(Serialize)]
struct TokenSpec<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    audiences: &'a [&'a str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessSpec<'a> {
    #[serde(flatten)]
    user: &'a User,
    resource_attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subresource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

/// What a reader needs a right to. The verb is `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right<'a> {
    /// A part of a node's whole picture: a subresource of its `NodeProbe`.
    Node {
        /// `report`, `metrics` or `profile`.
        part: &'static str,
        /// The node.
        node: &'a str,
    },
    /// What concerns the pods of a namespace, for those who may look at these.
    Pods {
        /// The namespace.
        namespace: &'a str,
    },
}

impl<'a> Right<'a> {
    const fn attributes(self) -> Attributes<'a> {
        let verb = "get";
        match self {
            Self::Node { part, node } => Attributes {
                verb,
                group: "probelet.io",
                resource: "nodeprobes",
                subresource: part,
                namespace: "",
                name: node,
            },
            Self::Pods { namespace } => Attributes {
                verb,
                group: "",
                resource: "pods",
                subresource: "",
                namespace,
                name: "",
            },
        }
    }
}

/// Which tokens are accepted, by whom they were made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The audience of tokens for agents, which are of no use elsewhere.
    pub ours: String,
    /// Whether tokens for the API server itself are accepted as well: an agent that was taken over could use those.
    pub api_server: bool,
}

#[derive(Deserialize)]
struct Answer<T> {
    status: T,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenStatus {
    authenticated: bool,
    user: User,
    /// Those of the asked-for ones that the token is for; empty from a server that knows no audiences.
    audiences: Vec<String>,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AccessStatus {
    allowed: bool,
    denied: bool,
}

/// Named `user` in one question and `username` in the answer to the other.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct User {
    #[serde(rename(serialize = "user", deserialize = "username"))]
    name: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Who asks.
pub struct Reviewer {
    connection: Connection,
    audience: Audience,
}

impl Reviewer {
    /// Asks this API server, as whom we are there; connects when first asked.
    #[must_use]
    pub fn new(access: Access, audience: Audience) -> Self {
        Self { connection: Connection::new(access, RENEW, Duration::ZERO), audience }
    }

    /// The audience of tokens for agents.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience.ours
    }

    /// Whether the holder of `token` has the right; the patience is for all that takes.
    pub async fn review(
        &self,
        token: &str,
        right: Right<'_>,
        patience: Duration,
    ) -> Result<Verdict, NoVerdict> {
        match timeout(patience, self.ask(token, right)).await {
            Ok(verdict) => verdict,
            Err(_) => Err(Error::Silent(patience).into()),
        }
    }

    async fn ask(&self, token: &str, right: Right<'_>) -> Result<Verdict, NoVerdict> {
        let Some(user) = self.holder(token).await? else { return Ok(Verdict::Unknown) };
        let question = Question {
            api_version: "authorization.k8s.io/v1",
            kind: "SubjectAccessReview",
            spec: AccessSpec { user: &user, resource_attributes: right.attributes() },
        };
        let access: AccessStatus = self.post(ACCESSES, &question).await?;
        if access.allowed && !access.denied {
            return Ok(Verdict::Allowed);
        }
        let user: String = user.name.chars().take(MAX_SHOWN).collect();
        Ok(Verdict::Forbidden { user: user.into() })
    }

    /// Who holds a token that is for us, or, where that is allowed, for the API server.
    async fn holder(&self, token: &str) -> Result<Option<User>, NoVerdict> {
        let ours = [self.audience.ours.as_str()];
        // A server that knows no audiences names none: then the token is for the server itself.
        let for_us = |status: &TokenStatus| status.audiences.iter().any(|name| *name == ours[0]);
        if let Some(status) = self.token_status(token, &ours).await?
            && (for_us(&status) || self.audience.api_server)
        {
            return Ok(Some(status.user));
        }
        if !self.audience.api_server {
            return Ok(None);
        }
        Ok(self.token_status(token, &[]).await?.map(|status| status.user))
    }

    /// What the API server says of a token that it accepts for one of these audiences; none is its own.
    async fn token_status(
        &self,
        token: &str,
        audiences: &[&str],
    ) -> Result<Option<TokenStatus>, NoVerdict> {
        let question = Question {
            api_version: "authentication.k8s.io/v1",
            kind: "TokenReview",
            spec: TokenSpec { token, audiences },
        };
        let status: TokenStatus = self.post(TOKENS, &question).await?;
        if !status.authenticated && !status.error.is_empty() {
            tracing::debug!(error = status.error, "a token was not accepted");
        }
        Ok(status.authenticated.then_some(status))
    }

    async fn post<T: for<'a> Deserialize<'a>>(
        &self,
        url: &str,
        question: &impl Serialize,
    ) -> Result<T, NoVerdict> {
        let strange = |what: &str| NoVerdict {
            message: format!("the answer of {url} {what}"),
            retry_after: None,
        };
        let text = serde_json::to_vec(question).map_err(|_| strange("cannot be asked for"))?;
        let answer =
            self.connection.send(Method::POST, url, text, "application/json", PATIENCE).await?;
        let text = whole(answer.into_body()).await?.ok_or_else(|| strange("is too long"))?;
        let answer: Answer<T> =
            serde_json::from_slice(&text).map_err(|_| strange("is not what it should be"))?;
        Ok(answer.status)
    }
}

/// Answers of any kind, for the fuzzer.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(text: &[u8]) {
    drop(serde_json::from_slice::<Answer<TokenStatus>>(text));
    drop(serde_json::from_slice::<Answer<AccessStatus>>(text));
}

/// A body; `None` if it is too long.
async fn whole(mut body: Body) -> Result<Option<Vec<u8>>, Error> {
    let mut text = Vec::new();
    while let Some(piece) = chunk(&mut body, PATIENCE).await? {
        if text.len() + piece.len() > MAX_ANSWER {
            return Ok(None);
        }
        text.extend_from_slice(&piece);
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_server_said_of_a_user_is_given_back() {
        let text = br#"{"status": {"authenticated": true, "user": {"username": "alice", "uid": "7",
            "groups": ["a", "b"], "extra": {"k/x": ["v"]}}, "audiences": ["x"]}}"#;
        let answer: Answer<TokenStatus> = serde_json::from_slice(text).unwrap();

        let spec = AccessSpec {
            user: &answer.status.user,
            resource_attributes: Right::Node { part: "metrics", node: "node-1" }.attributes(),
        };

        let expected = serde_json::json!({
            "user": "alice", "uid": "7", "groups": ["a", "b"], "extra": {"k/x": ["v"]},
            "resourceAttributes": {"verb": "get", "group": "probelet.io", "resource": "nodeprobes",
                "subresource": "metrics", "name": "node-1"},
        });
        assert_eq!(serde_json::to_value(spec).unwrap(), expected);
    }
}
