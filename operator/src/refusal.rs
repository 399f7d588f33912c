//! Why the feed hands nothing out to who shows a token.
//!
//! In: nothing. Out: the label, status and text of each reason. It must not judge a token: see `feed`.
//!
//! Pure: no I/O.

/// Why nothing is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It came without one.
    NoToken,
    /// The API server knows no such token, or it is for another audience.
    Unknown,
    /// Of another account than the agents'.
    Account,
    /// Bound to no node.
    Node,
    /// Too many tries.
    Tries,
    /// The API server did not answer.
    Unanswered,
}

impl Refusal {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::NoToken, Self::Unknown, Self::Account, Self::Node, Self::Tries, Self::Unanswered];

    /// As a label.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Unknown => "unknown_token",
            Self::Account => "other_account",
            Self::Node => "no_node",
            Self::Tries => "too_many_tries",
            Self::Unanswered => "not_reviewed",
        }
    }

    /// As a status of HTTP.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::NoToken | Self::Unknown => 401,
            Self::Account | Self::Node => 403,
            Self::Tries => 429,
            Self::Unanswered => 503,
        }
    }

    /// For the person who reads the answer.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::NoToken => "show the token of an agent's pod: Authorization: Bearer TOKEN",
            Self::Unknown => {
                "the API server does not know this token for the audience of the feed: it is wrong, expired or made for another audience"
            }
            Self::Account => "the token is not one of the agents' service account",
            Self::Node => {
                "the token names no node: use the one of an agent's pod (the API server writes the node into it from Kubernetes 1.30 on)"
            }
            Self::Tries => "too many tokens from this address were refused within a minute",
            Self::Unanswered => "the API server did not answer whose token this is",
        }
    }
}
