//! Rights: what a running agent gives back once everything is loaded and opened, and what then keeps it from more.
//!
//! In: what this run reaches and which source it reads by. Out: threads with fewer rights, and a record of what is in force and
//! why anything is not. It must never keep the agent from working: what the kernel or a sandbox refuses is left as it is, and said.
//!
//! Capabilities and landlock's rules are a thread's own and pass on to the threads it starts. So the main thread gives back first,
//! before it starts any thread that serves or waits ([`Plan::begin`]); the thread that reads the kernel follows after its first full report
//! ([`Plan::finish`]) and puts the filter of system calls over all threads; the thread that asks connection tracking keeps NET_ADMIN and
//! nothing else. docs/adr/0012 says why so.
//!
//! I/O: prctl(2), capset(2), seccomp(2), landlock(7).

pub mod calls;
pub mod filter;
#[cfg(test)]
mod profile;
pub mod reach;

use crate::capabilities::{self, Capability, Given, Set, give_back};
use crate::discover::conntrack::asker::Asker;
use crate::discover::mounts::hides_processes;
use crate::open_files;
use crate::sys::{landlock, seccomp};
use probelet_core::facts::SourceKind;
use reach::Reach;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::{info, warn};

/// What the process had when it started; see [`at_start`].
static START: OnceLock<Set> = OnceLock::new();

/// With a directory that keeps the configuration, the `NodeProbe`'s is waited for so long: another source costs a restart
/// afterwards.
const CONFIG_PATIENCE: Duration = Duration::from_secs(5);

/// The capabilities that the process had when this was first asked, which has to be before any is given back.
pub(crate) fn at_start() -> Set {
    *START.get_or_init(capabilities::usable)
}

/// Something that keeps the agent from more than it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Protection {
    /// No capability is held but those that are listed.
    Capabilities,
    /// No program that it might start could get one.
    BoundingSet,
    /// No program that it might start gets rights from a file.
    NoNewPrivileges,
    /// The kernel runs only the system calls on the list.
    SystemCalls,
    /// It reaches only the files that it reads.
    Files,
    /// It connects only to the API server's port.
    Connections,
}

impl Protection {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Capabilities,
        Self::BoundingSet,
        Self::NoNewPrivileges,
        Self::SystemCalls,
        Self::Files,
        Self::Connections,
    ];

    /// In metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::BoundingSet => "bounding-set",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::SystemCalls => "seccomp",
            Self::Files => "landlock-files",
            Self::Connections => "landlock-tcp",
        }
    }
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// What the process had when it started.
    pub start: Set,
    /// Threads that keep any, and what; before anything was given back, all threads as `all`.
    pub held: Vec<(&'static str, Set)>,
    /// Why a protection is not in force, in the order of [`Protection::ALL`]; `None` is that it is.
    pub lacking: [Option<String>; Protection::ALL.len()],
}

impl Default for Rights {
    fn default() -> Self {
        Self::whole("nothing is known yet")
    }
}

impl Rights {
    /// Before anything is given back, or when nothing is to be.
    #[must_use]
    pub fn whole(why: &str) -> Self {
        let start = at_start();
        let held = if start.is_empty() { Vec::new() } else { vec![("all", start)] };
        Self { start, held, lacking: std::array::from_fn(|_| Some(why.to_owned())) }
    }

    /// Whether a protection is in force.
    #[must_use]
    pub const fn is_in_force(&self, protection: Protection) -> bool {
        self.lacking[protection as usize].is_none()
    }

    fn lacks(&mut self, protection: Protection, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            let why = &mut self.lacking[protection as usize];
            *why = why.take().or_else(|| Some(error.to_string()));
        }
    }

    fn gave(&mut self, thread: &'static str, given: Given) {
        if !given.held.is_empty() {
            self.held.push((thread, given.held));
        }
        self.lacks(Protection::Capabilities, given.capabilities);
        self.lacks(Protection::BoundingSet, given.bounding);
        self.lacks(Protection::NoNewPrivileges, given.no_new_privileges);
    }

    fn landlocked(&mut self, outcome: &io::Result<()>, ports: io::Result<()>) {
        let failed = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        self.lacks(Protection::Files, outcome.as_ref().copied().map_err(failed));
        self.lacks(Protection::Connections, outcome.as_ref().copied().map_err(failed));
        self.lacks(Protection::Connections, ports);
    }
}

/// When the thread that reads the kernel may give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// After the first full report.
    No,
    /// When the `NodeProbe`'s configuration is there as well, which may ask for another source; for so long at most, if there is
    /// an end to it. Without a place to keep the configuration there is none: a restart would know no more.
    ForConfiguration(Option<Duration>),
}

/// What is to be given back, and what is reached afterwards.
#[derive(Clone, Debug)]
pub struct Plan {
    reach: Reach,
    /// When.
    pub wait: Wait,
    /// What came of the main thread's part, once all that it starts is started.
    started: Arc<OnceLock<Rights>>,
}

impl Plan {
    /// For an agent that reaches this.
    #[must_use]
    pub fn new(reach: Reach, node_probe: bool, keeps: bool) -> Self {
        let wait = match (node_probe, keeps) {
            (false, _) => Wait::No,
            (true, keeps) => Wait::ForConfiguration(keeps.then_some(CONFIG_PATIENCE)),
        };
        at_start();
        // The call that asks is not one of a running agent.
        open_files::most();
        Self { reach, wait, started: Arc::default() }
    }

