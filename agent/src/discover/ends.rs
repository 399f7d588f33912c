//! Every end of a TCP connection, as the kernel reports it when the socket goes: the destroy groups of `sock_diag`.
//!
//! In: multicast messages of all namespaces that have a short number in the node's, read in batches when a pass begins:
//! no thread waits for them. Out: [`Facts::ended`], and of which namespaces every end is reported. It must not hold anything
//! of a pod's namespace, nor attribute an end to more than its namespace.
//!
//! Both sockets are opened once, in the node's namespace, and hold all the rights that are needed: joining and leaving
//! the groups later needs none.
//!
//! I/O: opens `/proc/1/ns/net`, enters it, talks netlink. Needs `CAP_SYS_ADMIN` and `CAP_SYS_PTRACE` to enter if the agent
//! is elsewhere, `CAP_NET_BROADCAST` to hear other namespaces, `CAP_NET_ADMIN` for the room that a storm needs.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod message;
mod numbers;

use super::netlink::enter;
use crate::sys::group::{self, Messages};
use probelet_core::facts::{Ended, Facts, Loss};
use probelet_core::hash::HashMap;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::net::netlink::SocketAddrNetlink;
use std::io;
use std::path::Path;

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY`.
const GROUPS: [u32; 2] = [1, 3];
/// What may wait in the kernel, by its own count: 1.3 kB for a message, so 12,000 ends, which is what 5,000 connections a
/// second make in the longest time between two looks.
pub const ROOM: u32 = 16 << 20;
/// Ends that wait to be handed over, at 120 bytes each: those of the longest interval at the same rate.
const WAITING: usize = 65_536;
/// Ends that one look reads: 20 ms of CPU. The rest waits in the kernel.
const AT_ONCE: usize = 16_384;
/// The numbers of namespaces are asked for again after so many readings of sockets, in case one changed hands unnoticed.
const AGAIN: u32 = 16;

/// Why ends cannot be heard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node's first process is hidden, or there is no `/proc`.
    #[error("cannot open the node's network namespace")]
    Namespace(#[source] io::Error),
    /// The node's namespace cannot be entered.
    #[error("cannot open a netlink socket in the node's network namespace")]
    Entering(#[source] enter::Error),
    /// Something is wrong with the socket.
    #[error("cannot set up the netlink socket")]
    Socket(#[source] io::Error),
    /// The kernel has no such group, or does not let join it.
    #[error("cannot join the groups of sockets that go")]
    Joining(#[source] io::Error),
}

impl Error {
    /// One line on what is missing, for people.
    #[must_use]
    pub fn hint(&self) -> String {
        let needs = match self {
            Self::Namespace(_) | Self::Entering(_) => {
                "CAP_SYS_ADMIN and CAP_SYS_PTRACE are needed to enter it"
            }
            Self::Socket(_) => "the kernel may be older than 4.4",
            Self::Joining(_) => "the kernel may lack inet_diag and tcp_diag",
        };
        format!("{self}: {needs}")
    }
}

/// A namespace that has a short number.
#[derive(Clone, Copy, Debug)]
struct Space {
    inode: u32,
    cookie: u64,
    /// Who had the number until the last time.
    before: u32,
    since_ms: u64,
    here: Here,
}

/// Whether a namespace that has a number is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Here {
    Yes,
    /// Not any more, since the last time: its last ends come now.
    WasLately,
    /// Not any more: the kernel may have given its number to one that no scan saw yet.
    No,
}

/// What came of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Messages, about listeners and attempts too: each cost the kernel the same.
    pub messages: u64,
    /// How often there was no room for more.
    pub overruns: u64,
}

/// The ends of the node.
#[derive(Debug)]
pub struct Ends {
    socket: OwnedFd,
    questions: OwnedFd,
    /// Other namespaces than the node's own are heard.
    everywhere: bool,
    /// There is room for a storm.
    roomy: bool,
    sequence: u32,
    /// The node's own namespace.
    own: u32,
    messages: Messages,
    /// Reported and not handed over yet, with the short number of the namespace: -1 for the node's own.
    waiting: Vec<(i32, Ended)>,
    /// There was no room for some of them.
    overrun: bool,
    /// Messages that are none that is known.
    malformed: u64,
    spaces: HashMap<i32, Space>,
    /// The namespaces whose numbers were asked for, by inode and cookie, and how many readings ago.
    asked: Vec<(u32, u64)>,
    age: u32,
    /// Since when it hears, monotonic milliseconds; `None` while it does not.
    since_ms: Option<u64>,
    /// When it began to, the last time.
    began_ms: Option<u64>,
}

/// The number that stands for the node's own namespace here.
const OWN: i32 = -1;

impl Ends {
    /// Opens what is needed in the node's namespace, with room for so much, and proves that the groups are there.
    ///
    /// # Errors
    /// What is missing.
    pub fn open(proc: &Path, room: u32) -> Result<Self, Error> {
        Self::open_groups(proc, room, GROUPS)
    }

    fn open_groups(proc: &Path, room: u32, groups: [u32; 2]) -> Result<Self, Error> {
        let namespace = enter::node(proc).map_err(Error::Namespace)?;
        let own = enter::inode(namespace.as_fd()).map_err(Error::Namespace)?;
        let protocol = rustix::net::netlink::SOCK_DIAG;
        let socket = enter::open_in(namespace.as_fd(), protocol).map_err(Error::Entering)?;
        let questions = enter::route_in(namespace.as_fd()).map_err(Error::Entering)?;
        // Who has no address is given nothing, member or not.
        let anywhere = SocketAddrNetlink::new(0, 0);
        rustix::net::bind(&socket, &anywhere).map_err(|e| Error::Socket(e.into()))?;
        let everywhere = match group::listen_everywhere(socket.as_fd()) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => false,
            done => done.map_err(Error::Socket).map(|()| true)?,
        };
        let roomy = group::let_wait(socket.as_fd(), room).map_err(Error::Socket)?;
        for on in [true, false] {
            for group in groups {
                group::listen(socket.as_fd(), group, on).map_err(Error::Joining)?;
            }
        }
        Ok(Self {
            socket,
            questions,
            everywhere,
            roomy,
            sequence: 0,
            own: u32::try_from(own).unwrap_or(0),
            messages: Messages::default(),
            waiting: Vec::new(),
            overrun: false,
            malformed: 0,
            spaces: HashMap::default(),
            asked: Vec::new(),
            age: 0,
            since_ms: None,
            began_ms: None,
        })
    }

    /// Begins to hear, or stops: then the kernel has no work for it either.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listen(&mut self, on: bool, mono_ms: u64) -> Result<(), Error> {
        if on == self.since_ms.is_some() {
            return Ok(());
        }
        if on {
            // What came while it stopped the last time was counted without it.
            self.read();
            self.waiting.clear();
            self.overrun = false;
        }
        for group in GROUPS {
            group::listen(self.socket.as_fd(), group, on).map_err(Error::Joining)?;
        }
        self.since_ms = on.then_some(mono_ms);
        self.began_ms = self.since_ms.or(self.began_ms);
        self.spaces.values_mut().for_each(|space| space.since_ms = mono_ms);
        Ok(())
    }

    /// What is heard less for want of a capability, for people.
    #[must_use]
    pub const fn lacks(&self) -> Option<&'static str> {
        match (self.everywhere, self.roomy) {
            (true, true) => None,
            (true, false) => Some(
                "without CAP_NET_ADMIN a few hundred ends at a time overflow the receive buffer",
            ),
            (false, _) => Some(
                "without CAP_NET_BROADCAST only the ends of the node's own network namespace are reported",
            ),
        }
    }

    /// Whether it hears.
    #[must_use]
    pub const fn listens(&self) -> bool {
        self.since_ms.is_some()
    }

    /// Reads what waits in the kernel. A look at nothing is one system call.
    pub fn read(&mut self) -> Heard {
        let mut heard = Heard::default();
        let mut room = AT_ONCE;
        // An error other than of room is one of a socket that is of no more use; its next reading shows the same.
        let mut failures = 0;
        while room > 0 && failures < 2 {
            match self.messages.receive(self.socket.as_fd()) {
                Ok(0) => break,
                Ok(count) => {
                    heard.messages += count as u64;
                    room = room.saturating_sub(count);
                    self.take();
                }
                Err(error) => {
                    heard.overruns += 1;
                    self.overrun = true;
                    failures += u32::from(error.raw_os_error() != Some(libc::ENOBUFS));
                }
            }
        }
        heard
    }

    fn take(&mut self) {
        for (number, bytes) in self.messages.iter() {
            let Some(ended) = message::ended(bytes) else {
                self.malformed += 1;
                continue;
            };
            // Listeners and sockets that were never used are no connection.
            if !ended.established && !ended.attempt() {
                continue;
            }
            if self.waiting.len() < WAITING {
                self.waiting.push((number.unwrap_or(OWN), ended));
            } else {
                self.overrun = true;
            }
        }
    }

    /// Hands over what was reported before the pass that these facts are of, and says which namespaces report.
    pub fn hand_over(&mut self, facts: &mut Facts, mono_ms: u64) {
        facts.ended.clear();
        facts.reported.clear();
        facts.heard_ms = self.began_ms.unwrap_or(0);
        facts.overrun = std::mem::take(&mut self.overrun);
        facts.losses.add(Loss::Malformed, std::mem::take(&mut self.malformed));
        if self.since_ms.is_none() && self.waiting.is_empty() {
            return;
        }
        self.number(facts, mono_ms);
        for (number, mut ended) in self.waiting.drain(..) {
            match self.spaces.get(&number) {
                Some(space) => {
                    (ended.netns, ended.or_netns) = match space.here {
                        Here::No => (0, space.inode),
                        Here::Yes | Here::WasLately => (space.inode, space.before),
                    };
                    facts.ended.push(ended);
                }
                None => facts.losses.add(Loss::EndsElsewhere, u64::from(ended.established)),
            }
        }
        if self.waiting.capacity() > 1024 {
            self.waiting.shrink_to(1024);
        }
        if self.since_ms.is_some() {
            facts.reported.extend(self.spaces.values().map(|space| (space.inode, space.since_ms)));
            facts.reported.sort_unstable();
        }
        // From the next pass on a number means who has it now.
        for space in self.spaces.values_mut() {
            space.before = 0;
            if space.here == Here::WasLately {
                space.here = Here::No;
            }
        }
    }

    /// Learns which namespace has which number, unless they are those of the last time.
    fn number(&mut self, facts: &Facts, mono_ms: u64) {
        let now = facts.netns.iter().map(|netns| (netns.inode, netns.cookie));
        self.age += 1;
        if self.age < AGAIN && now.clone().eq(self.asked.iter().copied()) {
            return;
        }
        self.age = 0;
        let known = std::mem::replace(&mut self.asked, now.collect());
        let mut inside: HashMap<u32, u32> = HashMap::default();
        for process in &facts.processes {
            inside.entry(process.netns).or_insert(process.pid);
        }
        let mut spaces = HashMap::default();
        for netns in &facts.netns {
            let number = if netns.inode == self.own {
                Some(OWN)
            } else if !self.everywhere {
                None
            } else {
                inside.get(&netns.inode).and_then(|&pid| {
                    self.sequence = self.sequence.wrapping_add(1);
                    numbers::of_process(&self.questions, pid, self.sequence).ok().flatten()
                })
            };
            let Some(number) = number else { continue };
            let was = self.spaces.get(&number);
            let same = was.filter(|was| (was.inode, was.cookie) == (netns.inode, netns.cookie));
            let space = match same {
                Some(same) => *same,
                // A new one had its number before anybody connected there. One that was known without has it since now.
                None => Space {
                    inode: netns.inode,
                    cookie: netns.cookie,
                    before: was.map_or(0, |was| was.inode),
                    since_ms: match self.since_ms {
                        Some(since_ms) if !known.contains(&(netns.inode, netns.cookie)) => since_ms,
                        _ => mono_ms,
                    },
                    here: Here::Yes,
                },
            };
            spaces.insert(number, space);
        }
        // What is gone may still be reported.
        for (number, mut space) in self.spaces.drain() {
            if facts.netns.iter().all(|netns| netns.inode != space.inode) && space.here == Here::Yes
            {
                space.here = Here::WasLately;
                spaces.entry(number).or_insert(space);
            }
        }
        self.spaces = spaces;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_first_process_it_is_said_what_is_needed() {
        let error = Ends::open(Path::new("/nowhere"), ROOM).unwrap_err();

        assert!(matches!(error, Error::Namespace(_)), "{error:?}");
        assert!(error.hint().contains("CAP_SYS_ADMIN"), "{}", error.hint());
    }

    #[test]
    fn a_kernel_without_the_groups_is_named() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(proc.path().join("1/ns")).unwrap();
        let own = "/proc/thread-self/ns/net";
        std::os::unix::fs::symlink(own, proc.path().join("1/ns/net")).unwrap();

        let error = Ends::open_groups(proc.path(), ROOM, [901, 903]).unwrap_err();

        assert!(matches!(error, Error::Joining(_)), "{error:?}");
        assert!(error.hint().contains("tcp_diag"), "{}", error.hint());
    }
}
