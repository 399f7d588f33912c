//! The table of flows: connections counted by (source, destination, port, protocol).
//!
//! In: connections that open, close, move bytes or turn out to belong elsewhere. Out: counts that
//! outlive the connections. A flow for which its owner's share of the table has no place is counted in
//! one of that owner with `other`, and where not even that has one, in a flow of `other` alone.
//!
//! Pure: no I/O; time is an argument.

mod shares;

use super::health::Samples;
use super::{Pass, Removed};
use crate::facts::Loss;
use crate::hash::{self, HashMap, HashSet};
use crate::names::NameId;
use crate::records::{FlowKey, FlowRecord, Health, Origin, Workload};
use crate::table::{Frozen, Slot, Table};
use hashbrown::HashTable;
use shares::{Account, Shares};

/// Of the flows, that many more stand for those of one owner that have no place of their own, and so
/// many at least.
const FOLDED_PART: usize = 16;
const FOLDED_LEAST: usize = 16;
/// Other nodes that sources are kept apart by. A connection from another node is that node's to report; its
/// name is there to tell whether anything does. Beyond, it is one of the others.
const NODES: usize = 64;
/// Flows that stand for all that has no other place: one a protocol, for sources here, outside and elsewhere.
const ALL_OTHER: usize = 6;
/// How often idle flows are looked for, milliseconds.
const SWEEP_MS: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Flows {
    table: Table<FlowRecord>,
    /// By the key that stands in the table already.
    by_key: HashTable<Slot>,
    shares: Shares,
    /// For whom the flow in each slot is counted; none for those that stand for others.
    accounts: Vec<Option<Account>>,
    /// Flows that have an account.
    counted: usize,
    /// Flows from each of the nodes that are kept apart.
    nodes: HashMap<NameId, usize>,
    limit: usize,
    next_id: u64,
    swept_ms: u64,
}

/// What all flows without a place are counted in: apart by reporter, so that the sum of one stays right.
fn other(key: &FlowKey) -> FlowKey {
    let (protocol, origin) = (key.protocol, folded_origin(key));
    FlowKey {
        source: Workload::Other,
        destination: Workload::Other,
        service: None,
        port: 0,
        service_port: 0,
        protocol,
        origin,
    }
}

/// Where the sources of folded flows are.
pub(super) const fn folded_origin(key: &FlowKey) -> Origin {
    match key.origin {
        Origin::Here => Origin::Here,
        Origin::Outside => Origin::Outside,
        _ => Origin::OtherNode,
    }
}