    /// Whether the main thread has started all that it starts, which the filter would keep it from.
    #[must_use]
    pub(crate) fn is_started(&self) -> bool {
        self.started.get().is_some()
    }

    /// The main thread gives all back, before it starts threads that are to have nothing either. What came of it is for
    /// [`Self::started`].
    #[must_use]
    pub fn begin(&self) -> Rights {
        let lacking = std::array::from_fn(|_| None);
        let mut rights = Rights { start: at_start(), held: Vec::new(), lacking };
        self.give_main_back(&mut rights);
        rights
    }

    /// All threads but those that wait for others have been started: the engine's may finish.
    pub fn started(&self, begun: Rights) {
        // The first call counts; there is no other.
        self.started.get_or_init(|| begun);
    }

    fn give_main_back(&self, rights: &mut Rights) {
        rights.gave("main", give_back(Set::default()));
        if self.reach.commands {
            let why = "the kubeconfig runs a command for credentials, whose needs are not known";
            for protection in [Protection::SystemCalls, Protection::Files, Protection::Connections]
            {
                rights.lacks(protection, Err(io::Error::other(why)));
            }
            return;
        }
        let outcome = self.confine_files();
        let known = if self.reach.knows_ports() {
            Ok(())
        } else {
            Err("the API server's port is not known")
        };
        rights.landlocked(&outcome, known.map_err(io::Error::other));
        if landlock::version().is_ok_and(|version| version < 4) {
            let old = io::Error::other("landlock of this kernel knows no ports (before Linux 6.7)");
            rights.lacks(Protection::Connections, Err(old));
        }
    }

    fn confine_files(&self) -> io::Result<()> {
        self.reach.rules(landlock::version()?)?.restrict()
    }

    /// The calling thread, which reads the kernel by `source_kind`, gives back what that does not need, and with it the one that asks
    /// connection tracking. Then the filter of system calls is put over all threads.
    pub fn finish(self, source_kind: SourceKind, asker: &mut Asker) -> Rights {
        let mut keep = keeps(source_kind);
        if hides_processes() {
            // Without it, no new process would be found in any container.
            keep.0 |= Set::of([Capability::SysPtrace]).0;
        }
        let mut rights = self.started.get().cloned().unwrap_or_default();
        let commands = self.reach.commands;
        match asker.give_back(!commands) {
            Ok((given, landlocked)) => {
                rights.gave("connection-tracking", given);
                rights.lacks(Protection::Files, landlocked);
            }
            Err(error) => {
                rights.lacks(Protection::Capabilities, Err(io::Error::other(error)));
            }
        }
        rights.gave("engine", give_back(keep));
        if !commands {
            if keep.is_empty() {
                let outcome = self.confine_files();
                rights.landlocked(&outcome, Ok(()));
            } else {
                let why = format!(
                    "the thread that reads by {} looks into other processes",
                    source_kind.name()
                );
                rights.lacks(Protection::Files, Err(io::Error::other(why)));
            }
            let outcome = self.filter(source_kind, asker);
            rights.lacks(Protection::SystemCalls, outcome);
        }
        rights.tell();
        rights
    }

    fn filter(&self, source_kind: SourceKind, asker: &mut Asker) -> io::Result<()> {
        let netlink = source_kind == SourceKind::Netlink;
        let needs = filter::Needs { namespaces: netlink, diag: netlink, ..self.reach.needs };
        let pid = std::process::id();
        seccomp::install(&mut filter::agent(needs, pid), true)?;
        asker.narrow(filter::tracking(pid)).map_err(io::Error::other)
    }
}

impl Rights {
    fn tell(&self) {
        let names = |set: Set| set.names().collect::<Vec<_>>().join(",");
        let held: Vec<_> =
            self.held.iter().map(|(thread, set)| format!("{thread}: {}", names(*set))).collect();
        let lacking = || Protection::ALL.iter().zip(&self.lacking);
        let missing: Vec<_> = lacking()
            .filter_map(|(one, why)| Some(format!("{}: {}", one.name(), why.as_ref()?)))
            .collect();
        info!(start = names(self.start), held = held.join("; "), "rights given back");
        if !missing.is_empty() {
            warn!(missing = missing.join("; "), "protections that are not in force");
        }
    }
}

/// What a thread keeps its capabilities for, in a few words.
#[must_use]
pub fn purpose(thread: &str) -> &'static str {
    match thread {
        "connection-tracking" => "to ask who is behind a Service's address",
        "engine" => "to look into other processes, as the source needs",
        "all" => "nothing is given back yet, or --rights keep",
        _ => "could not be given back",
    }
}

/// What a source needs for as long as it runs: those of BPF run without any capability once they are loaded.
#[must_use]
pub fn keeps(source_kind: SourceKind) -> Set {
    match source_kind {
        SourceKind::Bpf | SourceKind::BpfCompat => Set::default(),
        SourceKind::Netlink | SourceKind::Procfs => {
            Set::of(Capability::ALL.into_iter().filter(|capability| capability.serves(source_kind)))
        }
    }
}
