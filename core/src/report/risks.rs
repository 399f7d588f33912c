//! What is about to kill a pod: something that runs full.
//!
//! In: what a pass saw of each thing that can run full, as far as it is at least half on its way. Out: a
//! record for each that is a risk, with its owner and port. Who is at risk stays so until it is well clear of
//! the threshold, so that nothing flaps; what may fill for a moment on a healthy pod is looked at twice.
//! It must not look anything up, and one pod's risks must not take the place of another's.
//!
//! Pure: no I/O; time is an argument.

use super::{Now, Removals, Removed};
use crate::facts::{Comm, ContainerId, Endpoint, Loss, Losses};
use crate::hash::HashMap;
use crate::records::{Owner, Risk, RiskRecord};
use crate::table::{Epoch, Frozen, Slot, Table};

/// Risks that are kept; on a node where that many things run full one more helps no one.
const MOST: usize = 256;
/// Of one kind of one owner, so that one pod cannot fill the table.
const MOST_OF_ONE: usize = 16;
/// The last quarter is for owners that have no more than one of any kind.
const RESERVED: usize = MOST / 4;
/// What may fill for a moment is a risk when it is still full so much later, milliseconds.
const AGAIN_MS: u64 = 800;

/// What distinguishes one thing that can run full from another of its kind.
pub(super) type Subject = (u32, u64);

/// Whose something is: a pod's, by the container that determines it; a program's of one network namespace; else the namespace's.
type Whose = (Option<ContainerId>, u32, Comm);

/// How full something is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) subject: Subject,
    pub(super) owner: Owner,
    pub(super) netns: u32,
    pub(super) port: u16,
    pub(super) remote: Endpoint,
    pub(super) used: u64,
    pub(super) limit: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// `None` while it is only suspected.
    slot: Option<Slot>,
    since_ms: u64,
    whose: Whose,
    pass: u32,
}

/// What one pass changes besides the risks.
pub(super) struct Ledger<'a> {
    pub(super) now: Now,
    pub(super) epoch: Epoch,
    pub(super) removed: &'a mut Removals,
    pub(super) losses: &'a mut Losses,
}

#[derive(Debug)]
pub(super) struct Risks {
    table: Table<RiskRecord>,
    known: HashMap<(Risk, Subject), Known>,
    pass: u32,
    next_id: u64,
}

impl Level {
    fn whose(&self) -> Whose {
        match self.owner.pod() {
            Some(pod) => (Some(pod), 0, Comm::default()),
            None => (None, self.netns, self.owner.comm),
        }
    }
}

impl Default for Risks {
    fn default() -> Self {
        Self { table: Table::new(MOST), known: HashMap::default(), pass: 0, next_id: 1 }
    }
}

impl Risks {
    pub(super) fn freeze(&self) -> Frozen<RiskRecord> {
        self.table.freeze()
    }

    /// Whether something is suspected, so that it is worth another look soon.
    pub(super) fn suspects(&self) -> bool {
        self.known.values().any(|known| known.slot.is_none())
    }

    /// Judges all of one kind: what is not among the levels is no risk any more. `true` when a record
    /// changed; removals are counted in the ledger.
    pub(super) fn judge(&mut self, risk: Risk, levels: &[Level], ledger: &mut Ledger<'_>) -> bool {
        if levels.is_empty() && self.known.is_empty() {
            return false;
        }
        self.pass = self.pass.wrapping_add(1);
        let mut changed = false;
        for level in levels {
            changed |= self.look(risk, level, ledger);
        }
        let Self { table, known, pass, .. } = self;
        known.retain(|(kind, _), known| {
            let stays = *kind != risk || known.pass == *pass;
            if !stays
                && let Some(gone) = known.slot.and_then(|slot| table.remove(slot, ledger.epoch))
            {
                ledger.removed.push(Removed::Risk(gone.id));
            }
            stays
        });
        changed
    }

