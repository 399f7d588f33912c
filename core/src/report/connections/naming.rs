//! Names that come late: connections whose ends are called otherwise now.
//!
//! In: what changed about the cluster. Out: records and flows with the names of now. It must not
//! touch a connection that the change does not concern, nor take its name from one that is closed because
//! who had it is gone.
//!
//! Pure: no I/O.

use super::{Connections, Flows, Pass};
use crate::facts::State;
use crate::hash::HashSet;
use crate::names::NameId;
use crate::records::ConnectionRecord;
use crate::report::naming::Affected;
use crate::table::Slot;

impl Connections {
    /// Asks for the names of all connections that are affected; `true` when any is called
    /// otherwise.
    pub(in crate::report) fn rename(
        &mut self,
        affected: &Affected,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> bool {
        if affected.is_empty() {
            return false;
        }
        let takes = |slot: Slot, record: &ConnectionRecord| {
            affected.takes(record, self.peer_pod(slot, record), self.translated.behind(slot))
        };
        let slots = self.table.iter().filter(|(slot, record)| takes(*slot, record));
        let slots: Vec<Slot> = slots.map(|(slot, _)| slot).collect();
        let mut changed = false;
        for slot in slots {
            changed |= self.rename_one(slot, affected.is_everything(), flows, pass);
        }
        changed
    }

    fn rename_one(
        &mut self,
        slot: Slot,
        everything: bool,
        flows: &mut Flows,
        pass: &mut Pass<'_>,
    ) -> bool {
        let Some(&record) = self.table.get(slot) else { return false };
        let around = self.around(slot, &record, pass);
        let ends = pass.naming.ends(&record, &around);
        // It was with who had the address while it was open, and not with who has it by now. What is learnt at the
        // start, or set by someone, is true of it as well.
        let closed = record.state == State::TimeWait && !everything;
        if closed && pass.naming.is_gone(record.named.peer, ends.named.peer) {
            return false;
        }
        let key = flows.kept(super::resolve::flow_key(&record, &ends));
        let stays = !record.counted || flows.key(record.flow) == Some(key);
        if stays && ends.named == record.named {
            if ends.translated {
                self.translated.ask(slot, &record);
            }
            return false;
        }
        self.settle(slot, ConnectionRecord { changed: pass.epoch, ..record }, flows, pass);
        true
    }

    /// Names that connections hold.
    pub(in crate::report) fn held(&self, held: &mut HashSet<NameId>) {
        for (_, record) in self.table.iter() {
            held.extend(record.named.peer);
            held.extend(record.named.service);
        }
    }
}
