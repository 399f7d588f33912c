//! Match: takes in what the feed reports of the cluster, and asks the kernel who stands behind the
//! addresses of Services and of the node.
//!
//! In: batches of events through a bounded channel, connections that may be translated. Out: a report in which
//! things have their names. It must not talk to the API server, nor work through more at a time
//! than a slice of the budget: what is left in the channel holds the feed back.
//!
//! I/O: connection tracking, through the thread of [`crate::discover::conntrack::asker`].

use super::{Engine, clock};
use crate::config::Effective;
use crate::discover::conntrack::Error;
use crate::discover::conntrack::asker::{Answers, Asker};
use crate::discover::node_addresses;
use crate::snapshot::Asked;
use probelet_core::budget;
use probelet_core::cluster::cidr::{Cidr, Table};
use probelet_core::cluster::objects::Event;
use probelet_core::cluster::{Cluster, Grain, Peers, ServiceMatching, Settings};
use probelet_core::report::{Now, Report, Translated};
use probelet_crds::{Granularity, Peers as SpecPeers, ServiceMatching as SpecMatching};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, error::TryRecvError};
use tracing::warn;

/// CPU time for events at a time, nanoseconds.
const SLICE_NS: u64 = 2_000_000;
/// Events between two looks at the clock: the largest of them, a slice of a thousand endpoints, takes
/// a tenth of a millisecond.
const EVENTS: usize = 16;
/// Connections asked about at a time: a millisecond's worth, at 6 to 9 µs each.
const QUESTIONS: usize = 128;
/// Connections asked about in a second, on average; more wait their turn.
const QUESTIONS_PER_SECOND: u32 = 1000;
/// After a refusal, connection tracking is left alone for so long.
const RETRY_NS: u64 = 60_000_000_000;

/// The node's own addresses are read so often: an interface seldom comes and goes.
const ADDRESSES_MS: u64 = 60_000;
/// While events keep coming, names are given so often, milliseconds.
const LATE_MS: u64 = 500;
/// How long a single look waits for names, and how often it looks whether they have come.
const PATIENCE_NS: u64 = 5_000_000_000;
const POLL: Duration = Duration::from_millis(10);

/// What events led to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Anything is called otherwise.
    pub(super) changed: bool,
    /// More of it waits, and the budget allows it.
    pub(super) more: bool,
}

/// The feed's end, and connection tracking.
#[derive(Debug)]
pub(super) struct Matching {
    events: Option<Receiver<Vec<Event>>>,
    /// What is left of the last batch.
    begun: std::vec::IntoIter<Event>,
    /// There never was a feed; one that ended leaves its names.
    alone: bool,
    node: Arc<str>,
    pub(super) asker: Asker,
    /// CPU time of the thread that asks, nanoseconds.
    elsewhere_ns: u64,
    limiter: budget::Limiter,
    asked: [u64; Asked::ALL.len()],
    error: Option<Arc<str>>,
    retry_ns: u64,
    /// When names were last given.
    named_ms: u64,
    /// When the node's own addresses were last read; `None` before the first time.
    addresses_ms: Option<u64>,
}

impl Matching {
    /// Has the report name things, if there is a cluster, or if ranges of addresses have names.
    pub(super) fn new(
        events: Option<Receiver<Vec<Event>>>,
        config: &Effective,
        node: &Arc<str>,
        report: &mut Report,
    ) -> Self {
        let matching = Self {
            alone: events.is_none(),
            events,
            begun: Vec::new().into_iter(),
            node: Arc::clone(node),
            asker: Asker::new(PathBuf::from("/proc")),
            elsewhere_ns: 0,
            limiter: budget::Limiter::new(QUESTIONS_PER_SECOND),
            asked: [0; Asked::ALL.len()],
            error: None,
            retry_ns: 0,
            named_ms: 0,
            addresses_ms: None,
        };
        matching.configure(config, report);
        matching
    }

    /// Names by this configuration from now on.
    pub(super) fn configure(&self, config: &Effective, report: &mut Report) {
        let settings = self.settings(config);
        if let Some(cluster) = report.cluster() {
            cluster.set(settings);
        } else if !settings.alone || !settings.groups.is_empty() {
            report.watch(Cluster::new(settings, seed()));
        }
    }

    fn settings(&self, config: &Effective) -> Settings {
        let spec = &config.spec;
        let ranges = spec.matching.cidr_groups.iter().zip(0..).flat_map(|(group, n)| {
            group.ranges().filter_map(move |r| Some((Cidr::new(r.address, r.prefix)?, n)))
        });
        Settings {
            node: (&*self.node).into(),
            alone: self.alone,
            service_matching: match spec.matching.service_matching {
                SpecMatching::Selectors => ServiceMatching::Selectors,
                SpecMatching::EndpointSlices => ServiceMatching::EndpointSlices,
                SpecMatching::Off => ServiceMatching::Off,
            },
            peers: match spec.matching.peers {
                SpecPeers::EndpointSlices => Peers::EndpointSlices,
                SpecPeers::ServiceIPs => Peers::ServiceIPs,
                SpecPeers::Off => Peers::Off,
            },
            grain: match spec.metrics.granularity {
                Granularity::Workload => Grain::Workload,
                Granularity::Service => Grain::Service,
                Granularity::Pod => Grain::Pod,
            },
            ranges: Table::new(ranges),
            groups: spec.matching.cidr_groups.iter().map(|g| g.name.as_str().into()).collect(),
        }
    }

