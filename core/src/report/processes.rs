//! The table of processes.
//!
//! In: every process of a pass. Out: records whose identity is pid + start time, and whether any
//! known process changed its name or container. It must not keep what the pass did not see.
//!
//! Pure: no I/O.

use super::{Removals, Removed};
use crate::facts::{Facts, Loss, Losses};
use crate::hash::HashMap;
use crate::records::ProcessRecord;
use crate::table::{Epoch, Frozen, Slot, Table};

#[derive(Debug)]
pub(super) struct Processes {
    table: Table<ProcessRecord>,
    by_pid: HashMap<u32, Slot>,
    /// The pass in which each slot was last seen; beside the table, so that a pass on a quiet
    /// node writes no chunk that a snapshot shares.
    seen: Vec<u32>,
    pass: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Update {
    pub(super) changed: bool,
    /// A known process changed its name or container, so what it owns must be looked at again.
    pub(super) renamed: bool,
    /// Whose sockets may have another owner by now although no counter moved: who ended, runs another
    /// program, or has a new child. Sorted.
    pub(super) touched: Vec<u32>,
    /// Who has fewer open files than a pass ago: `(pid, start)`.
    pub(super) fewer: Vec<(u32, u64)>,
}

impl Processes {
    pub(super) fn new(limit: usize) -> Self {
        Self { table: Table::new(limit), by_pid: HashMap::default(), seen: Vec::new(), pass: 0 }
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.table.set_limit(limit);
    }

    pub(super) fn freeze(&self) -> Frozen<ProcessRecord> {
        self.table.freeze()
    }

    pub(super) fn update(
        &mut self,
        facts: &Facts,
        epoch: Epoch,
        removed: &mut Removals,
        losses: &mut Losses,
    ) -> Update {
        self.pass = self.pass.wrapping_add(1);
        let mut update = Update::default();
        for fact in &facts.processes {
            let known = self.by_pid.get(&fact.pid).copied();
            let known = known.and_then(|slot| Some((slot, *self.table.get(slot)?)));
            match known {
                Some((slot, record)) if record.fact.start_ns == fact.start_ns => {
                    self.seen[slot as usize] = self.pass;
                    if record.fact != *fact {
                        update.renamed |= record.fact.comm != fact.comm
                            || record.fact.container != fact.container;
                        if record.fact.comm != fact.comm {
                            update.touched.push(fact.pid);
                        }
                        if fact.open_fds < record.fact.open_fds && fact.open_fds.is_some() {
                            update.fewer.push((fact.pid, fact.start_ns));
                        }
                        update.changed = true;
                        if let Some(record) = self.table.get_mut(slot, epoch) {
                            *record = ProcessRecord { fact: *fact, changed: epoch };
                        }
                    }
                    continue;
                }
                // The pid was used again: the old process is gone, whatever its name.
                Some((slot, record)) => {
                    self.table.remove(slot, epoch);
                    removed.push(Removed::Process(record.fact.pid, record.fact.start_ns));
                    update.renamed = true;
                    update.touched.push(fact.pid);
                }
                None => update.touched.push(fact.ppid),
            }
            let Ok(slot) = self.table.insert(ProcessRecord { fact: *fact, changed: epoch }, epoch)
            else {
                losses.add(Loss::ProcessesFull, 1);
                continue;
            };
            self.seen.resize(self.table.slots(), 0);
            self.seen[slot as usize] = self.pass;
            self.by_pid.insert(fact.pid, slot);
            update.changed = true;
        }
        self.remove_unseen(epoch, removed, &mut update);
        update.touched.sort_unstable();
        update
    }

    fn remove_unseen(&mut self, epoch: Epoch, removed: &mut Removals, update: &mut Update) {
        for slot in 0..self.seen.len() {
            if self.seen[slot] == self.pass {
                continue;
            }
            let Ok(slot) = Slot::try_from(slot) else { break };
            if let Some(gone) = self.table.remove(slot, epoch) {
                if self.by_pid.get(&gone.fact.pid) == Some(&slot) {
                    self.by_pid.remove(&gone.fact.pid);
                }
                removed.push(Removed::Process(gone.fact.pid, gone.fact.start_ns));
                update.touched.push(gone.fact.pid);
                update.changed = true;
            }
        }
    }
}
