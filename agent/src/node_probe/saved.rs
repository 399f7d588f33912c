//! The last good configuration on disk: what a start without the API server begins with.
//!
//! In: the configuration in force, if it came from the node's `NodeProbe`; a directory. Out: a file that is whole or not
//! there at all, and at the next start what it says, judged like any other. It must not keep the agent from starting or
//! working: a directory that is missing or read-only, and a file that is corrupt or someone else's, cost one warning.
//!
//! I/O: one small file, written on a thread of its own: a disk may take its time.

use super::follow as node_probe;
use crate::config::{Effective, MAX_BYTES, Origin};
use probelet_crds::NodeConfig;
use serde::Serialize;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// The file in the directory.
const NAME: &str = "last-config.json";
/// What it is written as before it has its name.
const NEW: &str = ".last-config.json.new";
/// The same at the end, when another thread may be writing the other one.
const LAST: &str = ".last-config.json.end";

/// Why there is nothing to begin with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// No configuration is as large.
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// Cut off, or not ours.
    #[error("not valid JSON")]
    Json(#[source] serde_json::Error),
    /// JSON, but no valid configuration.
    #[error("{0}")]
    Refused(node_probe::Refusal),
}

/// The file's content.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Saved<'a> {
    /// The `ProbeConfig` that it came from.
    origin: &'a str,
    generation: i64,
    hash: &'a str,
    config: NodeConfig,
}

/// What to begin with: the last good configuration of an earlier run, or the defaults.
#[must_use]
pub fn begin_with(directory: Option<&Path>) -> Effective {
    let Some(path) = directory.map(|directory| directory.join(NAME)) else {
        return Effective::defaults();
    };
    match load(&path) {
        Ok(Some(last)) => {
            info!(config = last.origin.config(), hash = %last.hash, path = %path.display(),
                "using the last good configuration until the API server sends another");
            last
        }
        Ok(None) => Effective::defaults(),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(path = %path.display(), %error, cause, "the last good configuration cannot be used; the defaults are in force");
            Effective::defaults()
        }
    }
}

/// What the file says; `None` if there is none.
///
/// # Errors
/// See [`Error`].
pub fn load(path: &Path) -> Result<Option<Effective>, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::Read)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::Read)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge);
    }
    parse(&bytes).map(Some)
}

/// What the bytes of the file say.
pub(crate) fn parse(bytes: &[u8]) -> Result<Effective, Error> {
    let saved: Value = serde_json::from_slice(bytes).map_err(Error::Json)?;
    let (spec, _) = node_probe::spec(&saved["config"]).map_err(Error::Refused)?;
    let origin = Origin::NodeProbe {
        config: saved["origin"].as_str().unwrap_or_default().to_owned(),
        generation: saved["generation"].as_i64().unwrap_or(0),
    };
    // As the operator called it, so that a restart is no news to it.
    let hash = saved["hash"].as_str().map_or_else(|| spec.hash(), ToOwned::to_owned);
    Ok(Effective { hash, spec, generation: 1, origin, last_error: None })
}

/// Writes the file whenever another configuration from the `NodeProbe` is in force, until there are none any more.
pub async fn keep(directory: PathBuf, mut config: watch::Receiver<Arc<Effective>>) {
    let mut written = None;
    let mut logged = false;
    while config.changed().await.is_ok() {
        let now = Arc::clone(&config.borrow_and_update());
        let what = (now.hash.clone(), now.spec.clone());
        if !matches!(now.origin, Origin::NodeProbe { .. }) || written.as_ref() == Some(&what) {
            continue;
        }
        let place = directory.clone();
        let outcome = tokio::task::spawn_blocking(move || save(&place, &now)).await;
        match outcome.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(()) => {
                debug!(hash = %what.0, "configuration saved");
                written = Some(what);
                logged = false;
            }
            Err(error) if !std::mem::replace(&mut logged, true) => {
                warn!(directory = %directory.display(), %error,
                    "the configuration cannot be saved: a restart without the API server begins with the defaults");
            }
            Err(_) => {}
        }
    }
}

/// Writes the file once more before the process ends, so that the next one begins with what is in force now.
pub(crate) fn save_last(directory: &Path, effective: &Effective) {
    if !matches!(effective.origin, Origin::NodeProbe { .. }) {
        return;
    }
    if let Err(error) = save_as(LAST, directory, effective) {
        warn!(directory = %directory.display(), %error, "the configuration cannot be saved; the next start begins with an older one");
    }
}

fn save(directory: &Path, effective: &Effective) -> io::Result<()> {
    save_as(NEW, directory, effective)
}

/// Puts the whole file in place at once: anyone who reads it, after a loss of power too, finds the old or the new one.
fn save_as(new: &str, directory: &Path, effective: &Effective) -> io::Result<()> {
    let generation = match &effective.origin {
        Origin::NodeProbe { generation, .. } => *generation,
        Origin::Defaults | Origin::File(_) => 0,
    };
    let saved = Saved {
        origin: effective.origin.config(),
        generation,
        hash: &effective.hash,
        config: effective.spec.clone().into(),
    };
    let text = serde_json::to_vec(&saved)?;
    let new = directory.join(new);
    let mut file = File::create(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_crds::ProbeConfigSpec;

    fn effective(priority: i32) -> Effective {
        let mut spec = ProbeConfigSpec { paused: true, priority, ..ProbeConfigSpec::default() };
        spec = NodeConfig::from(spec).into();
        let origin = Origin::NodeProbe { config: "default".to_owned(), generation: 4 };
        Effective { hash: spec.hash(), spec, generation: 1, origin, last_error: None }
    }

    #[test]
    fn what_was_saved_is_what_the_next_start_begins_with() {
        let home = tempfile::tempdir().unwrap();

        save(home.path(), &effective(7)).unwrap();

        assert_eq!(begin_with(Some(home.path())), effective(7));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn without_a_file_or_a_directory_the_defaults_are_in_force() {
        let home = tempfile::tempdir().unwrap();

        assert_eq!(begin_with(None), Effective::defaults());
        assert_eq!(begin_with(Some(home.path())), Effective::defaults());
        assert_eq!(begin_with(Some(&home.path().join("missing"))), Effective::defaults());
    }

    #[test]
    fn a_file_that_is_cut_off_or_not_ours_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(NAME);
        for (text, why) in [
            ("{\"config\": {\"pau", "not valid JSON"),
            ("[1, 2]", "spec.config is missing"),
            ("{\"config\": {\"budget\": {\"cpu\": \"0\"}}}", "spec.budget.cpu"),
        ] {
            fs::write(&path, text).unwrap();

            let error = load(&path).unwrap_err().to_string();

            assert!(error.contains(why), "{error}");
            assert_eq!(begin_with(Some(home.path())), Effective::defaults());
        }
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(NAME);
        File::create(&path).unwrap().set_len(MAX_BYTES * 100).unwrap();

        assert!(matches!(load(&path), Err(Error::TooLarge)));
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_no_reason_to_stop() {
        let (sender, receiver) = watch::channel(Arc::new(Effective::defaults()));
        let keeping = tokio::spawn(keep(PathBuf::from("/proc/nowhere"), receiver));

        sender.send_replace(Arc::new(effective(0)));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        drop(sender);

        keeping.await.unwrap();
    }
}
