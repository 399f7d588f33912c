//! The configuration in force: read from a file at the start, and again whenever the file changes. In a cluster it comes
//! from the node's `NodeProbe` instead (`node_probe::follow`) and is kept on disk (`node_probe::saved`).
//!
//! In: a YAML file with the spec of a `ProbeConfig`, bare or as a whole object. Out: [`Effective`], through a watch
//! channel. A bad edit, and a deleted file, leave the last good configuration in force and say so. It must not act on
//! the configuration.
//!
//! I/O: reads the file; [`watch`] listens to its directory and never ends while someone reads the channel.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod notice;
mod yaml;

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use probelet_crds::ProbeConfigSpec;
use thiserror::Error;
use tokio::{sync::watch::Sender, time};

use notice::Notices;
pub use yaml::Mistake;

/// A spec is a few hundred bytes; more than this is a mistake, and reading it would cost memory.
pub(crate) const MAX_BYTES: u64 = 1 << 20;
/// An editor's write is over when nothing has happened for so long.
const SETTLE: Duration = Duration::from_millis(100);
/// What notices cannot tell (network file systems, links that lead elsewhere) is found by looking.
const POLL: Duration = Duration::from_secs(5);

/// Why a file is not a configuration.
#[derive(Debug, Error)]
pub enum Error {
    /// The file is not there, or may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nothing as large is a spec.
    #[error("{} is larger than 1 MiB; a configuration is a few hundred bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not one byte: more likely cut off than meant. Defaults are spelt `{}`.
    #[error("{} is empty; write {{}} for the defaults", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not YAML, or not a spec, or a spec that breaks a rule.
    #[error("{}: {}", path.display(), messages(mistakes))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// At least one.
        mistakes: Vec<Mistake>,
    },
}

impl Error {
    /// The first field that is wrong, such as `spec.budget.cpu`.
    fn field(&self) -> &str {
        match self {
            Self::Invalid { mistakes, .. } => {
                mistakes.first().map_or("", |mistake| mistake.field.as_str())
            }
            Self::Read { .. } | Self::TooLarge { .. } | Self::Empty { .. } => "",
        }
    }
}

fn messages(mistakes: &[Mistake]) -> String {
    let messages: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    messages.join("; ")
}

/// A file that was read and found valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What it says, with the defaults filled in.
    pub spec: ProbeConfigSpec,
    /// [`ProbeConfigSpec::hash`].
    pub hash: String,
}

/// Where the configuration in force comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No file was given.
    Defaults,
    /// This file.
    File(PathBuf),
    /// This node's `NodeProbe`.
    NodeProbe {
        /// The `ProbeConfig` that won; empty for the operator's built-in defaults.
        config: String,
        /// The generation of the `NodeProbe`.
        generation: i64,
    },
}

impl Origin {
    /// The `ProbeConfig` that won; empty where none did.
    #[must_use]
    pub fn config(&self) -> &str {
        match self {
            Self::NodeProbe { config, .. } => config,
            Self::Defaults | Self::File(_) => "",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("defaults"),
            Self::File(path) => path.display().fmt(f),
            Self::NodeProbe { .. } => f.write_str("NodeProbe"),
        }
    }
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// What to do.
    pub spec: ProbeConfigSpec,
    /// 1 at the start, one more with every accepted change.
    pub generation: u64,
    /// Short name of the content.
    pub hash: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Why the file, as it is now, is not in force; `None` if it is.
    pub last_error: Option<String>,
}

impl Effective {
    /// What is in force without a file.
    #[must_use]
    pub fn defaults() -> Self {
        let spec = ProbeConfigSpec::default();
        Self { hash: spec.hash(), spec, generation: 1, origin: Origin::Defaults, last_error: None }
    }

    /// What is in force at the start.
    ///
    /// # Errors
    /// The file cannot be read or is not a valid configuration: at the start there is no last good one.
    pub(crate) fn from_file(path: &Path) -> Result<Self, Error> {
        let Loaded { spec, hash } = load(path)?;
        Ok(Self {
            spec,
            generation: 1,
            hash,
            origin: Origin::File(path.to_owned()),
            last_error: None,
        })
    }
}

/// Reads a configuration from a file.
///
/// # Errors
/// See [`enum@Error`].
pub fn load(path: &Path) -> Result<Loaded, Error> {
    parse(path, &read(path)?)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Loaded, Error> {
    if bytes.trim_ascii().is_empty() {
        return Err(Error::Empty { path: path.to_owned() });
    }
    let spec =
        yaml::spec(bytes).map_err(|mistakes| Error::Invalid { path: path.to_owned(), mistakes })?;
    Ok(Loaded { hash: spec.hash(), spec })
}

/// Keeps `tx` at what the file says, until no one reads it any more.
pub async fn watch(path: PathBuf, tx: Sender<Arc<Effective>>) {
    let mut notices = Notices::of(&path);
    let mut last = Last { content: None, error: None };
    last.content = read(&path).ok();
    // The file may have changed between the start's reading and this one.
    last.judge(&path, &tx);
    loop {
        tokio::select! {
            () = notices.next() => {}
            () = time::sleep(POLL) => {}
            () = tx.closed() => return,
        }
        last.look(&path, &tx).await;
        notices.renew();
    }
}

/// What was last found in the file.
struct Last {
    content: Option<Vec<u8>>,
    error: Option<String>,
}

impl Last {
    /// Looks at the file, and judges it if it differs from the last time and no one is writing it.
    async fn look(&mut self, path: &Path, tx: &Sender<Arc<Effective>>) {
        let mut found = read(path).ok();
        if found == self.content && found.is_some() {
            return;
        }
        // At most a second, lest a file that never comes to rest is never read.
        for _ in 0..5 {
            time::sleep(SETTLE).await;
            let again = read(path).ok();
            let settled = again == found;
            found = again;
            if settled {
                break;
            }
        }
        self.content = found;
        self.judge(path, tx);
    }

    fn judge(&mut self, path: &Path, tx: &Sender<Arc<Effective>>) {
        // What cannot be read is read once more, for the reason.
        let judged = match &self.content {
            Some(bytes) => parse(path, bytes),
            None => load(path),
        };
        match judged {
            Ok(loaded) => self.accept(path, loaded, tx),
            Err(error) => self.refuse(path, &error, tx),
        }
    }

    fn accept(&mut self, path: &Path, loaded: Loaded, tx: &Sender<Arc<Effective>>) {
        self.error = None;
        tx.send_if_modified(|now| {
            let changed = now.hash != loaded.hash;
            if !changed && now.last_error.is_none() {
                return false;
            }
            let generation = now.generation + u64::from(changed);
            tracing::info!(path = %path.display(), generation, hash = %loaded.hash, "configuration in force");
            let origin = Origin::File(path.to_owned());
            let Loaded { spec, hash } = loaded;
            *now = Arc::new(Effective { spec, generation, hash, origin, last_error: None });
            true
        });
    }

    fn refuse(&mut self, path: &Path, error: &Error, tx: &Sender<Arc<Effective>>) {
        let message = error.to_string();
        if self.error.as_ref() == Some(&message) {
            return;
        }
        let generation = tx.borrow().generation;
        tracing::warn!(path = %path.display(), field = error.field(), error = %message, generation,
            "configuration refused, the last good one stays in force");
        tx.send_modify(|now| {
            let now = Arc::make_mut(now);
            now.last_error = Some(message.clone());
        });
        self.error = Some(message);
    }
}

#[cfg(test)]
mod tests;
