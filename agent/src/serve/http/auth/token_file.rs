//! Who may read, by a file of tokens: for a machine without an API server.
//!
//! In: a file with one token on each line, `#` for comments; a token of a request. Out: yes or no, and why a file cannot be
//! used. It must not keep a token: what is remembered is a hash of it, with a key of this process. It must not take a
//! file that other users can read, or give up the last good tokens for a bad file.
//!
//! Looked at when a request comes, not by a task: an agent that has no clients does nothing.
//!
//! I/O: the file.

use super::super::stamp::Stamp;
use super::cache::Key;
use super::secret::Secret;
use super::{MAX_TOKEN, is_token};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the file is looked at, at most.
pub const LOOK: Duration = Duration::from_secs(1);
/// Bytes of a file.
const MAX_FILE: u64 = 64 << 10;
/// Tokens of a file: each request is compared with all.
const MAX_TOKENS: usize = 64;
/// Shorter ones could be guessed.
const MIN_TOKEN: usize = 16;
/// Permission of all other users to read or write.
const OTHERS: u32 = 0o006;

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        why: io::Error,
    },
    /// Every user of this machine could read or change it.
    #[error("{} has mode {mode:04o}, which lets other users read or change it: chmod 0600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else, too much, or nothing.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line but never with the token.
        what: String,
    },
    /// There is no random number to make a key from.
    #[error(transparent)]
    Random(#[from] super::Error),
}

/// The tokens of a file, read again when it changes.
pub struct TokenFile {
    path: PathBuf,
    look: Duration,
    secret: Secret,
    state: Mutex<State>,
}

struct State {
    looked: Instant,
    judged: Stamp,
    /// Compared instead of tokens: how long that takes says nothing of a token.
    digests: Vec<Key>,
}

impl TokenFile {
    /// Reads the file, and looks at it again at most so often: [`LOOK`].
    pub fn open(path: &Path, look: Duration) -> Result<Self, Error> {
        let secret = Secret::new()?;
        // Before reading: what changes meanwhile is read again.
        let judged = Stamp::of(path);
        let digests = read(path, &secret)?;
        let state = Mutex::new(State { looked: Instant::now(), judged, digests });
        Ok(Self { path: path.to_owned(), look, secret, state })
    }

    /// Whether a token is one of the file's.
    pub(super) fn holds(&self, token: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut state);
        state.digests.contains(&self.secret.hash(&[token.as_bytes()]))
    }

    fn refresh(&self, state: &mut State) {
        if state.looked.elapsed() < self.look {
            return;
        }
        state.looked = Instant::now();
        let stamp = Stamp::of(&self.path);
        if stamp == state.judged {
            return;
        }
        state.judged = stamp;
        match read(&self.path, &self.secret) {
            Ok(digests) => {
                tracing::info!(file = %self.path.display(), tokens = digests.len(), "new tokens are in force");
                state.digests = digests;
            }
            Err(error) => tracing::warn!(%error, "the last good tokens stay in force"),
        }
    }
}

fn read(path: &Path, secret: &Secret) -> Result<Vec<Key>, Error> {
    let failed = |why| Error::Read { path: path.to_owned(), why };
    let content = |what: String| Error::Content { path: path.to_owned(), what };
    let file = fs::metadata(path).map_err(failed)?;
    if file.mode() & OTHERS != 0 {
        return Err(Error::Open { path: path.to_owned(), mode: file.mode() & 0o7777 });
    }
    if file.len() > MAX_FILE {
        return Err(content(format!("it has {} bytes, {MAX_FILE} are read", file.len())));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let mut digests = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let token = line.trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        if !is_token(token) || token.len() < MIN_TOKEN {
            return Err(content(format!(
                "line {} is no token: give {MIN_TOKEN} to {MAX_TOKEN} letters, digits or any of -._~+/=:",
                n + 1
            )));
        }
        digests.push(secret.hash(&[token.as_bytes()]));
    }
    match digests.len() {
        0 => Err(content("it holds no token".to_owned())),
        n if n > MAX_TOKENS => Err(content(format!("it holds {n} tokens, {MAX_TOKENS} at most"))),
        _ => Ok(digests),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    const ONE: &str = "first-token-of-some-length";
    const TWO: &str = "another-token-of-some-length";

    fn file(text: &str, mode: u32) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn refused(text: &str, mode: u32) -> String {
        let (_dir, path) = file(text, mode);
        let error = TokenFile::open(&path, LOOK).err().unwrap().to_string();
        error.replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn the_tokens_of_the_file_are_good_and_no_others() {
        let (_dir, path) = file(&format!("# readers\n{ONE}\n\n  {TWO}  \n"), 0o640);

        let tokens = TokenFile::open(&path, LOOK).unwrap();

        assert!(tokens.holds(ONE) && tokens.holds(TWO));
        assert!(!tokens.holds("# readers") && !tokens.holds("") && !tokens.holds(&ONE[1..]));
    }

    #[test]
    fn a_new_token_replaces_the_old_one() {
        let (_dir, path) = file(ONE, 0o600);
        let tokens = TokenFile::open(&path, Duration::ZERO).unwrap();

        fs::write(&path, TWO).unwrap();

        assert!(tokens.holds(TWO) && !tokens.holds(ONE));
    }

    #[test]
    fn a_file_that_turns_bad_leaves_the_last_good_tokens() {
        let (_dir, path) = file(ONE, 0o600);
        let tokens = TokenFile::open(&path, Duration::ZERO).unwrap();

        fs::write(&path, "").unwrap();
        assert!(tokens.holds(ONE));
        fs::remove_file(&path).unwrap();
        assert!(tokens.holds(ONE));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_the_reason() {
        assert_eq!(
            refused(ONE, 0o644),
            "FILE has mode 0644, which lets other users read or change it: chmod 0600"
        );
        assert_eq!(refused("# none yet\n", 0o600), "FILE: it holds no token");
        assert_eq!(
            refused("# x\nshort\n", 0o600),
            "FILE: line 2 is no token: give 16 to 8192 letters, digits or any of -._~+/=:"
        );
        assert_eq!(
            refused(&format!("{ONE}\n").repeat(65), 0o600),
            "FILE: it holds 65 tokens, 64 at most"
        );
        let long = "x".repeat(70_000);
        assert_eq!(refused(&long, 0o600), "FILE: it has 70000 bytes, 65536 are read");
    }

    #[test]
    fn no_message_names_a_token() {
        let bad = "this token has blanks";

        assert!(!refused(bad, 0o600).contains("blanks"));
    }
}
