//! What is largest on the node: flows by connections, programs by CPU.
//!
//! In: pictures, one after the other. Out: the first few of each. CPU is that of the time between two pictures, or of a
//! process's whole life before there are two; what began and ended in between is not seen. It must not hold more than one
//! number for each process.
//!
//! Pure: no I/O, no clock: pictures know their time.

use super::figures;
use probelet_core::display::{ContainerNames, ends};
use probelet_core::facts::{Comm, ContainerId};
use probelet_core::hash::HashMap;
use probelet_core::records::{FlowRecord, ProcessRecord, Workload};
use probelet_core::report::Picture;
use probelet_crds::{Top, TopFlow, TopProcess};
use std::cmp::Reverse;

/// Names are cut to so many bytes: a status is 2 KiB in all.
const NAME: usize = 63;
/// Programs below this are not worth a name: a thousandth of a core in ten thousand.
const LEAST_CORES: f64 = 1e-4;

/// CPU time of each process when the last status was written.
#[derive(Debug, Default)]
pub(super) struct Tops {
    before: HashMap<(u32, u64), u64>,
    /// When that was, milliseconds since boot.
    at_ms: u64,
}

impl Tops {
    /// The largest `n` of each.
    pub(super) fn of(&mut self, picture: &Picture, names: &ContainerNames, n: usize) -> Top {
        Top { flows: flows(picture, names, n), processes: self.processes(picture, n) }
    }

    fn processes(&mut self, picture: &Picture, n: usize) -> Vec<TopProcess> {
        let now = picture.now.mono_ms;
        let elapsed = now.saturating_sub(self.at_ms);
        let mut programs: HashMap<(Comm, Option<ContainerId>), f64> = HashMap::default();
        for ProcessRecord { fact, .. } in picture.processes.iter() {
            let began = self.before.get(&(fact.pid, fact.start_ns));
            let (cpu, ms) = match began {
                Some(&before) if elapsed > 0 => (fact.cpu_ns.saturating_sub(before), elapsed),
                _ => (fact.cpu_ns, now.saturating_sub(fact.start_ns / 1_000_000).max(1000)),
            };
            *programs.entry((fact.comm, fact.container)).or_default() += cores(cpu, ms);
        }
        self.remember(picture);
        let mut programs: Vec<_> =
            programs.into_iter().filter(|&(_, cores)| cores >= LEAST_CORES).collect();
        // Ties in the order of names, so that the same load is written the same.
        programs.sort_unstable_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        let shown = programs.into_iter().take(n).map(|((comm, container), cores)| TopProcess {
            // The schema of the status has a form of its own for what cannot be shown.
            comm: String::from_utf8_lossy(comm.bytes()).into_owned(),
            pod: container
                .and_then(|id| picture.pod(id))
                .map(|pod| figures::cut(&pod.to_string(), NAME * 2)),
            cpu: figures::cpu(cores),
        });
        shown.collect()
    }

    fn remember(&mut self, picture: &Picture) {
        self.at_ms = picture.now.mono_ms;
        let seen = picture.processes.iter().map(|p| ((p.fact.pid, p.fact.start_ns), p.fact.cpu_ns));
        self.before.clear();
        self.before.extend(seen);
    }
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn cores(cpu_ns: u64, ms: u64) -> f64 {
    cpu_ns as f64 / (ms as f64 * 1e6)
}

fn flows(picture: &Picture, names: &ContainerNames, n: usize) -> Vec<TopFlow> {
    // What stands for everything else is not one flow.
    let mut flows: Vec<&FlowRecord> =
        picture.flows.iter().filter(|f| f.current > 0 && f.key.source != Workload::Other).collect();
    let order = |flow: &&FlowRecord| Reverse((flow.current, flow.opened, Reverse(flow.id)));
    if n == 0 {
        return Vec::new();
    }
    if flows.len() > n {
        flows.select_nth_unstable_by_key(n - 1, order);
        flows.truncate(n);
    }
    flows.sort_unstable_by_key(order);
    let end = |workload| figures::cut(&ends::workload(picture, names, workload), NAME);
    let shown = flows.into_iter().map(|flow| TopFlow {
        source: end(flow.key.source),
        destination: end(flow.key.destination),
        port: flow.key.port.into(),
        protocol: flow.key.protocol.name().to_owned(),
        connections: figures::count(flow.current.into()),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_core::facts::{Facts, Process, Want};
    use probelet_core::join::PortRange;
    use probelet_core::report::{Limits, Now, Report};

    /// A node a hundred seconds after boot, and so many seconds later, with processes that used so much CPU.
    fn picture(seconds: u64, processes: &[(u32, &str, u64)]) -> Picture {
        let process = |&(pid, comm, cpu_ms): &(u32, &str, u64)| Process {
            pid,
            start_ns: 1,
            comm: Comm::new(comm.as_bytes()),
            cpu_ns: cpu_ms * 1_000_000,
            ..Process::default()
        };
        let processes = processes.iter().map(process).collect();
        let facts = Facts { fresh: Some(Want::Everything), processes, ..Facts::default() };
        let now = Now { unix_ms: 0, mono_ms: 100_000 + seconds * 1000 };
        let mut report = Report::new(Limits::default(), PortRange::default());
        report.update(&facts, now);
        report.picture(now)
    }

    fn shown(top: &Top) -> Vec<String> {
        top.processes.iter().map(|p| format!("{} {}", p.comm, p.cpu)).collect()
    }

    #[test]
    fn before_there_are_two_pictures_the_whole_life_counts() {
        let mut tops = Tops::default();

        let top = tops.of(
            &picture(0, &[(1, "init", 1000), (2, "db", 50_000)]),
            &ContainerNames::default(),
            5,
        );

        assert_eq!(shown(&top), ["db 500m", "init 10m"]);
    }

    #[test]
    fn then_what_was_used_between_them_counts_and_processes_of_a_name_are_one() {
        let mut tops = Tops::default();
        tops.of(
            &picture(0, &[(1, "db", 50_000), (2, "web", 0), (3, "web", 0)]),
            &ContainerNames::default(),
            5,
        );

        let later = picture(10, &[(1, "db", 50_100), (2, "web", 2000), (3, "web", 3000)]);
        let top = tops.of(&later, &ContainerNames::default(), 5);

        assert_eq!(shown(&top), ["web 500m", "db 10m"]);
    }

    #[test]
    fn no_more_are_named_than_asked_for_and_idle_ones_never() {
        let mut tops = Tops::default();
        let node = picture(0, &[(1, "a", 900), (2, "b", 800), (3, "c", 700), (4, "idle", 0)]);

        assert_eq!(tops.of(&node, &ContainerNames::default(), 2).processes.len(), 2);
        assert_eq!(tops.of(&node, &ContainerNames::default(), 0), Top::default());
    }
}
