//! Which processes hold which socket: the result of all walks so far.
//!
//! In: "process P holds socket N" and "no longer". Out: the holders of a socket. It must not grow
//! past its bound; what does not fit is found again by the next search.
//!
//! Pure: no I/O.

use probelet_core::hash::HashMap;

/// Nearly every socket has one holder: no allocation for those.
#[derive(Debug)]
enum Pids {
    One(u32),
    Many(Vec<u32>),
}

/// Socket inode → pids.
#[derive(Debug)]
pub(super) struct Holders {
    by_inode: HashMap<u32, Pids>,
    max: usize,
}

impl Holders {
    /// Will know `max` sockets at most.
    #[must_use]
    pub(super) fn new(max: usize) -> Self {
        Self { by_inode: HashMap::default(), max }
    }

    /// Will know another number at most; more that are known already stay until their processes are walked.
    pub(super) const fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Who holds a socket, as far as is known.
    #[must_use]
    pub(super) fn of(&self, inode: u32) -> &[u32] {
        match self.by_inode.get(&inode) {
            None => &[],
            Some(Pids::One(pid)) => std::slice::from_ref(pid),
            Some(Pids::Many(pids)) => pids,
        }
    }

    /// A walk found the socket. `needed` ones are kept beyond the bound.
    pub(super) fn add(&mut self, inode: u32, pid: u32, needed: bool) {
        let full = self.by_inode.len() >= self.max;
        match self.by_inode.get_mut(&inode) {
            None if full && !needed => {}
            None => {
                self.by_inode.insert(inode, Pids::One(pid));
            }
            Some(Pids::One(known)) if *known == pid => {}
            Some(pids @ Pids::One(_)) => {
                let Pids::One(known) = *pids else { return };
                *pids = Pids::Many(vec![known, pid]);
            }
            Some(Pids::Many(known)) => {
                if !known.contains(&pid) {
                    known.push(pid);
                }
            }
        }
    }

    /// The process has closed the socket, or has ended.
    pub(super) fn remove(&mut self, inode: u32, pid: u32) {
        let Some(pids) = self.by_inode.get_mut(&inode) else { return };
        let gone = match pids {
            Pids::One(known) => *known == pid,
            Pids::Many(known) => {
                known.retain(|known| *known != pid);
                known.is_empty()
            }
        };
        if gone {
            self.by_inode.remove(&inode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_socket_has_every_holder_once() {
        let mut holders = Holders::new(10);
        for pid in [3, 4, 3, 5, 4] {
            holders.add(9, pid, false);
        }

        assert_eq!(holders.of(9), [3, 4, 5]);
        holders.remove(9, 4);
        holders.remove(9, 3);
        holders.remove(9, 5);
        assert!(holders.of(9).is_empty());
        assert!(holders.by_inode.is_empty());
    }

    #[test]
    fn beyond_the_bound_only_needed_sockets_are_kept() {
        let mut holders = Holders::new(1);
        holders.add(1, 7, false);
        holders.add(2, 7, false);
        holders.add(3, 7, true);

        assert!(holders.of(2).is_empty());
        assert_eq!(holders.of(3), [7]);
    }
}
