//! CPU time of workloads, whatever begins, ends or is started again around a scrape.

use super::*;
use crate::serve::testing::snapshot;
use probelet_core::facts::{Container, Process};
use probelet_core::records::{ContainerRecord, ProcessRecord};
use probelet_core::table::Table;

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
        let record = ContainerRecord { id, processes: 1, cpu_ns, memory_bytes: None, changed: 1 };
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
fn counted(scrapes: &[(&[(u32, u64)], Option<u64>)]) -> Vec<(String, f64)> {
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