    fn look(&mut self, risk: Risk, level: &Level, ledger: &mut Ledger<'_>) -> bool {
        let Level { used, limit, .. } = *level;
        let whose = level.whose();
        let key = (risk, level.subject);
        let high = risk.high(used, limit);
        let known = match self.known.get(&key) {
            Some(known) if known.slot.is_some() || high => *known,
            None if high => {
                if !self.has_room(risk, &whose) {
                    ledger.losses.add(Loss::RisksFull, 1);
                    return false;
                }
                Known { slot: None, since_ms: ledger.now.mono_ms, whose, pass: self.pass }
            }
            _ => return false,
        };
        let mut known = Known { pass: self.pass, ..known };
        let changed = if let Some(slot) = known.slot {
            self.rewrite(slot, level, ledger)
        } else {
            known.slot = self.raise(risk, level, known.since_ms, ledger);
            known.slot.is_some()
        };
        self.known.insert(key, known);
        changed
    }

    fn has_room(&self, risk: Risk, whose: &Whose) -> bool {
        let own = || self.known.iter().filter(|(_, known)| known.whose == *whose);
        let of_kind = own().filter(|(key, _)| key.0 == risk).count();
        let all = self.known.len();
        let reserved = all >= MOST - RESERVED;
        of_kind < MOST_OF_ONE && all < MOST && (!reserved || own().count() < 2)
    }

    /// What is a risk already: written only if it differs.
    fn rewrite(&mut self, slot: Slot, level: &Level, ledger: &Ledger<'_>) -> bool {
        let Level { used, limit, owner, port, .. } = *level;
        let differs =
            |r: &RiskRecord| (r.used, r.limit, r.owner, r.port) != (used, limit, owner, port);
        if !self.table.get(slot).is_some_and(differs) {
            return false;
        }
        if let Some(record) = self.table.get_mut(slot, ledger.epoch) {
            (record.used, record.limit) = (used, limit);
            (record.owner, record.port) = (owner, port);
            record.changed = ledger.epoch;
        }
        true
    }

    /// What is suspected since then: a risk at once, or when it was seen for long enough.
    fn raise(
        &mut self,
        risk: Risk,
        level: &Level,
        since_ms: u64,
        ledger: &Ledger<'_>,
    ) -> Option<Slot> {
        if risk.passes() && ledger.now.mono_ms.saturating_sub(since_ms) < AGAIN_MS {
            return None;
        }
        let record = RiskRecord {
            id: self.next_id,
            risk,
            owner: level.owner,
            netns: level.netns,
            port: level.port,
            remote: level.remote,
            used: level.used,
            limit: level.limit,
            since_ms: ledger.now.unix_ms,
            changed: ledger.epoch,
        };
        let slot = self.table.insert(record, ledger.epoch).ok()?;
        self.next_id += 1;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        risks: Risks,
        removed: Removals,
        losses: Losses,
        ms: u64,
    }

    impl Scene {
        fn new() -> Self {
            let (removed, losses) = (Removals::default(), Losses::default());
            Self { risks: Risks::default(), removed, losses, ms: 10_000 }
        }

        /// A second later, these are so full: `(netns, used, limit)`. How many are risks then.
        fn pass(&mut self, risk: Risk, of: &[(u32, u64, u64)]) -> usize {
            self.ms += 1000;
            let level = |(n, &(netns, used, limit)): (usize, &(u32, u64, u64))| Level {
                subject: (netns, n as u64),
                owner: Owner::default(),
                netns,
                port: 80,
                remote: Endpoint::default(),
                used,
                limit,
            };
            let levels: Vec<_> = of.iter().enumerate().map(level).collect();
            let reported: Vec<_> =
                levels.into_iter().filter(|l| risk.still(l.used, l.limit)).collect();
            self.judge(risk, &reported)
        }

        fn judged(&mut self, levels: &[Level]) -> usize {
            self.ms += 1000;
            self.judge(Risk::OpenFiles, levels)
        }

        fn judge(&mut self, risk: Risk, levels: &[Level]) -> usize {
            let now = Now { unix_ms: self.ms, mono_ms: self.ms };
            let Self { risks, removed, losses, .. } = self;
            risks.judge(risk, levels, &mut Ledger { now, epoch: self.ms, removed, losses });
            risks.table.len()
        }
    }

