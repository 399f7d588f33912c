//! Who may read, and how much: a bearer token that the API server knows and allows, or one of a file.
//!
//! In: the head of a request and its path. Out: what they may see, or the answer that says why not and what to do
//! about it. Who may not see the whole node may see the namespaces that the query names and whose pods they may get. It must not keep or log a token: what is remembered is a hash of it, with a key of this process.
//!
//! I/O: asks the API server, through [`Reviewer`]; reads the clock; the file of tokens.

mod awake;
mod cache;
mod ledger;
mod loopback;
mod reader;
mod secret;
mod token_file;

use super::cost::{Admission, Admit, Cost};
use super::route::{Answer, later, refuse, seconds};
use crate::kube::{NoVerdict, Reviewer, Right, Verdict};
use crate::serve::metrics::http::Counters;
use crate::serve::sight::Sight;
use cache::Key;
pub use cache::Terms;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use ledger::{Ledger, Next};
pub(crate) use loopback::Peer;
pub(crate) use loopback::network_is_a_pods_own;
pub(super) use reader::Asked;
use secret::Secret;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
pub use token_file::{Error as TokenFileError, LOOK as TOKEN_FILE_LOOK, TokenFile};
use tokio::sync::watch as channel;
use tokio::time::Instant;
use tracing::warn;

/// The API server's proxy removes `Authorization`, and leaves this.
const OWN_HEADER: HeaderName = HeaderName::from_static("x-probelet-authorization");
/// Longest token: one with many claims has some 2 KiB.
const MAX_TOKEN: usize = 8 << 10;
/// CPU time of a review, to ask the budget for: two small requests on a connection that may have to be made.
const REVIEW: Duration = Duration::from_micros(500);
/// How long the API server may take, new connection and all: less than a scrape waits, and much less where the answer
/// can be done without.
const PATIENCE: Duration = Duration::from_secs(6);
const LITTLE_PATIENCE: Duration = Duration::from_secs(1);
/// A thread that slept for more than such a part of the time did not wait for the answer: no one was served.
const SLEPT: u32 = 4;
/// An outage is said once in so long.
const WARN: Duration = Duration::from_mins(1);

/// There is no random number to make a key from.
#[derive(Debug, thiserror::Error)]
#[error("the kernel gives no random numbers")]
pub struct Error;

/// Who decides.
#[expect(clippy::large_enum_variant, reason = "there is one in an agent")]
pub enum Guard {
    /// The API server.
    Reviews(Auth),
    /// A file of tokens, which are asked for from everywhere, loopback too.
    Tokens(TokenFile),
}

impl From<Auth> for Guard {
    fn from(auth: Auth) -> Self {
        Self::Reviews(auth)
    }
}

impl Guard {
    /// Whether a token is asked for, of this peer.
    pub(super) const fn is_for(&self, peer: Peer) -> bool {
        match self {
            Self::Reviews(auth) => auth.is_for(peer),
            Self::Tokens(_) => true,
        }
    }

    /// What may be seen of what is asked for, or why nothing.
    pub(super) async fn sight(
        &self,
        http: &Counters,
        admit: &Admit,
        headers: &HeaderMap,
        asked: Asked<'_>,
        peer: Peer,
    ) -> Result<Sight, Answer> {
        match self {
            Self::Reviews(auth) if !auth.is_for(peer) => Ok(Sight::All),
            Self::Reviews(auth) => {
                let token = token(headers).ok_or_else(no_token)?;
                auth.sight(http, admit, token, asked, peer).await
            }
            Self::Tokens(tokens) => match token(headers) {
                None => Err(no_token()),
                Some(token) if tokens.holds(token) => Ok(Sight::All),
                Some(_) => Err(bad_token("this token is not in the file of --token-file")),
            },
        }
    }
}

