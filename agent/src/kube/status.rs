//! How the feed is doing, for metrics and for people.
//!
//! In: what each watcher does. Out: a copy of the counters. It must not hold names, addresses or error texts: labels of
//! metrics are made of it.
//!
//! I/O: reads the monotonic clock.

use super::failure::Failure;
use super::origin::Origin;
use probelet_core::cluster::objects::Kind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a watcher is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// The configuration does not ask for this kind.
    #[default]
    Off,
    /// Asking, without an answer so far.
    Connecting,
    /// The first list, or one after a gap, is arriving.
    Listing,
    /// Up to date.
    Watching,
    /// Waiting after a failure; names age.
    BackingOff,
    /// The service account may not see this kind; asked again now and then.
    Forbidden,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Off,
        Self::Connecting,
        Self::Listing,
        Self::Watching,
        Self::BackingOff,
        Self::Forbidden,
    ];

    /// As in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Listing => "listing",
            Self::Watching => "watching",
            Self::BackingOff => "backing_off",
            Self::Forbidden => "forbidden",
        }
    }
}

/// Why a request or a watch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// No connection, or no credentials to make one with.
    Connect,
    /// A stream broke off, or said nothing for too long.
    Broken,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 410 and its relatives: a new list is needed.
    Gone,
    /// 429.
    TooManyRequests,
    /// Another 4xx.
    Client,
    /// 5xx.
    Server,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Broken,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Gone,
        Self::TooManyRequests,
        Self::Client,
        Self::Server,
    ];

    /// As in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::TooManyRequests => "too_many_requests",
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    pub(crate) fn of(failure: &Failure) -> Self {
        match failure.code {
            _ if failure.wants_new_list() => Self::Gone,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            429 => Self::TooManyRequests,
            400..=499 => Self::Client,
            _ => Self::Server,
        }
    }
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It cannot be read at all.
    Json,
    /// It does not say which object it is.
    Identity,
    /// A label that cannot be one was left out.
    Label,
    /// An address that is none was left out.
    Address,
    /// A container without a proper id or name was left out.
    Container,
    /// A port that is none was left out.
    Port,
    /// It is larger than any object may be.
    TooLarge,
}

impl Malformed {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Json,
        Self::Identity,
        Self::Label,
        Self::Address,
        Self::Container,
        Self::Port,
        Self::TooLarge,
    ];

    /// As in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Identity => "identity",
            Self::Label => "label",
            Self::Address => "address",
            Self::Container => "container",
            Self::Port => "port",
            Self::TooLarge => "too_large",
        }
    }
}

/// How the watcher of one kind is doing. Counters begin with the agent.
#[derive(Debug, Clone, Default)]
pub struct KindStatus {
    /// What it is doing.
    pub state: State,
    /// Whom it asks.
    pub origin: Origin,
    /// When the API server was last heard of: an event, a bookmark, the beginning of an answer.
    pub contact: Option<Instant>,
    /// Objects that were listed or changed.
    pub events: u64,
    /// Lists that were begun, streaming or not.
    pub lists: u64,
    /// Watches that resumed where the last one ended.
    pub resumes: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Failures, by [`Class`].
    pub errors: [u64; Class::ALL.len()],
    /// What was wrong with objects, by [`Malformed`].
    pub malformed: [u64; Malformed::ALL.len()],
    /// Time for which nothing was read since the budget had no room.
    pub budget_wait: Duration,
    /// Time for which nothing was read since the engine had not taken what was there.
    pub engine_wait: Duration,
}

impl KindStatus {
    /// Failures of a class.
    #[must_use]
    pub fn errors(&self, class: Class) -> u64 {
        self.errors[class as usize]
    }

    /// Faults of objects of a sort.
    #[must_use]
    pub fn malformed(&self, fault: Malformed) -> u64 {
        self.malformed[fault as usize]
    }
}

/// How the feed is doing, shared by its watchers and those who look.
#[derive(Debug, Default)]
pub struct FeedStatus {
    kinds: [Mutex<KindStatus>; Kind::ALL.len()],
}

impl FeedStatus {
    /// How the watcher of `kind` is doing.
    #[must_use]
    pub fn of(&self, kind: Kind) -> KindStatus {
        self.at(kind).clone()
    }

    pub(crate) fn at(&self, kind: Kind) -> MutexGuard<'_, KindStatus> {
        // Every state of the counters is a valid one, so a panic elsewhere does not spoil them.
        self.kinds[kind as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