impl Flows {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            table: Table::new(Self::most(limit)),
            by_key: HashTable::new(),
            shares: Shares::default(),
            accounts: Vec::new(),
            counted: 0,
            nodes: HashMap::default(),
            limit,
            next_id: 1,
            swept_ms: 0,
        }
    }

    /// And those for `other` alone.
    const fn most(limit: usize) -> usize {
        limit + limit / FOLDED_PART + FOLDED_LEAST + ALL_OTHER
    }

    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.table.set_limit(Self::most(limit));
    }

    pub(super) fn freeze(&self) -> Frozen<FlowRecord> {
        self.table.freeze()
    }

    pub(super) fn key(&self, slot: Slot) -> Option<FlowKey> {
        self.table.get(slot).map(|f| f.key)
    }

    /// A key as this table keeps it: sources on one node too many are on one of the others.
    pub(super) fn kept(&self, key: FlowKey) -> FlowKey {
        match key.origin {
            Origin::Node(id) if self.nodes.len() >= NODES && !self.nodes.contains_key(&id) => {
                FlowKey { origin: Origin::OtherNode, ..key }
            }
            _ => key,
        }
    }

    /// The number of the flow in that place, which no later one there has; 0 when there is none.
    pub(super) fn id(&self, slot: Slot) -> u64 {
        self.table.get(slot).map_or(0, |flow| flow.id)
    }

    fn find(&self, key: &FlowKey) -> Option<Slot> {
        let same = |slot: &Slot| self.table.get(*slot).is_some_and(|flow| flow.key == *key);
        self.by_key.find(hash::of(key), same).copied()
    }

    /// Finds or makes the flow of `own`, which is one of its ends; `u32::MAX` only if not even `other`
    /// has a place.
    pub(super) fn slot(&mut self, key: FlowKey, own: Workload, pass: &mut Pass<'_>) -> Slot {
        if let Some(slot) = self.find(&key) {
            return slot;
        }
        let account = Account::of(&key, own);
        if self.shares.admit(account, self.counted, self.limit) {
            return self.make(key, Some(account), pass);
        }
        pass.losses.add(Loss::FlowsFull, 1);
        let (folded, all) = (account.folded(&key), other(&key));
        if let Some(slot) = self.find(&folded) {
            return slot;
        }
        if self.table.len() + ALL_OTHER < Self::most(self.limit) {
            return self.make(folded, None, pass);
        }
        match self.find(&all) {
            Some(slot) => slot,
            None => self.make(all, None, pass),
        }
    }

    fn make(&mut self, key: FlowKey, account: Option<Account>, pass: &Pass<'_>) -> Slot {
        let record = FlowRecord {
            id: self.next_id,
            key,
            current: 0,
            opened: 0,
            closed: 0,
            moved: [0; 2],
            bytes_sent: 0,
            bytes_received: 0,
            health: Health::default(),
            active_ms: pass.now.mono_ms,
            changed: pass.epoch,
        };
        let Ok(slot) = self.table.insert(record, pass.epoch) else { return Slot::MAX };
        self.next_id += 1;
        let table = &self.table;
        let rehash = |slot: &Slot| table.get(*slot).map_or(0, |flow| hash::of(flow.key));
        self.by_key.insert_unique(hash::of(key), slot, rehash);
        if let Origin::Node(id) = key.origin {
            *self.nodes.entry(id).or_default() += 1;
        }
        self.accounts.resize(self.table.slots(), None);
        self.accounts[slot as usize] = account;
        if let Some(account) = account {
            self.shares.came(account);
            self.counted += 1;
        }
        slot
    }

    /// Writes one flow.
    pub(super) fn change(
        &mut self,
        slot: Slot,
        pass: &Pass<'_>,
        change: impl FnOnce(&mut FlowRecord),
    ) {
        if let Some(flow) = self.table.get_mut(slot, pass.epoch) {
            change(flow);
            flow.active_ms = pass.now.mono_ms;
            flow.changed = pass.epoch;
        }
    }

    /// A reading of everything is over: its round-trip times are each flow's, and what was recent fades.
    /// Whether anything changed. None of that makes a flow active.
    pub(super) fn settle_health(&mut self, samples: &mut Samples, pass: &Pass<'_>) -> bool {
        let mut changed = false;
        samples.add_ended(|slot, id| self.id(slot) == id);
        let rtts = samples.settle(self.table.slots());
        for (slot, &rtt) in (0..).zip(rtts) {
            let Some(&flow) = self.table.get(slot) else { continue };
            let health = flow.health.settled(rtt);
            if health != flow.health
                && let Some(flow) = self.table.get_mut(slot, pass.epoch)
            {
                flow.health = health;
                flow.changed = pass.epoch;
                changed = true;
            }
        }
        changed
    }

    /// Drops a flow that holds nothing and never did: its connections turned out to be another's.
    pub(super) fn drop_if_empty(&mut self, slot: Slot, pass: &mut Pass<'_>) {
        let empty = |f: &FlowRecord| {
            f.current == 0
                && f.opened == 0
                && f.closed == 0
                && f.health.failed == 0
                && f.counted_once() == [0; 2]
        };
        if self.table.get(slot).is_some_and(empty) {
            self.remove(slot, pass);
        }
    }

    /// Drops flows that had no connection for `ttl_ms`; `true` when any went.
    pub(super) fn expire(&mut self, ttl_ms: u64, pass: &mut Pass<'_>) -> bool {
        if pass.now.mono_ms.saturating_sub(self.swept_ms) < SWEEP_MS {
            return false;
        }
        self.swept_ms = pass.now.mono_ms;
        let idle = |f: &FlowRecord| {
            f.current == 0
                && (f.key.source, f.key.destination) != (Workload::Other, Workload::Other)
                && pass.now.mono_ms.saturating_sub(f.active_ms) > ttl_ms
        };
        let gone: Vec<Slot> =
            self.table.iter().filter(|(_, f)| idle(f)).map(|(slot, _)| slot).collect();
        let any = !gone.is_empty();
        for slot in gone {
            self.remove(slot, pass);
        }
        any
    }

    /// Names that flows hold.
    pub(super) fn held(&self, held: &mut HashSet<NameId>) {
        held.extend(self.table.iter().flat_map(|(_, flow)| flow.key.names()));
    }

    fn remove(&mut self, slot: Slot, pass: &mut Pass<'_>) {
        if let Some(flow) = self.table.remove(slot, pass.epoch) {
            if let Ok(entry) = self.by_key.find_entry(hash::of(flow.key), |&other| other == slot) {
                entry.remove();
            }
            if let Origin::Node(id) = flow.key.origin
                && let Some(flows) = self.nodes.get_mut(&id)
            {
                *flows -= 1;
                if *flows == 0 {
                    self.nodes.remove(&id);
                }
            }
            if let Some(account) = self.accounts[slot as usize].take() {
                self.shares.went(account);
                self.counted -= 1;
            }
            pass.removed.push(Removed::Flow(flow.id));
        }
    }
}
