//! Asks the API server who holds a token and whether they may read a path of this agent.
//!
//! In: a token and a path. Out: a verdict, or why there is none. It must not remember anything, least of all the token:
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
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessSpec<'a> {
    #[serde(flatten)]
    user: &'a User,
    non_resource_attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    path: &'a str,
    verb: &'a str,
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
}

impl Reviewer {
    /// Asks this API server, as whom we are there; connects when first asked.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self { connection: Connection::new(access, RENEW, Duration::ZERO) }
    }

    /// Whether the holder of `token` may `get` the path; the patience is for all that takes.
    pub async fn review(
        &self,
        token: &str,
        path: &str,
        patience: Duration,
    ) -> Result<Verdict, NoVerdict> {
        match timeout(patience, self.ask(token, path)).await {
            Ok(verdict) => verdict,
            Err(_) => Err(Error::Silent(patience).into()),
        }
    }

    async fn ask(&self, token: &str, path: &str) -> Result<Verdict, NoVerdict> {
        let question = Question {
            api_version: "authentication.k8s.io/v1",
            kind: "TokenReview",
            spec: TokenSpec { token },
        };
        let holder: TokenStatus = self.post(TOKENS, &question).await?;
        if !holder.authenticated {
            if !holder.error.is_empty() {
                tracing::debug!(error = holder.error, "a token was not accepted");
            }
            return Ok(Verdict::Unknown);
        }
        let question = Question {
            api_version: "authorization.k8s.io/v1",
            kind: "SubjectAccessReview",
            spec: AccessSpec {
                user: &holder.user,
                non_resource_attributes: Attributes { path, verb: "get" },
            },
        };
        let access: AccessStatus = self.post(ACCESSES, &question).await?;
        if access.allowed && !access.denied {
            return Ok(Verdict::Allowed);
        }
        let user: String = holder.user.name.chars().take(MAX_SHOWN).collect();
        Ok(Verdict::Forbidden { user: user.into() })
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
            non_resource_attributes: Attributes { path: "/metrics", verb: "get" },
        };

        let expected = serde_json::json!({
            "user": "alice", "uid": "7", "groups": ["a", "b"], "extra": {"k/x": ["v"]},
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        });
        assert_eq!(serde_json::to_value(spec).unwrap(), expected);
    }
}
