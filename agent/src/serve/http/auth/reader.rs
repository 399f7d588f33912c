//! From rights to what is seen: the whole node, or the namespaces that a reader names.
//!
//! In: a token, a path and its query. Out: a [`Sight`], or the refusal that says which right is missing. The whole comes
//! first: who may see it is asked about nothing else. It must not ask about a namespace that the reader did not name, or
//! about more of them than a request may name.
//!
//! I/O: asks the API server, through [`Auth`].

use super::{Answer, Auth, Peer, bad_token, refuse};
use crate::kube::{Right, Verdict};
use crate::serve::http::cost::Admit;
use crate::serve::http::route::bad;
use crate::serve::metrics::http::Counters;
use crate::serve::report::query::namespaces;
use crate::serve::sight::Sight;
use hyper::StatusCode;

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The subresource of the node's `NodeProbe` that stands for the whole of it.
    pub(crate) part: &'static str,
    /// The node.
    pub(crate) node: &'a str,
    /// Where it can be had for some namespaces only, the query that names them.
    pub(crate) query: Option<&'a str>,
}

impl Auth {
    pub(super) async fn sight(
        &self,
        http: &Counters,
        admit: &Admit,
        token: &str,
        asked: Asked<'_>,
        peer: Peer,
    ) -> Result<Sight, Answer> {
        let whole = Right::Node { part: asked.part, node: asked.node };
        let first = self.verdict(http, admit, token, whole, peer).await;
        if let Ok(Verdict::Allowed) = first {
            return Ok(Sight::All);
        }
        let wanted = asked.query.map_or(Ok(Vec::new()), namespaces).map_err(|error| bad(&error))?;
        let held = |name: &String| self.holds(&self.key(token, Right::Pods { namespace: name }));
        let user = match first {
            Ok(Verdict::Forbidden { user }) => user,
            Ok(_) => return Err(self.unknown()),
            // Who was good for a namespace stays so while it cannot be said whether they may see more.
            Err(refusal) if wanted.is_empty() || !wanted.iter().all(held) => return Err(refusal),
            Err(_) => "the reader".into(),
        };
        if wanted.is_empty() {
            return Err(forbidden(&user, &asked));
        }
        for namespace in &wanted {
            match self.verdict(http, admit, token, Right::Pods { namespace }, peer).await? {
                Verdict::Allowed => {}
                Verdict::Unknown => return Err(self.unknown()),
                Verdict::Forbidden { user } => return Err(foreign(&user, namespace)),
            }
        }
        Ok(Sight::Namespaces(wanted.into_iter().map(Into::into).collect()))
    }

    fn unknown(&self) -> Answer {
        bad_token(&format!(
            "the API server does not accept this token for the audience {0}; it may have expired, or be for another \
             audience: kubectl create token NAME --audience {0}",
            self.reviewer.audience()
        ))
    }
}

fn forbidden(user: &str, asked: &Asked<'_>) -> Answer {
    let part = asked.part;
    let narrower = match asked.query {
        Some(_) => "; for the pods of a namespace, which they may get, add ?namespace=NAME",
        None => "",
    };
    let message = format!(
        "{user} may not get nodeprobes/{part} of the group probelet.io: bind them to a ClusterRole that allows it{narrower}"
    );
    refuse(StatusCode::FORBIDDEN, &message)
}

fn foreign(user: &str, namespace: &str) -> Answer {
    let message = format!(
        "{user} may get neither the whole of this node nor the pods of the namespace {namespace}: check with kubectl auth \
         can-i get pods -n {namespace}"
    );
    refuse(StatusCode::FORBIDDEN, &message)
}
