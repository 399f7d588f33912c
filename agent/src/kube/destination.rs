//! Where a connection leads that is not the API server's.
//!
//! In: nothing. Out: the configuration of a client, asked for again for each connection. It must not know who is asked for it.
//!
//! I/O: none of its own.

use kube::Config;
use std::error::Error;
use std::pin::Pin;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    /// The API server does not say.
    #[error("the API server does not say {0}")]
    Unanswered(&'static str, #[source] Box<dyn Error + Send + Sync>),
    /// There is no such thing.
    #[error("there is no {0} yet")]
    Absent(String),
}

/// What is found out of it.
pub(super) type Looked<'a> = Pin<Box<dyn Future<Output = Result<Config, Unknown>> + Send + 'a>>;

/// Somewhere to connect to.
pub(super) trait Destination: Send + Sync {
    /// The configuration of a client.
    fn look(&self) -> Looked<'_>;
}
