//! Sockets that change hands although no counter of the kernel moves: a process passes one on over a Unix
//! socket and closes its own end of it.
//!
//! In: processes with fewer open files than a pass ago, and the sockets as they were read last. Out: whether
//! it is worth reading them again. Files are opened and closed all the time, so a process whose loss was
//! none of sockets is believed again only after a while, and each time after a longer one.
//!
//! Pure: no I/O; time is an argument.

use crate::facts::Socket;
use crate::hash::HashMap;

/// How long a process is not believed for after the first time that it closed other files than sockets; four
/// times as long after each further one.
const FIRST_PAUSE_MS: u64 = 4_000;
const LONGEST_PAUSE_MS: u64 = 3_600_000;
/// Processes that are remembered for that.
const KNOWN: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Pause {
    start_ns: u64,
    until_ms: u64,
    length_ms: u64,
}

/// A process with fewer files.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    pid: u32,
    start_ns: u64,
}

#[derive(Debug, Default)]
pub(super) struct Hands {
    /// How many sockets each process held at the last reading.
    held: HashMap<u32, usize>,
    suspects: Vec<Suspect>,
    pauses: HashMap<u32, Pause>,
    /// One was given away at the last reading, and may have been on its way then.
    on_its_way: bool,
}

impl Hands {
    /// Looks at who has fewer files: `(pid, start)`. Whether sockets are to be read.
    pub(super) fn look(&mut self, fewer: &[(u32, u64)], now_ms: u64) -> bool {
        for &(pid, start_ns) in fewer {
            let pause = self.pauses.get(&pid).filter(|pause| pause.start_ns == start_ns);
            if pause.is_some_and(|pause| now_ms < pause.until_ms)
                || self.suspects.iter().any(|suspect| suspect.pid == pid)
                || !self.held.contains_key(&pid)
            {
                continue;
            }
            self.suspects.push(Suspect { pid, start_ns });
        }
        std::mem::take(&mut self.on_its_way) || !self.suspects.is_empty()
    }

    /// Sockets were read: were those right that it was done for?
    pub(super) fn settle(&mut self, sockets: &[Socket], now_ms: u64) {
        let before: Vec<_> =
            self.suspects.iter().map(|suspect| self.held.get(&suspect.pid).copied()).collect();
        self.held.clear();
        // Those of one process mostly come together.
        for of_one in sockets.chunk_by(|a, b| a.pid == b.pid) {
            if of_one[0].pid != 0 {
                *self.held.entry(of_one[0].pid).or_default() += of_one.len();
            }
        }
        for (Suspect { pid, start_ns }, before) in self.suspects.drain(..).zip(before) {
            if self.held.get(&pid).copied() < before {
                self.pauses.remove(&pid);
                self.on_its_way = true;
                continue;
            }
            if self.pauses.len() >= KNOWN {
                self.pauses.retain(|_, pause| now_ms < pause.until_ms);
            }
            if self.pauses.len() >= KNOWN {
                self.pauses.clear();
            }
            let known = self.pauses.get(&pid).filter(|pause| pause.start_ns == start_ns);
            let longer = |pause: &Pause| (pause.length_ms * 4).min(LONGEST_PAUSE_MS);
            let length_ms = known.map_or(FIRST_PAUSE_MS, longer);
            self.pauses.insert(pid, Pause { start_ns, until_ms: now_ms + length_ms, length_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(pid: u32, held: u32) -> Vec<Socket> {
        (0..held).map(|inode| Socket { inode: inode + 1, pid, ..Socket::default() }).collect()
    }

    /// A process holds so many.
    fn holding(pid: u32, held: u32) -> Hands {
        let mut hands = Hands::default();
        hands.settle(&sockets(pid, held), 0);
        hands
    }

    #[test]
    fn who_has_fewer_files_and_holds_sockets_may_have_given_one_away() {
        let mut hands = holding(7, 2);

        assert!(!hands.look(&[(8, 1)], 0), "it holds none");
        assert!(!hands.look(&[], 0));
        assert!(hands.look(&[(7, 1)], 0));
    }

    #[test]
    fn what_was_given_away_is_looked_for_once_more() {
        let mut hands = holding(7, 2);
        hands.look(&[(7, 1)], 0);

        hands.settle(&sockets(7, 1), 0);

        assert!(hands.look(&[], 1000), "it may have been on its way");
        hands.settle(&sockets(7, 1), 1000);
        assert!(!hands.look(&[], 2000));
        assert!(hands.look(&[(7, 1)], 2000), "it was right, and is believed");
    }

    #[test]
    fn who_gave_the_last_one_away_was_right() {
        let mut hands = holding(7, 1);
        hands.look(&[(7, 1)], 0);

        hands.settle(&[], 0);

        assert!(hands.on_its_way && hands.pauses.is_empty());
    }

    #[test]
    fn who_closes_other_files_all_the_time_is_believed_ever_more_rarely() {
        let (mut hands, sockets) = (holding(7, 2), sockets(7, 2));
        let mut read = Vec::new();
        for second in 0..2000 {
            if hands.look(&[(7, 1)], second * 1000) {
                hands.settle(&sockets, second * 1000);
                read.push(second);
            }
        }

        assert_eq!(read, [0, 4, 20, 84, 340, 1364]);
    }

    #[test]
    fn a_pid_that_is_used_again_is_someone_else() {
        let mut hands = holding(7, 2);
        hands.look(&[(7, 1)], 0);
        hands.settle(&sockets(7, 2), 0);

        assert!(!hands.look(&[(7, 1)], 1000));
        assert!(hands.look(&[(7, 2)], 1000));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut hands = Hands::default();
        for pid in 1..10_000 {
            let sockets = sockets(pid, 1);
            hands.settle(&sockets, 0);
            hands.look(&[(pid, 1)], 0);
            hands.settle(&sockets, 0);
        }

        assert!(hands.pauses.len() <= KNOWN);
    }
}
