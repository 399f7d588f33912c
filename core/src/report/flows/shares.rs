//! Who may have how much of a table that all workloads of a node share.
//!
//! In: how many entries each account holds. Out: whether it may have one more. What one pod, program
//! or peer does must not take the place of another: the last places are for those who hold few.
//!
//! Pure: no I/O.

use crate::hash::HashMap;
use crate::records::{FlowKey, Workload};

/// Entries that every account may have for as long as there is any place.
const FEW: usize = 8;
/// Of the table, what accounts above their fair share leave free for the others.
const FOR_OTHERS: usize = 4;
/// Of the table, what all but the smallest accounts leave free.
const FOR_FEW: usize = 8;

/// For whom an entry is counted: what a workload connects to, who from outside connects to it, and who
/// else does are three accounts, so that a scan from outside does not hide what it connects to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Account {
    owner: Workload,
    kind: u8,
}

impl Account {
    pub(super) fn of(key: &FlowKey, own: Workload) -> Self {
        let kind = match (own == key.source, key.source) {
            (true, _) => 0,
            (false, Workload::External(_)) => 1,
            (false, _) => 2,
        };
        Self { owner: own, kind }
    }

    /// The flow that stands for those of this account that have no place of their own.
    pub(super) fn folded(self, key: &FlowKey) -> FlowKey {
        let (source, destination) = match self.kind {
            0 => (self.owner, Workload::Other),
            _ => (Workload::Other, self.owner),
        };
        FlowKey {
            source,
            destination,
            service: None,
            port: 0,
            service_port: 0,
            protocol: key.protocol,
            origin: super::folded_origin(key),
        }
    }
}

/// How many entries each account holds.
#[derive(Debug, Default)]
pub(super) struct Shares {
    held: HashMap<Account, usize>,
}

impl Shares {
    /// Whether one more entry has a place, of `limit` of which `all` are taken.
    pub(super) fn admit(&self, account: Account, all: usize, limit: usize) -> bool {
        if all >= limit {
            return false;
        }
        let held = self.held.get(&account).copied().unwrap_or(0);
        if held < FEW || all < limit - limit.div_ceil(FOR_OTHERS) {
            return true;
        }
        let fair = limit / (self.held.len() + 1);
        held < fair && all < limit - limit.div_ceil(FOR_FEW)
    }

    pub(super) fn came(&mut self, account: Account) {
        *self.held.entry(account).or_default() += 1;
    }

    pub(super) fn went(&mut self, account: Account) {
        if let Some(held) = self.held.get_mut(&account) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Address, ContainerId, Protocol};

    const LIMIT: usize = 400;

    fn account(n: u32) -> Account {
        Account { owner: Workload::Container(ContainerId(n)), kind: 0 }
    }

    /// As many as it can get.
    fn fill(shares: &mut Shares, account: Account, all: &mut usize) -> usize {
        let before = *all;
        while shares.admit(account, *all, LIMIT) {
            shares.came(account);
            *all += 1;
        }
        *all - before
    }

    #[test]
    fn one_alone_leaves_a_quarter_to_others() {
        let (mut shares, mut all) = (Shares::default(), 0);

        assert_eq!(fill(&mut shares, account(1), &mut all), 300);
        assert_eq!(fill(&mut shares, account(2), &mut all), 50);
    }

    #[test]
    fn many_that_are_greedy_leave_places_for_those_who_have_few() {
        let (mut shares, mut all) = (Shares::default(), 0);
        for n in 0..5 {
            fill(&mut shares, account(n), &mut all);
        }
        assert!(all < LIMIT);

        assert_eq!(fill(&mut shares, account(99), &mut all), FEW.min(LIMIT - all));
    }

    #[test]
    fn what_is_given_back_is_free_again() {
        let (mut shares, mut all) = (Shares::default(), 0);
        fill(&mut shares, account(1), &mut all);
        (0..10).for_each(|_| shares.went(account(1)));

        assert_eq!(fill(&mut shares, account(1), &mut { all - 10 }), 10);
    }

    #[test]
    fn a_scan_from_outside_is_another_account_than_what_its_victim_connects_to() {
        let own = Workload::Container(ContainerId(1));
        let key = |source, destination| FlowKey {
            source,
            destination,
            port: 80,
            protocol: Protocol::Tcp,
            ..FlowKey::default()
        };
        let scan = key(Workload::External(Address(7)), own);
        let out = key(own, Workload::External(Address(7)));

        assert_ne!(Account::of(&scan, own), Account::of(&out, own));
        let folded = Account::of(&scan, own).folded(&scan);
        assert_eq!((folded.source, folded.destination), (Workload::Other, own));
    }
}
