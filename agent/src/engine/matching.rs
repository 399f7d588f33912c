//! Match: takes in what the feed tells of the cluster, and asks the kernel what stands behind the
//! addresses of Services.
//!
//! In: batches of events through a bounded channel, connections to Services. Out: a report in which
//! things have their names. It must not talk to the API server, nor work through more at a time
//! than a slice of the budget: what is left in the channel holds the feed back.
//!
//! I/O: connection tracking, through [`crate::discover::conntrack`].

use super::clock;
use crate::config::Effective;
use crate::discover::conntrack::{Conntrack, Error};
use crate::snapshot::Asked;
use probelet_core::budget;
use probelet_core::cluster::cidr::{Cidr, Table};
use probelet_core::cluster::objects::Event;
use probelet_core::cluster::{Cluster, Grain, Peers, ServiceMatching, Settings};
use probelet_core::report::{Now, Report, Translated};
use probelet_crds::{Granularity, Peers as SpecPeers, ServiceMatching as SpecMatching};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, error::TryRecvError};
use tracing::warn;

/// CPU time for news at a time, nanoseconds.
const SLICE_NS: u64 = 2_000_000;
/// Connections asked about at a time: a millisecond's worth, at 6 to 9 µs each.
const QUESTIONS: usize = 128;
/// Connections asked about in a second, on average; more wait for the next pass.
const QUESTIONS_PER_SECOND: u32 = 1000;
/// After a refusal, connection tracking is left alone for so long.
const RETRY_NS: u64 = 60_000_000_000;

/// What news led to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// Anything is called otherwise.
    pub(super) changed: bool,
    /// More of it waits.
    pub(super) more: bool,
}

/// The feed's end, and connection tracking.
#[derive(Debug)]
pub(super) struct Matching {
    news: Option<Receiver<Vec<Event>>>,
    node: Arc<str>,
    conntrack: Conntrack,
    limiter: budget::Limiter,
    asked: [u64; Asked::ALL.len()],
    error: Option<Arc<str>>,
    retry_ns: u64,
}

impl Matching {
    /// Has the report name things, if there is a cluster, or if ranges of addresses have names.
    pub(super) fn new(
        news: Option<Receiver<Vec<Event>>>,
        config: &Effective,
        node: &Arc<str>,
        report: &mut Report,
    ) -> Self {
        let matching = Self {
            news,
            node: Arc::clone(node),
            conntrack: Conntrack::new(Path::new("/proc")),
            limiter: budget::Limiter::new(QUESTIONS_PER_SECOND),
            asked: [0; Asked::ALL.len()],
            error: None,
            retry_ns: 0,
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
            alone: self.news.is_none(),
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

    /// Takes in news, as far as `room` nanoseconds of the budget go.
    pub(super) fn take(&mut self, report: &mut Report, room: u64, now: Now) -> News {
        let slice = SLICE_NS.min(room);
        let began = clock::thread_cpu_ns();
        let mut more = false;
        while let Some(news) = &mut self.news {
            more = clock::thread_cpu_ns() - began >= slice;
            if more {
                break;
            }
            match news.try_recv() {
                Ok(events) => {
                    let Some(cluster) = report.cluster() else { break };
                    events.into_iter().for_each(|event| cluster.apply(event, now.mono_ms));
                }
                Err(TryRecvError::Empty) => break,
                // The feed has ended: the names that are known stay.
                Err(TryRecvError::Disconnected) => self.news = None,
            }
        }
        // A list is taken in whole before names are given by it, for a flash of wrong ones is worse
        // than a moment without any; after it, or when there is no room, by what is known.
        let changed = !(more && room >= SLICE_NS) && report.rename(now);
        News { changed, more }
    }

    /// Asks for the backends of connections to Services that are new; `true` when any is known now.
    pub(super) fn translate(&mut self, report: &mut Report, now_ns: u64, now: Now) -> bool {
        let granted = self.limiter.take(now_ns, u32::try_from(QUESTIONS).unwrap_or(0));
        let questions = report.unanswered(granted as usize);
        if now_ns < self.retry_ns {
            self.asked[Asked::Unavailable as usize] += questions.len() as u64;
            return false;
        }
        let mut answers = Vec::with_capacity(questions.len());
        let outcome = self.conntrack.open().and_then(|mut batch| {
            for question in questions {
                let found =
                    batch.backend(question.protocol, question.local, question.remote)?;
                answers.push((question, found.map_or(Translated::Unknown, Translated::To)));
            }
            Ok(())
        });
        self.judge(outcome, now_ns);
        for (_, answer) in &answers {
            let asked = match answer {
                Translated::To(_) => Asked::Found,
                Translated::Unknown => Asked::Missing,
            };
            self.asked[asked as usize] += 1;
        }
        report.answer(&answers, now)
    }

    fn judge(&mut self, outcome: Result<(), Error>, now_ns: u64) {
        match outcome {
            Ok(()) => self.error = None,
            Err(error) => {
                let sentence: Arc<str> = error.sentence().into();
                if self.error.as_deref() != Some(&*sentence) {
                    warn!(error = &*sentence, "backends of Services stay unknown");
                }
                self.error = Some(sentence);
                self.asked[Asked::Unavailable as usize] += 1;
                self.retry_ns = now_ns + RETRY_NS;
            }
        }
    }

    /// What was asked so far, by result.
    pub(super) const fn asked(&self) -> [u64; Asked::ALL.len()] {
        self.asked
    }

    /// Why nothing can be asked, if that is so.
    pub(super) fn error(&self) -> Option<Arc<str>> {
        self.error.clone()
    }
}

/// From the standard library's own source of randomness.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}
