//! What went wrong, and what to do next.
//!
//! In: what was asked and the answer. Out: a message for what happened and one for the next step. It must not print.
//! Pure: values only.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;

use super::Right;
use crate::seen::clean;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig is of no use.
    #[error("the kubeconfig cannot be used: {why}")]
    Kubeconfig {
        /// What is wrong with it.
        why: String,
    },
    /// What the kubeconfig says of who asks is of no use.
    #[error("{why}")]
    Credentials {
        /// What is wrong with it.
        why: String,
    },
    /// A proxy is named that cannot be used.
    #[error("{why}")]
    Proxy {
        /// Which, and why not.
        why: String,
    },
    /// A path or header that is none: a name with odd letters.
    #[error("{path} cannot be asked for: {why}")]
    Request {
        /// What was asked.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No one answers.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What happened.
        why: String,
    },
    /// Who asks may not.
    #[error("not allowed to {right}: {message}")]
    Forbidden {
        /// What is missing.
        right: Right,
        /// The words of who refuses.
        message: String,
        /// Who refuses.
        by: By,
    },
    /// No one knows who asks.
    #[error("not authenticated (401): {message}")]
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// It is not there.
    #[error("not found: {what}")]
    Missing {
        /// What.
        what: String,
        /// The definitions are missing, not an object.
        definition: bool,
    },
    /// The answer is a refusal of another kind.
    #[error("{path} was answered with {code}: {message}")]
    Refused {
        /// What was asked.
        path: String,
        /// The status.
        code: u16,
        /// The server's words.
        message: String,
        /// Who refuses.
        by: By,
    },
    /// The API server says that there is no way from it to the agent of a node.
    #[error("the API server cannot reach the agent of {node} (port {port}): {message}")]
    Cut {
        /// The node.
        node: String,
        /// Where its agent serves.
        port: String,
        /// The API server's words.
        message: String,
    },
    /// What is asked through the API server does not answer in time: it may be no fault of the API server.
    #[error("{path} was not answered through the API server in {patience:?}")]
    Late {
        /// What was asked.
        path: String,
        /// How long it had.
        patience: Duration,
    },
    /// It is no Kubernetes API server that answers.
    #[error("what answers at {server} is not a Kubernetes API server ({answer}, for {path})")]
    Foreign {
        /// The address.
        server: String,
        /// What was asked.
        path: String,
        /// The status.
        code: u16,
        /// The answer in a few words.
        answer: String,
    },
    /// The answer makes no sense.
    #[error("the response to {path} cannot be parsed: {why}")]
    Unreadable {
        /// What was asked.
        path: String,
        /// What is odd about it.
        why: String,
    },
    /// The agent of a node does not answer.
    #[error("the agent of {node} does not answer: {why}")]
    Agent {
        /// The node.
        node: String,
        /// Why.
        why: String,
        /// What to do.
        next: String,
        /// It does answer, and its budget is used up just now.
        busy: bool,
        /// Whether it says that the reader may not see what was asked for.
        refused: bool,
    },
    /// probelet is not there, or not to be seen.
    #[error("{what}")]
    Absent {
        /// What is not there.
        what: String,
        /// What to do.
        next: String,
    },
    /// What was typed makes no sense in this cluster.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What would be right.
        next: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        why: String,
    },
}

/// Who refuses something, by the form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The API server, by an object of its own.
    Server,
    /// An agent behind it.
    Agent,
    /// Somebody with bare text: the API server does so where it has too many requests, and so do proxies before it.
    Unnamed,
}

/// `metav1.Status` of the API server, or `error` of an agent.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    kind: String,
    message: String,
    details: Details,
    error: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    name: String,
}

