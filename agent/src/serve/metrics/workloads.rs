//! Metrics about what each workload of the node uses.
//!
//! In: a snapshot. Out: families whose labels are names, never a pid or an address: everything
//! outside of the node is `external`. Counters are kept here as sums of growth, because several
//! records share one name, and records come and go while a series stays.
//!
//! What grew and went away between two scrapes is not counted; a flow stays in the report for
//! minutes after its last connection, so only a process that lives shorter than the scrape
//! interval is. Neither is what was used before the first scrape: an agent that is restarted would
//! otherwise count weeks of CPU time at once, as far as those who used it still live.
//!
//! Pure: no I/O, no clock; time is an argument.

#![expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]

use super::SeriesLimits;
use super::family::Families;
use super::series::{Sample, Series};
use crate::snapshot::Snapshot;
use probelet_core::display::{
    DisplayNames,
    series::{self, OTHER},
};
use probelet_core::facts::ContainerId;
use probelet_core::hash::{HashMap, HashSet};
use probelet_core::records::Workload;
use std::collections::BTreeMap;
use std::time::Instant;

/// Series of one workload: CPU time, open files, memory.
const PER_WORKLOAD: usize = 3;
/// Of ten series, that many are for flows and the others for workloads. A fixed share, so that
/// neither can push out what the other exports.
pub(super) const FLOW_SHARE: usize = 6;

/// Whose a workload is: its namespace's, or its own.
fn namespace(name: &str) -> &str {
    name.split_once('/').map_or(name, |(namespace, _)| namespace)
}

/// CPU time; open files, memory.
type UsageSample = Sample<1, 2>;

/// What each workload uses.
#[derive(Default)]
pub(super) struct Usage {
    series: Series<Box<str>, 1, 2>,
    /// CPU time of each process at the last scrape, by pid and start.
    processes: HashMap<(u32, u64), u64>,
    /// CPU time of each container at the last scrape, from its cgroup.
    containers: HashMap<ContainerId, u64>,
    /// Containers whose cgroup said nothing yet, so that their processes were added up.
    summed: HashSet<ContainerId>,
    /// There was a scrape before: who is new by now has used all of its CPU time since.
    begun: bool,
}

impl Usage {
    pub(super) fn update(
        &mut self,
        snapshot: &Snapshot,
        labels: &DisplayNames,
        limits: SeriesLimits,
        now: Instant,
    ) {
        let mut samples: BTreeMap<Box<str>, UsageSample> = BTreeMap::new();
        let measured = self.cgroups(snapshot, labels, &mut samples);
        self.add_up(snapshot, labels, &measured, &mut samples);
        self.begun = true;
        let share = limits.max_series - limits.max_series * FLOW_SHARE / 10;
        let room = (share / PER_WORKLOAD).saturating_sub(1);
        self.series
            .update(now, &samples, room, limits.ttl, |name| Box::<str>::from(namespace(name)));
    }

    /// Containers by their cgroups; returns those whose CPU time is known from there.
    fn cgroups(
        &mut self,
        snapshot: &Snapshot,
        labels: &DisplayNames,
        samples: &mut BTreeMap<Box<str>, UsageSample>,
    ) -> HashSet<ContainerId> {
        let mut last = HashMap::default();
        for container in snapshot.picture.containers.iter() {
            let Some(cpu_ns) = container.cpu_ns else { continue };
            // What its processes were counted for before must not be counted again.
            let counted = self.summed.remove(&container.id) || !self.begun;
            let first = if counted { cpu_ns } else { 0 };
            let before = self.containers.get(&container.id).copied().unwrap_or(first);
            last.insert(container.id, cpu_ns);
            // One that was stopped and started again has a new cgroup, which counts from 0.
            let again = cpu_ns < before / 2;
            let grown = seconds(if again { cpu_ns } else { cpu_ns.saturating_sub(before) });
            let memory = container.memory_bytes.unwrap_or(0) as f64;
            let sample =
                Sample { counters: [grown], gauges: [0.0, memory], weight: seconds(cpu_ns) };
            samples
                .entry(series::workload(
                    Workload::Container(container.id),
                    labels,
                    &snapshot.picture,
                ))
                .or_default()
                .add(&sample);
        }
        self.containers = last;
        self.containers.keys().copied().collect()
    }

    fn add_up(
        &mut self,
        snapshot: &Snapshot,
        labels: &DisplayNames,
        measured: &HashSet<ContainerId>,
        samples: &mut BTreeMap<Box<str>, UsageSample>,
    ) {
        let mut last = HashMap::default();
        let mut summed = HashSet::default();
        for record in snapshot.picture.processes.iter() {
            let process = &record.fact;
            let identity = (process.pid, process.start_ns);
            let first = if self.begun { 0 } else { process.cpu_ns };
            let before = self.processes.get(&identity).copied().unwrap_or(first);
            last.insert(identity, process.cpu_ns);
            let fds = f64::from(process.open_fds.unwrap_or(0));
            let grown = seconds(process.cpu_ns.saturating_sub(before));
            let alone = Sample {
                counters: [grown],
                gauges: [fds, process.rss_bytes as f64],
                weight: seconds(process.cpu_ns),
            };
            let (workload, sample) = match process.container {
                Some(id) if measured.contains(&id) => {
                    let files = Sample { counters: [0.0], gauges: [fds, 0.0], weight: 0.0 };
                    (Workload::Container(id), files)
                }
                Some(id) => {
                    summed.insert(id);
                    (Workload::Container(id), alone)
                }
                None => (Workload::Process(process.comm), alone),
            };
            samples
                .entry(series::workload(workload, labels, &snapshot.picture))
                .or_default()
                .add(&sample);
        }
        self.processes = last;
        self.summed = summed;
    }

