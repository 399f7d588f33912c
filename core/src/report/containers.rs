//! The table of containers that have processes.
//!
//! In: the processes of a pass, and what cgroup files say. Out: one record per container.
//!
//! Pure: no I/O.

use super::{Removals, Removed};
use crate::facts::{ContainerId, Facts};
use crate::hash::HashMap;
use crate::records::ContainerRecord;
use crate::table::{Epoch, Frozen, Slot, Table};

#[derive(Debug)]
pub(super) struct Containers {
    table: Table<ContainerRecord>,
    by_id: HashMap<ContainerId, Slot>,
    counts: HashMap<ContainerId, u32>,
}

impl Default for Containers {
    fn default() -> Self {
        // Bounded by the processes: no container stands here without one.
        Self {
            table: Table::new(usize::MAX),
            by_id: HashMap::default(),
            counts: HashMap::default(),
        }
    }
}

impl Containers {
    pub(super) fn freeze(&self) -> Frozen<ContainerRecord> {
        self.table.freeze()
    }

    pub(super) fn count(&mut self, facts: &Facts, epoch: Epoch, removed: &mut Removals) -> bool {
        self.counts.clear();
        for id in facts.processes.iter().filter_map(|p| p.container) {
            if id == ContainerId::UNKNOWN {
                continue;
            }
            *self.counts.entry(id).or_default() += 1;
        }
        let mut changed = false;
        let Self { table, by_id, counts } = self;
        by_id.retain(|id, &mut slot| {
            let stays = counts.contains_key(id);
            if !stays {
                table.remove(slot, epoch);
                removed.push(Removed::Container(*id));
                changed = true;
            }
            stays
        });
        for (&id, &processes) in counts.iter() {
            if let Some(&slot) = by_id.get(&id) {
                if table.get(slot).is_some_and(|r| r.processes == processes) {
                    continue;
                }
                if let Some(record) = table.get_mut(slot, epoch) {
                    record.processes = processes;
                    record.changed = epoch;
                }
            } else {
                let record = ContainerRecord {
                    id,
                    processes,
                    cpu_ns: None,
                    memory_bytes: None,
                    changed: epoch,
                };
                if let Ok(slot) = table.insert(record, epoch) {
                    by_id.insert(id, slot);
                }
            }
            changed = true;
        }
        changed
    }

    pub(super) fn usage(
        &mut self,
        usage: impl Iterator<Item = (ContainerId, Option<u64>, Option<u64>)>,
        epoch: Epoch,
    ) -> bool {
        let mut changed = false;
        for (id, cpu_ns, memory_bytes) in usage {
            let Some(&slot) = self.by_id.get(&id) else { continue };
            if self
                .table
                .get(slot)
                .is_some_and(|r| (r.cpu_ns, r.memory_bytes) == (cpu_ns, memory_bytes))
            {
                continue;
            }
            if let Some(record) = self.table.get_mut(slot, epoch) {
                *record = ContainerRecord { cpu_ns, memory_bytes, changed: epoch, ..*record };
                changed = true;
            }
        }
        changed
    }
}
