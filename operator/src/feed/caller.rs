//! Who asks: an agent, and which node it is on.
//!
//! In: the token that is shown. Out: the node that it is bound to, or why nothing is handed out. The API server is asked
//! (TokenReview), and what it said is remembered for a while by a keyed hash of the token. It must not remember a token, take
//! one that was made for anyone else, or let strangers have the API server asked without end.
//!
//! I/O: the network; random numbers, once.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use ring::{hmac, rand::SystemRandom};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::refusal::Refusal;
use probelet_core::hash::HashMap;
use probelet_runtime::chain;

/// How long the API server's word counts: an agent's token is good for ten minutes, and an agent asks every few seconds.
const GOOD: Duration = Duration::from_mins(5);
const BAD: Duration = Duration::from_mins(1);
/// Agents that are remembered: more than there are nodes; and tokens that were refused.
const AGENTS: usize = 16_384;
const REFUSED: usize = 4_096;
/// Questions to the API server at a time, and how long one waits for that.
const QUESTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);
/// Tokens without success that a peer may try in a minute. An agent's kubelet renews its token before it ends.
const TRIES: u32 = 10;
const PEERS: usize = 4_096;
/// Longer than any token of the API server.
const MAX_TOKEN: usize = 16 << 10;
/// Where the API server says which node a token is bound to: from Kubernetes 1.30 on.
const NODE: &str = "authentication.kubernetes.io/node-name";

type Key = [u8; 32];
type Remembered<T> = RefCell<HashMap<Key, (T, Instant)>>;

/// What agents are recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agents {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// Whom their tokens for the feed are made for.
    pub audience: String,
}

pub(super) struct Callers {
    reviews: Api<TokenReview>,
    agents: Agents,
    secret: hmac::Key,
    good: Remembered<Arc<str>>,
    bad: Remembered<Refusal>,
    tries: RefCell<HashMap<IpAddr, (u32, Instant)>>,
    questions: Semaphore,
}

impl Callers {
    pub(super) fn new(client: Client, agents: Agents) -> Result<Self, ring::error::Unspecified> {
        Ok(Self {
            reviews: Api::all(client),
            agents,
            secret: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            good: RefCell::default(),
            bad: RefCell::default(),
            tries: RefCell::default(),
            questions: Semaphore::new(QUESTIONS),
        })
    }

    /// The node of who shows this token.
    pub(super) async fn node(
        &self,
        token: Option<&str>,
        peer: IpAddr,
    ) -> Result<Arc<str>, Refusal> {
        let token = token.filter(|token| !token.is_empty()).ok_or(Refusal::NoToken)?;
        if token.len() > MAX_TOKEN {
            return Err(Refusal::Unknown);
        }
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&self.secret, token.as_bytes()).as_ref());
        if let Some(node) = recall(&self.good, &key, GOOD) {
            return Ok(node);
        }
        if let Some(refusal) = recall(&self.bad, &key, BAD) {
            return Err(refusal);
        }
        if self.is_tired_of(peer) {
            return Err(Refusal::Tries);
        }
        let verdict = self.review(token).await;
        match &verdict {
            Ok(node) => remember(&self.good, key, Arc::clone(node), AGENTS, GOOD),
            Err(Refusal::Unanswered) => {}
            Err(refusal) => {
                remember(&self.bad, key, *refusal, REFUSED, BAD);
                self.note_try(peer);
            }
        }
        verdict
    }

    async fn review(&self, token: &str) -> Result<Arc<str>, Refusal> {
        let Ok(_turn) = self.questions.acquire().await else { return Err(Refusal::Unanswered) };
        let question = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![self.agents.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let parameters = PostParams::default();
        let answer = timeout(PATIENCE, self.reviews.create(&parameters, &question)).await;
        let status = match answer {
            Ok(Ok(answer)) => answer.status.unwrap_or_default(),
            Ok(Err(error)) => {
                warn!(error = chain(&error), "cannot ask whose token an agent shows");
                return Err(Refusal::Unanswered);
            }
            Err(_) => return Err(Refusal::Unanswered),
        };
        let ours = status.audiences.iter().flatten().any(|name| *name == self.agents.audience);
        if status.authenticated != Some(true) || !ours {
            debug!(error = status.error, "a token was not accepted");
            return Err(Refusal::Unknown);
        }
        let user = status.user.unwrap_or_default();
        if user.username.as_deref() != Some(&*self.agents.user) {
            return Err(Refusal::Account);
        }
        let extra = user.extra.unwrap_or_default();
        let node = extra.get(NODE).and_then(|values| values.first());
        node.filter(|node| !node.is_empty()).map(|node| Arc::from(&**node)).ok_or(Refusal::Node)
    }

    fn is_tired_of(&self, peer: IpAddr) -> bool {
        let tries = self.tries.borrow();
        tries.get(&peer).is_some_and(|(tries, since)| *tries >= TRIES && since.elapsed() < BAD)
    }

    fn note_try(&self, peer: IpAddr) {
        let mut tries = self.tries.borrow_mut();
        if tries.len() >= PEERS {
            tries.retain(|_, (_, since)| since.elapsed() < BAD);
            if tries.len() >= PEERS {
                tries.clear();
            }
        }
        let entry = tries.entry(peer).or_insert_with(|| (0, Instant::now()));
        if entry.1.elapsed() >= BAD {
            *entry = (0, Instant::now());
        }
        entry.0 += 1;
    }
}

fn recall<T: Clone>(of: &Remembered<T>, key: &Key, life: Duration) -> Option<T> {
    let known = of.borrow();
    let (verdict, since) = known.get(key)?;
    (since.elapsed() < life).then(|| verdict.clone())
}

fn remember<T>(of: &Remembered<T>, key: Key, verdict: T, most: usize, life: Duration) {
    let mut known = of.borrow_mut();
    if known.len() >= most {
        known.retain(|_, (_, since)| since.elapsed() < life);
        if known.len() >= most {
            // Each costs one question more.
            known.clear();
        }
    }
    known.insert(key, (verdict, Instant::now()));
}