impl Error {
    /// What a refusal means.
    #[must_use]
    pub fn refused(method: &Method, path: &str, code: u16, body: &[u8]) -> Self {
        let failure: Failure = clean::read(body).unwrap_or_default();
        let by = if failure.kind == "Status" {
            By::Server
        } else if failure.error.is_empty() {
            By::Unnamed
        } else {
            By::Agent
        };
        // A path that leads to no kind of object is answered with bare text, or with a status that names no object.
        let ours = by == By::Server || path.starts_with("/apis/probelet.io/");
        let definition = ours && failure.details.name.is_empty() && failure.error.is_empty();
        let said = [failure.message, failure.error].into_iter().find(|text| !text.is_empty());
        let message = said.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body);
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            clean::text(&words).chars().take(300).collect()
        });
        match code {
            401 => Self::Unauthorized { message },
            403 => Self::Forbidden { right: Right::of(method, path), message, by },
            404 => Self::Missing {
                definition,
                what: if message.is_empty() { path.to_owned() } else { message },
            },
            _ => Self::Refused { path: path.to_owned(), code, message, by },
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        Some(match self {
            Self::Kubeconfig { .. } => {
                "name one with --kubeconfig FILE or KUBECONFIG, and see: kubectl config get-contexts"
                    .to_owned()
            }
            Self::Credentials { .. } => {
                "check whether kubectl gets in: kubectl auth whoami; another context: --context NAME".to_owned()
            }
            Self::Proxy { .. } => {
                "name an http://, https:// or socks5:// proxy, or add the API server's host to NO_PROXY to ask it directly".to_owned()
            }
            Self::Unreachable { .. } => {
                "check whether kubectl reaches it: kubectl version; another cluster: --context NAME".to_owned()
            }
            Self::Forbidden { right, .. } => format!(
                "ask a cluster administrator for this right; to check it: {}",
                right.check()
            ),
            Self::Unauthorized { .. } => {
                "check your kubeconfig credentials; your current identity: kubectl auth whoami".to_owned()
            }
            Self::Missing { definition: true, .. } => {
                "probelet is not installed in this cluster, or its definitions are missing: helm list -A; another cluster: --context NAME"
                    .to_owned()
            }
            Self::Agent { next, .. } | Self::Absent { next, .. } | Self::Usage { next, .. } => {
                next.clone()
            }
            Self::Cut { .. } => {
                "open that port from the control plane to the nodes (firewall, security group, konnectivity)".to_owned()
            }
            Self::Foreign { code, .. } => {
                let away = "; a load balancer answers so while the API server is away: then try again in a few seconds";
                format!(
                    "check the server's address and path in the kubeconfig, or log in again; kubectl version{}",
                    if matches!(code, 502..=504) { away } else { "" }
                )
            }
            Self::Late { .. } => "allow it more time: --timeout TIME".to_owned(),
            Self::Refused { code: 429 | 503 | 504, .. } => "try again in a few seconds".to_owned(),
            Self::Refused { code: 409, .. } => {
                "it was changed by another client meanwhile: review it, and try again".to_owned()
            }
            Self::Missing { .. }
            | Self::Request { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::File { .. } => return None,
        })
    }

    /// 2 for what was typed wrongly, 1 for the rest.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Request { .. } => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_right_that_is_missing_and_how_to_check() {
        let body =
            br#"{"kind":"Status","message":"pods is forbidden: User \"eve\" cannot","code":403}"#;
        let error = Error::refused(&Method::GET, "/api/v1/namespaces/a/pods", 403, body);

        assert!(error.to_string().starts_with("not allowed to list pods in the namespace a: "));
        assert!(error.next().unwrap().ends_with("kubectl auth can-i list pods -n a"));
    }

    #[test]
    fn a_cluster_without_probelet_is_distinguished_from_a_node_without_one() {
        let path = "/apis/probelet.io/v1alpha1/nodeprobes";
        let none = Error::refused(&Method::GET, path, 404, b"404 page not found\n");
        let gone = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
            "message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}"#;
        let gone = Error::refused(&Method::GET, path, 404, gone);
        let one = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
            "message":"nodeprobes.probelet.io \"n9\" not found","reason":"NotFound",
            "details":{"name":"n9","group":"probelet.io","kind":"nodeprobes"},"code":404}"#;
        let one = Error::refused(&Method::GET, path, 404, one);

        assert!(none.next().unwrap().contains("not installed"));
        assert!(gone.next().unwrap().contains("not installed"));
        assert_eq!(
            (one.to_string().as_str(), one.next()),
            ("not found: nodeprobes.probelet.io \"n9\" not found", None)
        );
    }

    #[test]
    fn an_agents_refusal_is_distinguished_from_the_servers_by_its_form_and_not_by_its_words() {
        let by = |body: &[u8]| match Error::refused(&Method::GET, "/x", 403, body) {
            Error::Forbidden { by, .. } => by,
            other => panic!("{other:?}"),
        };

        assert_eq!(by(br#"{"kind":"Status","message":"no","code":403}"#), By::Server);
        assert_eq!(by(br#"{"error":"eve may not get pods/proxy"}"#), By::Agent);
        assert_eq!(by(b"access denied by policy"), By::Unnamed);
    }

    #[test]
    fn an_agent_that_has_no_such_path_does_not_mean_that_probelet_is_missing() {
        let body = br#"{"error":"there is no /v2: there are /metrics"}"#;

        assert_eq!(Error::refused(&Method::GET, "/v2", 404, body).next(), None);
    }

    #[test]
    fn an_agents_own_words_are_kept() {
        let error = Error::refused(&Method::GET, "/x", 429, br#"{"error":"too many tokens"}"#);

        assert_eq!(error.to_string(), "/x was answered with 429: too many tokens");
    }
}
