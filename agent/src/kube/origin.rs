//! Which server a watch is of.
//!
//! In: nothing. Out: the names of servers. It must not decide between them: see [`crate::names`].
//!
//! Pure: no I/O.

/// Where pods come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// The API server.
    #[default]
    Api,
    /// The operator's feed.
    Feed,
}

impl Origin {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Api, Self::Feed];

    /// As in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Feed => "feed",
        }
    }

    /// As in messages.
    #[must_use]
    pub const fn server(self) -> &'static str {
        match self {
            Self::Api => "API server",
            Self::Feed => "operator's feed",
        }
    }
}
