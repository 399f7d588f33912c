//! Which network namespace of this node an address belongs to.
//!
//! In: the local ends of records as they come and go. Out: the namespace of an address, if it is one
//! alone. An address that two namespaces have is no one's for as long as both have a record with it,
//! and not longer. One without a record stays with who had it last, until another one shows it.
//!
//! Pure: no I/O.

use crate::facts::Endpoint;
use crate::hash::HashMap;

/// Addresses without a record that are remembered, to tell a peer on the node from one outside.
const IDLE: usize = 65_536;
/// Namespaces that are asked for the other end of one connection, where several have its address.
const ASKED: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Claim {
    netns: u32,
    records: u32,
}

#[derive(Debug)]
enum Claims {
    One(Claim),
    /// Each with a record, two at least.
    Several(Vec<Claim>),
}

/// The addresses of this node.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    claims: HashMap<u128, Claims>,
    /// Of those, without a record.
    idle: usize,
}

impl Addresses {
    /// The namespace that has it, if exactly one does.
    pub(super) fn of(&self, address: u128) -> Option<u32> {
        match self.claims.get(&address)? {
            Claims::One(claim) => Some(claim.netns),
            Claims::Several(_) => None,
        }
    }

    /// The namespaces that have it, if several do: clusters of kind on one machine, rootless containers, labs.
    pub(super) fn several(&self, address: u128) -> impl Iterator<Item = u32> + '_ {
        let all = match self.claims.get(&address) {
            Some(Claims::Several(all)) if all.len() <= ASKED => &all[..],
            _ => &[],
        };
        all.iter().map(|claim| claim.netns)
    }

    /// A record with this end came.
    pub(super) fn came(&mut self, netns: u32, at: Endpoint) {
        if at.is_loopback() || at.is_wildcard() {
            return;
        }
        if self.idle >= IDLE {
            self.claims
                .retain(|_, claims| !matches!(claims, Claims::One(Claim { records: 0, .. })));
            self.idle = 0;
        }
        let new = Claim { netns, records: 1 };
        let Some(claims) = self.claims.get_mut(&{ at.addr }) else {
            self.claims.insert(at.addr, Claims::One(new));
            return;
        };
        match claims {
            Claims::One(claim) if claim.records == 0 => {
                self.idle -= 1;
                *claim = new;
            }
            Claims::One(claim) if claim.netns == netns => claim.records += 1,
            Claims::One(claim) => *claims = Claims::Several(vec![*claim, new]),
            Claims::Several(all) => match all.iter_mut().find(|claim| claim.netns == netns) {
                Some(claim) => claim.records += 1,
                None => all.push(new),
            },
        }
    }

    /// A record with this end went.
    pub(super) fn went(&mut self, netns: u32, at: Endpoint) {
        let Some(claims) = self.claims.get_mut(&{ at.addr }) else { return };
        match claims {
            Claims::One(claim) => {
                if claim.netns == netns && claim.records > 0 {
                    claim.records -= 1;
                    self.idle += usize::from(claim.records == 0);
                }
            }
            Claims::Several(all) => {
                if let Some(n) = all.iter().position(|claim| claim.netns == netns) {
                    all[n].records -= 1;
                    if all[n].records == 0 {
                        all.swap_remove(n);
                    }
                }
                if let [last] = all[..] {
                    *claims = Claims::One(last);
                }
            }
        }
    }

    /// Namespaces went away, or their numbers are others' now: what has no record is forgotten.
    pub(super) fn keep(&mut self, stays: impl Fn(u32) -> bool) {
        let idle = &mut self.idle;
        self.claims.retain(|_, claims| match claims {
            Claims::One(Claim { netns, records: 0 }) if !stays(*netns) => {
                *idle -= 1;
                false
            }
            _ => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Endpoint {
        Endpoint::v4([10, 1, 1, 5].into(), 80)
    }

    fn owner(addresses: &Addresses) -> Option<u32> {
        addresses.of(at().addr)
    }

    #[test]
    fn an_address_that_two_have_is_no_ones_for_as_long_as_both_have_it() {
        let mut addresses = Addresses::default();
        addresses.came(1, at());
        addresses.came(2, at());
        addresses.came(2, at());
        assert_eq!(owner(&addresses), None);

        addresses.went(2, at());
        assert_eq!(owner(&addresses), None);
        addresses.went(1, at());

        assert_eq!(owner(&addresses), Some(2));
    }

    #[test]
    fn an_address_without_a_record_moves_to_who_shows_it() {
        let mut addresses = Addresses::default();
        addresses.came(1, at());
        addresses.went(1, at());
        assert_eq!(owner(&addresses), Some(1));

        addresses.came(2, at());

        assert_eq!(owner(&addresses), Some(2));
    }

    #[test]
    fn the_idle_addresses_of_a_namespace_go_with_it() {
        let mut addresses = Addresses::default();
        addresses.came(1, at());
        addresses.keep(|_| false);
        assert_eq!(owner(&addresses), Some(1));
        addresses.went(1, at());

        addresses.keep(|netns| netns != 1);

        assert_eq!((owner(&addresses), addresses.idle), (None, 0));
    }

    #[test]
    fn idle_addresses_are_bounded() {
        let mut addresses = Addresses::default();
        for n in 0..IDLE as u128 + 10 {
            let at = Endpoint { addr: 1 << 100 | n, port: 1 };
            addresses.came(1, at);
            addresses.went(1, at);
        }

        assert!(addresses.claims.len() <= IDLE);
    }
}