/// Asks the API server.
pub struct Auth {
    reviewer: Reviewer,
    loopback: bool,
    secret: Secret,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    /// Reviews under way, of which each has a connection; who follows waits for the sender to be dropped.
    flights: BTreeMap<Key, channel::Receiver<()>>,
    warned: Option<Instant>,
}

/// Whose turn it is to ask.
enum Turn<'a> {
    Done(Next),
    Follow(channel::Receiver<()>),
    Lead(Flight<'a>),
}

/// A review under way, for as long as this lives: a client that leaves takes it along, and who waited asks.
struct Flight<'a> {
    auth: &'a Auth,
    key: Key,
    _asking: channel::Sender<()>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.auth.state().flights.remove(&self.key);
    }
}

impl Auth {
    /// A listener that asks `reviewer`, and lets anyone who comes through loopback pass if set so: see
    /// `network_is_a_pods_own`.
    pub fn new(reviewer: Reviewer, terms: Terms, loopback: bool) -> Result<Self, Error> {
        let secret = Secret::new()?;
        let state = State { ledger: Ledger::new(terms), flights: BTreeMap::new(), warned: None };
        let (began, state) = (Instant::now(), Mutex::new(state));
        Ok(Self { reviewer, loopback, secret, began, state })
    }

    const fn is_for(&self, peer: Peer) -> bool {
        !(self.loopback && peer.loopback)
    }

    /// Whether the holder of a token has a right, or why that cannot be said now.
    async fn verdict(
        &self,
        http: &Counters,
        admit: &Admit,
        token: &str,
        right: Right<'_>,
        peer: Peer,
    ) -> Result<Verdict, Answer> {
        let key = self.key(token, right);
        loop {
            match self.turn(&key, peer) {
                Turn::Done(Next::Known(verdict)) => return Ok(verdict),
                Turn::Done(Next::Limited(wait)) => {
                    http.review("limited");
                    return Err(limited(wait));
                }
                Turn::Done(Next::Away(wait)) => return Err(away(wait)),
                Turn::Done(Next::Ask) => {}
                // It ends with the review, and what came of it is in the ledger.
                Turn::Follow(mut flight) => while flight.changed().await.is_ok() {},
                Turn::Lead(_flight) => return self.review(http, admit, token, key, right).await,
            }
        }
    }

    fn turn(&self, key: &Key, peer: Peer) -> Turn<'_> {
        let now = self.now();
        let mut state = self.state();
        if let Some(verdict) = state.ledger.fresh(key, now) {
            return Turn::Done(Next::Known(verdict));
        }
        if let Some(flight) = state.flights.get(key) {
            return Turn::Follow(flight.clone());
        }
        match state.ledger.next(key, peer.ip, now) {
            Next::Ask => {
                let (asking, seen) = channel::channel(());
                state.flights.insert(*key, seen);
                Turn::Lead(Flight { auth: self, key: *key, _asking: asking })
            }
            next => Turn::Done(next),
        }
    }

    async fn review(
        &self,
        http: &Counters,
        admit: &Admit,
        token: &str,
        key: Key,
        right: Right<'_>,
    ) -> Result<Verdict, Answer> {
        // Anyone who was good is asked about whatever the budget says: few they are, and else a reader who keeps the agent
        // busy would never be asked about again.
        let renewal = self.holds(&key);
        if !renewal && let Admission::RetryAfter(wait) = admit(Cost::Cpu(REVIEW)) {
            http.review("budget");
            return Err(over_budget(wait));
        }
        let patience = if renewal { LITTLE_PATIENCE } else { PATIENCE };
        let (answer, slept) = awake::timed(self.reviewer.review(token, right, patience)).await;
        match answer {
            Ok(verdict) => {
                http.review(match verdict {
                    Verdict::Allowed => "allowed",
                    Verdict::Unknown => "unauthenticated",
                    Verdict::Forbidden { .. } => "forbidden",
                });
                self.state().ledger.learn(key, verdict.clone(), self.now());
                Ok(verdict)
            }
            // This thread slept, as the share was used up: that says nothing of the API server.
            Err(_) if slept * SLEPT > patience => {
                http.review("budget");
                let waits = self.state().ledger.bears_waiting(&key, self.now());
                if waits { Ok(Verdict::Allowed) } else { Err(over_budget(Duration::from_secs(1))) }
            }
            Err(error) => {
                http.review("failed");
                let wait = self.failed(&error);
                if self.holds(&key) { Ok(Verdict::Allowed) } else { Err(away(wait)) }
            }
        }
    }

    fn failed(&self, error: &NoVerdict) -> Duration {
        let mut state = self.state();
        if state.warned.is_none_or(|warned| warned.elapsed() >= WARN) {
            state.warned = Some(Instant::now());
            warn!(%error, "token reviews fail; tokens accepted before stay valid for an hour");
        }
        state.ledger.fail(error.retry_after, self.now())
    }

    fn holds(&self, key: &Key) -> bool {
        self.state().ledger.holds(key, self.now())
    }

    fn key(&self, token: &str, right: Right<'_>) -> Key {
        let (kind, what) = match right {
            Right::Node { part, .. } => ("node", part),
            Right::Pods { namespace } => ("pods", namespace),
        };
        // Neither a right nor a token has the byte between them, so that no two give the same text.
        self.secret.hash(&[kind.as_bytes(), &[0], what.as_bytes(), &[0], token.as_bytes()])
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token of a request, if it can be one: what cannot is not worth a question.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(OWN_HEADER).or_else(|| headers.get(AUTHORIZATION))?.to_str().ok()?;
    let (scheme, token) = text.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}

