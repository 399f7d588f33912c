//! Which containers the report still speaks of.
//!
//! In: the tables of a report. Out: ids. It must not keep what it looked at: a table that is shared
//! is copied when it changes.
//!
//! Pure: no I/O.

use super::Report;
use crate::facts::ContainerId;
use crate::hash::HashSet;
use crate::records::Workload;

impl Report {
    /// The containers that processes, connections, listeners or flows name: an id that is not among
    /// them may be another container's from now on.
    #[must_use]
    pub fn held_containers(&self) -> HashSet<ContainerId> {
        let mut held = HashSet::default();
        let end = |workload| match workload {
            Workload::Container(id) => Some(id),
            _ => None,
        };
        held.extend(self.processes.freeze().iter().filter_map(|r| r.fact.container));
        for record in self.connections.freeze().iter() {
            held.extend(record.owner.pod());
            held.extend(end(record.peer));
        }
        held.extend(self.listeners.freeze().iter().filter_map(|r| r.owner.pod()));
        for record in self.flows.freeze().iter() {
            held.extend([record.key.source, record.key.destination].into_iter().filter_map(end));
        }
        held
    }
}