    pub(super) fn add(&self, families: &mut Families) {
        let rows: Vec<(&str, &UsageSample)> = {
            let own = self.series.iter().map(|(name, value)| (&**name, value));
            own.chain(self.series.other().map(|value| (OTHER, value))).collect()
        };
        let labelled = |pick: fn(&UsageSample) -> f64| {
            rows.iter().map(move |(name, v)| ([("workload", *name)], pick(v)))
        };
        families.counter(
            "probelet_workload_cpu_seconds_total",
            "CPU time of a workload of the cluster, a container, or all processes of one name outside of containers, in seconds.",
            labelled(|v| v.counters[0]),
        );
        families.gauge(
            "probelet_workload_open_fds",
            "Open file descriptors of a workload of the cluster, a container, or all processes of one name outside of containers.",
            labelled(|v| v.gauges[0]),
        );
        families.gauge(
            "probelet_workload_memory_bytes",
            "Memory of a workload of the cluster, a container (its cgroup's), or all processes of one name (resident), in bytes.",
            labelled(|v| v.gauges[1]),
        );
    }

    /// Series exported and folded.
    pub(super) fn count(&self) -> (f64, f64) {
        let (exported, folded) = self.series.count();
        ((exported * PER_WORKLOAD) as f64, (folded * PER_WORKLOAD) as f64)
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::testing::snapshot;
    use probelet_core::facts::{Comm, Container, Process};
    use probelet_core::records::{ContainerRecord, ProcessRecord};
    use probelet_core::report::Picture;
    use probelet_core::table::Table;

    /// Processes by pid and CPU seconds, and the CPU seconds of a container.
    type Scrape<'a> = (&'a [(u32, u64)], Option<u64>);

    /// A node with a process outside of containers for each of these, by pid, and a container with so much CPU time.
    fn node(processes: &[(u32, u64)], container: Option<u64>) -> Snapshot {
        let mut table = Table::new(16);
        for &(pid, cpu) in processes {
            let comm = Comm::new(b"worker");
            let fact = Process { pid, comm, cpu_ns: cpu * 1_000_000_000, ..Process::default() };
            table.insert(ProcessRecord { fact, changed: 1 }, 1).unwrap();
        }
        let mut containers = Table::new(16);
        if let Some(cpu) = container {
            let cpu_ns = Some(cpu * 1_000_000_000);
            let id = ContainerId(0);
            let record =
                ContainerRecord { id, processes: 1, cpu_ns, memory_bytes: None, changed: 1 };
            containers.insert(record, 1).unwrap();
        }
        let names = [Container { id: "web".into(), ..Container::default() }].into();
        let (processes, containers) = (table.freeze(), containers.freeze());
        Snapshot {
            picture: Picture { processes, containers, names, ..Picture::default() },
            ..snapshot()
        }
    }

    /// What the counters of `worker` and of the container show after these scrapes, in seconds.
    fn counted(scrapes: &[Scrape<'_>]) -> Vec<(String, f64)> {
        let mut usage = Usage::default();
        for (processes, container) in scrapes {
            let snapshot = node(processes, *container);
            let (none, names) = (std::sync::Arc::default(), std::sync::Arc::default());
            let labels = DisplayNames::refresh(&none, &snapshot.picture, &names);
            usage.update(&snapshot, &labels, SeriesLimits::default(), Instant::now());
        }
        usage.series.iter().map(|(name, value)| (name.to_string(), value.counters[0])).collect()
    }

    fn both(worker: f64, web: f64) -> Vec<(String, f64)> {
        vec![("web".to_owned(), web), ("worker".to_owned(), worker)]
    }

    #[test]
    fn what_was_used_before_the_agent_began_is_not_counted_when_it_is_started_again() {
        let weeks = 2_000_000;

        let first = counted(&[(&[(7, weeks)], Some(weeks))]);
        let second = counted(&[(&[(7, weeks)], Some(weeks)), (&[(7, weeks + 3)], Some(weeks + 4))]);

        assert_eq!(first, both(0.0, 0.0));
        assert_eq!(second, both(3.0, 4.0));
    }

    #[test]
    fn who_begins_later_is_counted_from_its_beginning() {
        let all = counted(&[(&[(7, 100)], None), (&[(7, 100), (8, 2)], Some(5))]);

        assert_eq!(all, both(2.0, 5.0));
    }

    #[test]
    fn a_container_that_is_started_again_goes_on_counting() {
        let all = counted(&[(&[], Some(100)), (&[], Some(110)), (&[], Some(3)), (&[], Some(4))]);

        assert_eq!(all, [("web".to_owned(), 14.0)]);
    }
}