/// Whether a text can be a token: RFC 6750, and the colons that some issuers add.
fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:".contains(&b);
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(fits)
}

/// The answer to who shows a token that is not accepted.
fn bad_token(message: &str) -> Answer {
    unauthorized("Bearer realm=\"probelet-agent\", error=\"invalid_token\"", message)
}

/// The answer to who shows no token.
pub(crate) fn no_token() -> Answer {
    unauthorized(
        "Bearer realm=\"probelet-agent\"",
        "a token is needed: send Authorization: Bearer TOKEN, or X-Probelet-Authorization: Bearer TOKEN through the \
         API server's proxy, which removes the other",
    )
}

fn unauthorized(challenge: &'static str, message: &str) -> Answer {
    let mut answer = refuse(StatusCode::UNAUTHORIZED, message);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

fn limited(wait: Duration) -> Answer {
    let message = format!("too many unauthenticated requests; try again in {} s", seconds(wait));
    later(StatusCode::TOO_MANY_REQUESTS, &message, wait)
}

fn away(wait: Duration) -> Answer {
    let message = format!(
        "the API server cannot be asked about this token; try again in {} s",
        seconds(wait)
    );
    later(StatusCode::SERVICE_UNAVAILABLE, &message, wait)
}

fn over_budget(wait: Duration) -> Answer {
    let message = format!(
        "the CPU budget is used up, so this token cannot be checked; try again in {} s",
        seconds(wait)
    );
    later(StatusCode::SERVICE_UNAVAILABLE, &message, wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn our_own_header_wins_over_the_usual_one() {
        let both = [("authorization", "Bearer one"), ("x-probelet-authorization", "bearer two")];

        assert_eq!(token(&headers(&both)), Some("two"));
        assert_eq!(token(&headers(&both[..1])), Some("one"));
    }

    #[test]
    fn what_cannot_be_a_token_is_none() {
        let long = format!("Bearer {}", "x".repeat(MAX_TOKEN + 1));
        for value in ["Basic abc", "Bearer", "Bearer ", "Bearer a b", "Bearer a\"b", &long] {
            assert_eq!(token(&headers(&[("authorization", value)])), None, "{value}");
        }
        assert_eq!(token(&HeaderMap::new()), None);
    }
}
