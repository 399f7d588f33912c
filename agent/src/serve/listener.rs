//! Where readers come: a port, or a socket in the file system, through which reads who may open that file.
//!
//! In: an address. Out: connections, and who is at their other end. It must not remove a file that is anything but a socket
//! of this user's on which no one listens.
//!
//! I/O: sockets; a file's status, mode and removal.

use super::http::auth::Peer;
use super::{BACKLOG, Error, listen};
use crate::args::Address;
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener as Socket, UnixStream as Client};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// What no one but the user may open.
const PRIVATE: u32 = 0o177;

/// A listener.
#[derive(Debug)]
pub enum Listener {
    /// At a port.
    Tcp(TcpListener),
    /// At a file.
    Unix(UnixListener, File),
}

/// A listener that is of no runtime.
#[derive(Debug)]
pub enum Detached {
    /// At a port.
    Tcp(std::net::TcpListener),
    /// At a file.
    Unix(Socket, File),
}

/// The file of a socket, which goes with it as far as that is allowed then: a running agent may remove nothing outside of
/// its own directory. What stays is removed by the next start.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for File {
    fn drop(&mut self) {
        // Another agent's may be in its place.
        if fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            let _left = fs::remove_file(&self.path);
        }
    }
}

/// Someone who comes.
#[derive(Debug)]
pub(crate) enum Stream {
    /// By the network.
    Tcp(TcpStream),
    /// By the file.
    Unix(UnixStream),
}

/// Listens on `address`; a socket's file is for this user alone.
///
/// # Errors
/// See [`Error`].
pub fn bind(address: &Address) -> Result<Listener, Error> {
    let bound = match address {
        Address::Tcp(address) => listen(*address, BACKLOG).map(Listener::Tcp),
        Address::Unix(path) => at_file(path),
    };
    let address = address.clone();
    bound.map_err(|source| Error::Listen { flag: "--listen", address, source })
}

fn at_file(path: &Path) -> io::Result<Listener> {
    make_way(path)?;
    // So that there is no moment in which others could open it. Threads that make a file now make it narrower, which does no
    // harm; the agent has none yet.
    let before = umask(Mode::from_raw_mode(PRIVATE));
    let socket = Socket::bind(path);
    umask(before);
    let socket = socket?;
    socket.set_nonblocking(true)?;
    let file = File { path: path.to_owned(), identity: identity(&fs::symlink_metadata(path)?) };
    Ok(Listener::Unix(UnixListener::from_std(socket)?, file))
}

/// Removes what an earlier agent left.
fn make_way(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    if !there.file_type().is_socket() || there.uid() != geteuid().as_raw() {
        let why = "there is a file that is no socket of this user's";
        return Err(io::Error::new(ErrorKind::AlreadyExists, why));
    }
    match Client::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Listener {
    /// Where it listens.
    ///
    /// # Errors
    /// What getsockname(2) says.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
        }
    }

    /// Takes it from the runtime that it is of.
    ///
    /// # Errors
    /// What the runtime says.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Detached::Tcp),
            Self::Unix(listener, file) => Ok(Detached::Unix(listener.into_std()?, file)),
        }
    }

    /// The next one who comes.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                let peer = Peer::of(&socket);
                Ok((Stream::Tcp(socket), peer))
            }
            Self::Unix(listener, _) => {
                let (socket, _) = listener.accept().await?;
                Ok((Stream::Unix(socket), Peer::at_file()))
            }
        }
    }
}

impl Detached {
    /// Gives it to the runtime that is entered.
    ///
    /// # Errors
    /// What the runtime says.
    pub(crate) fn attach(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
            Self::Unix(listener, file) => {
                UnixListener::from_std(listener).map(|listener| Listener::Unix(listener, file))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        (dir, path)
    }

    fn why(path: &Path) -> String {
        bind(&Address::Unix(path.to_owned())).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn the_file_is_for_its_user_alone_and_goes_with_the_listener() {
        let (_dir, path) = place();
        let before = umask(Mode::from_raw_mode(0));
        let listener = bind(&Address::Unix(path.clone())).unwrap();
        umask(before);

        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(listener.address().unwrap(), Address::Unix(path.clone()));
        let _client = UnixStream::connect(&path).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        assert!(matches!(stream, Stream::Unix(_)) && !peer.loopback);

        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_an_agent_left_that_was_killed_is_removed_and_what_someone_listens_on_is_not() {
        let (_dir, path) = place();
        drop(Socket::bind(&path).unwrap());
        assert!(path.exists(), "it is stale");

        let _first = bind(&Address::Unix(path.clone())).unwrap();
        let advice = "choose another with --listen or stop the process that has it";
        assert_eq!(
            why(&path),
            format!("cannot listen on unix:{}: address in use; {advice}", path.display())
        );
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn any_other_file_stays_as_it_is() {
        let (dir, path) = place();
        fs::write(&path, "mine").unwrap();
        assert!(why(&path).contains("no socket of this user's"), "{}", why(&path));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

        // A link is not followed, wherever it leads.
        let (target, link) = (dir.path().join("stale.sock"), dir.path().join("link.sock"));
        drop(Socket::bind(&target).unwrap());
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(why(&link).contains("no socket of this user's"), "{}", why(&link));
        assert!(target.exists() && link.exists());
    }

    #[tokio::test]
    #[ignore = "needs root, to give a file to someone else"]
    async fn a_stale_socket_of_another_user_is_not_ours_to_remove() {
        let (_dir, path) = place();
        drop(Socket::bind(&path).unwrap());
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();

        assert!(why(&path).contains("no socket of this user's"), "{}", why(&path));
        assert!(path.exists());
    }
}