    #[test]
    fn a_queue_that_is_full_for_a_moment_is_none_and_one_that_stays_full_is() {
        let mut scene = Scene::new();
        let queue = |used| [(1, used, 128)];

        assert_eq!(scene.pass(Risk::AcceptQueue, &queue(128)), 0);
        assert!(scene.risks.suspects());
        assert_eq!(scene.pass(Risk::AcceptQueue, &queue(3)), 0);
        assert!(!scene.risks.suspects());
        assert_eq!(scene.pass(Risk::AcceptQueue, &queue(129)), 0);
        assert_eq!(scene.pass(Risk::AcceptQueue, &queue(129)), 1);
    }

    #[test]
    fn what_is_a_risk_stays_one_until_it_is_well_clear() {
        let mut scene = Scene::new();
        let files = |used| [(1, used, 1000)];

        assert_eq!(scene.pass(Risk::OpenFiles, &files(790)), 0);
        assert_eq!(scene.pass(Risk::OpenFiles, &files(800)), 1);
        assert_eq!(scene.pass(Risk::OpenFiles, &files(710)), 1);
        assert_eq!(scene.pass(Risk::OpenFiles, &files(690)), 0);
        assert_eq!(scene.pass(Risk::OpenFiles, &files(790)), 0);
        assert_eq!(scene.removed.count(), 1);
    }

    #[test]
    fn two_that_wait_are_no_risk_for_a_backlog_of_two_and_three_are() {
        let mut scene = Scene::new();
        for _ in 0..3 {
            assert_eq!(scene.pass(Risk::AcceptQueue, &[(1, 2, 2)]), 0);
        }
        scene.pass(Risk::AcceptQueue, &[(1, 3, 2)]);

        assert_eq!(scene.pass(Risk::AcceptQueue, &[(1, 3, 2)]), 1);
    }

    #[test]
    fn the_risks_of_one_kind_say_nothing_of_another() {
        let mut scene = Scene::new();
        scene.pass(Risk::OpenFiles, &[(1, 900, 1000)]);

        assert_eq!(scene.pass(Risk::Conntrack, &[(0, 900, 1000)]), 2);
        assert_eq!(scene.pass(Risk::Conntrack, &[]), 1);
    }

    #[test]
    fn one_pod_does_not_take_the_place_of_another() {
        let mut scene = Scene::new();
        let many = vec![(1, 900, 1000); 1000];
        assert_eq!(scene.pass(Risk::OpenFiles, &many), MOST_OF_ONE);
        assert_eq!(scene.losses.get(Loss::RisksFull), 1000 - MOST_OF_ONE as u64);

        assert_eq!(scene.pass(Risk::OpenFiles, &[&many[..], &[(2, 900, 1000)]].concat()), 17);
    }

    #[test]
    fn a_program_of_the_host_does_not_take_the_place_of_another() {
        let mut scene = Scene::new();
        let level = |comm: &str, n: u64| Level {
            subject: (1, n),
            owner: Owner { comm: Comm::new(comm.as_bytes()), ..Owner::default() },
            netns: 1,
            port: 0,
            remote: Endpoint::default(),
            used: 900,
            limit: 1000,
        };
        let mut levels: Vec<_> = (0..40).map(|n| level("nginx", n)).collect();
        levels.push(level("kubelet", 99));

        assert_eq!(scene.judged(&levels), MOST_OF_ONE + 1);
    }

    #[test]
    fn many_owners_with_many_leave_places_for_those_with_one() {
        let mut scene = Scene::new();
        let many: Vec<_> = (0..400).map(|n| (n % 20, 900, 1000)).collect();
        assert_eq!(scene.pass(Risk::OpenFiles, &many), MOST - RESERVED);

        let one = (77, 900, 1000);
        assert_eq!(scene.pass(Risk::OpenFiles, &[&many[..], &[one]].concat()), MOST - RESERVED + 1);
    }

    #[test]
    fn a_limit_that_is_not_known_is_none_that_is_reached() {
        for risk in [Risk::OpenFiles, Risk::EphemeralPorts, Risk::Conntrack] {
            assert!(!risk.high(900, 0) && !risk.still(900, 0));
        }
    }
}