    /// Takes in events, as far as `allowed` nanoseconds of the budget go.
    pub(super) fn take(&mut self, report: &mut Report, allowed: u64, now: Now) -> Progress {
        let slice = SLICE_NS.min(allowed);
        let began = clock::thread_cpu_ns();
        self.read_addresses(report, now);
        let mut more = false;
        while let Some(events) = &mut self.events {
            more = clock::thread_cpu_ns() - began >= slice;
            if more {
                break;
            }
            let Some(cluster) = report.cluster() else { break };
            if self.begun.len() > 0 {
                for event in self.begun.by_ref().take(EVENTS) {
                    cluster.apply(event, now.mono_ms);
                }
                continue;
            }
            match events.try_recv() {
                Ok(events) => self.begun = events.into_iter(),
                Err(TryRecvError::Empty) => break,
                // The feed has ended: the names that are known stay.
                Err(TryRecvError::Disconnected) => self.events = None,
            }
        }
        // A list is taken in whole before names are given by it, if that does not take long: a
        // moment without names is better than a flash of wrong ones. Without budget, what is left
        // waits for the next reading.
        let soon = more && allowed >= SLICE_NS;
        let late = now.mono_ms.saturating_sub(self.named_ms) >= LATE_MS;
        let mut changed = false;
        if !soon || late {
            self.named_ms = now.mono_ms;
            changed = report.rename(now);
        }
        Progress { changed, more: soon }
    }

    /// The addresses of this node, of which the API server knows but some.
    fn read_addresses(&mut self, report: &mut Report, now: Now) {
        let due = self.addresses_ms.is_none_or(|last| now.mono_ms >= last + ADDRESSES_MS);
        if self.alone || !due {
            return;
        }
        if let Some(cluster) = report.cluster() {
            self.addresses_ms = Some(now.mono_ms);
            cluster.set_host(&node_addresses::read(Path::new("/proc")));
        }
    }

    /// Asks who stands behind the other ends of connections, as far as the rate and `allowed`
    /// nanoseconds of the budget go; `true` when that changed anything. What cannot be asked waits.
    pub(super) fn translate(
        &mut self,
        report: &mut Report,
        now_ns: u64,
        now: Now,
        allowed: u64,
    ) -> bool {
        let (slice, began) = (SLICE_NS.min(allowed), clock::thread_cpu_ns());
        let (mut changed, mut elsewhere) = (false, 0);
        while now_ns >= self.retry_ns {
            let wanted = report.waiting(now.mono_ms).min(QUESTIONS);
            let granted = self.limiter.take(now_ns, u32::try_from(wanted).unwrap_or(0));
            let questions = report.unanswered(granted as usize);
            if questions.is_empty() {
                break;
            }
            let Answers { answers, error, cpu_ns } = self.asker.ask(questions.clone());
            elsewhere += cpu_ns;
            for (_, answer) in &answers {
                let asked = match answer {
                    Translated::Entry(_) => Asked::Found,
                    Translated::Unknown => Asked::Missing,
                };
                self.asked[asked as usize] += 1;
            }
            let left = &questions[answers.len()..];
            self.asked[Asked::Unavailable as usize] += left.len() as u64;
            report.give_back(left, now);
            self.judge(error, now_ns);
            changed |= report.answer(&answers, now);
            if clock::thread_cpu_ns() - began + elsewhere >= slice {
                break;
            }
        }
        self.elsewhere_ns += elsewhere;
        changed
    }

    fn judge(&mut self, error: Option<Error>, now_ns: u64) {
        match error {
            None => self.error = None,
            Some(error) => {
                let message: Arc<str> = error.message().into();
                if self.error.as_deref() != Some(&*message) {
                    warn!(
                        error = &*message,
                        "connection tracking cannot be used; backends behind translated addresses stay unknown"
                    );
                }
                self.error = Some(message);
                self.retry_ns = now_ns + RETRY_NS;
            }
        }
    }

    /// What was asked so far, by result.
    pub(super) const fn asked(&self) -> [u64; Asked::ALL.len()] {
        self.asked
    }

    /// CPU time of the thread that asks, nanoseconds.
    pub(super) const fn elsewhere_ns(&self) -> u64 {
        self.elsewhere_ns
    }

    /// Why nothing can be asked, if that is so.
    pub(super) fn error(&self) -> Option<Arc<str>> {
        self.error.clone()
    }
}

impl Engine {
    /// Takes in what the feed says of the cluster, and names everything by it; `true` when there is
    /// more to take in.
    pub(super) fn take_events(&mut self, now: u64) -> bool {
        if self.report.cluster().is_none() {
            return false;
        }
        let cpu = clock::thread_cpu_ns();
        let allowed = self.setup.governor.charged(|budget, _| budget.headroom_ns());
        let progress = self.matching.take(&mut self.report, allowed, clock::now());
        if progress.changed {
            self.publish(now);
        }
        self.signs.matched(clock::thread_cpu_ns() - cpu);
        progress.more
    }

    /// Waits for the first lists, without budget: for `once`.
    pub(super) fn await_names(&mut self) {
        let began = clock::boot_ns();
        while self.matching.events.is_some() && clock::boot_ns() - began < PATIENCE_NS {
            let progress = self.matching.take(&mut self.report, u64::MAX, clock::now());
            if !progress.more && self.report.cluster().is_none_or(|cluster| cluster.is_synced()) {
                break;
            }
            thread::sleep(POLL);
        }
        self.translate();
    }

    /// Asks the kernel who stands behind the other ends of connections that it may have translated.
    pub(super) fn translate(&mut self) -> bool {
        let now = clock::now();
        if self.report.waiting(now.mono_ms) == 0 {
            return false;
        }
        let cpu = clock::thread_cpu_ns();
        let allowed = self.setup.governor.charged(|budget, _| budget.headroom_ns());
        let changed = self.matching.translate(&mut self.report, clock::boot_ns(), now, allowed);
        self.signs.matched(clock::thread_cpu_ns() - cpu);
        changed
    }
}

/// From the standard library's own source of randomness.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}
