//! Trial: whether the canaries that stopped a rollout are better off without it.
//!
//! In: the canaries for whose sake a change was taken back, and how each is once it works by the content before. Out: whether
//! all of them are as they were with the change, which then was not the reason: another load came upon them, or someone
//! who means to stop the rollout. Who refuses a configuration is not tried: nothing else can have brought that about.
//! Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};

use crate::pace::Millis;
use crate::queue::NodeId;

/// A change is tried on other canaries so often.
const TRIES: u8 = 2;

/// Suspects, and who is not to be a canary of this change again.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// Since when each works by the content before.
    suspects: BTreeMap<NodeId, Option<Millis>>,
    excused: BTreeSet<NodeId>,
    tries: u8,
}

/// What a suspect is like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It cannot be asked any more.
    Gone,
    /// It does not work by the content before yet.
    Waits,
    /// It does, and is as bad as it was.
    Bad,
    /// It does, and is well.
    Well,
}

impl Trial {
    /// These failed without having refused.
    pub(super) fn open(&mut self, suspects: Vec<NodeId>) {
        let fresh = self.tries < TRIES;
        self.suspects = suspects.into_iter().filter(|_| fresh).map(|id| (id, None)).collect();
    }

    /// Whether a node has been acquitted and is to be left alone.
    #[must_use]
    pub fn excuses(&self, id: NodeId) -> bool {
        self.excused.contains(&id)
    }

    /// Looks at all suspects; `lasting` is how long each must have been back before its state says anything. Whether all
    /// are acquitted: then the change may be tried on others.
    pub fn look(&mut self, now: Millis, lasting: Millis, is: impl Fn(NodeId) -> Outcome) -> bool {
        if self.suspects.is_empty() {
            return false;
        }
        let mut proven = true;
        let mut over = false;
        for (&id, since) in &mut self.suspects {
            match is(id) {
                Outcome::Gone => over = true,
                Outcome::Waits => (*since, proven) = (None, false),
                Outcome::Well if since.is_some_and(|since| now >= since + lasting) => over = true,
                Outcome::Well | Outcome::Bad => {
                    let since = *since.get_or_insert(now);
                    proven &= now >= since + lasting;
                }
            }
        }
        if over {
            self.suspects.clear();
            return false;
        }
        if proven {
            self.excused.extend(std::mem::take(&mut self.suspects).into_keys());
            self.tries += 1;
        }
        proven
    }

    /// When, after `now`, [`Trial::look`] may come to something without a report.
    #[must_use]
    pub fn deadline(&self, now: Millis, lasting: Millis) -> Option<Millis> {
        let times = self.suspects.values().flatten().map(|since| since + lasting);
        // Whose time has passed waits for the others.
        times.filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Trial {
        let mut trial = Trial::default();
        trial.open(vec![1, 2]);
        trial
    }

    #[test]
    fn who_stays_as_bad_without_the_change_acquits_it() {
        let mut trial = opened();

        assert!(!trial.look(0, 100, |_| Outcome::Waits));
        assert!(!trial.look(10, 100, |_| Outcome::Bad));
        assert_eq!(trial.deadline(10, 100), Some(110));
        assert!(!trial.look(109, 100, |_| Outcome::Bad));
        assert!(trial.look(110, 100, |_| Outcome::Bad));
        assert!(trial.excuses(1) && trial.excuses(2) && !trial.excuses(3));
        assert!(!trial.look(500, 100, |_| Outcome::Bad), "it is over");
    }

    #[test]
    fn who_is_well_again_convicts_it() {
        let mut trial = opened();
        let one_is_well = |id| if id == 1 { Outcome::Well } else { Outcome::Bad };

        trial.look(0, 100, one_is_well);
        assert!(!trial.look(100, 100, one_is_well));
        assert!(!trial.look(1000, 100, |_| Outcome::Bad));
    }

    #[test]
    fn whose_time_has_passed_wakes_no_one_while_others_are_waited_for() {
        let mut trial = opened();
        let one_waits = |id| if id == 1 { Outcome::Bad } else { Outcome::Waits };

        trial.look(0, 100, one_waits);
        assert!(!trial.look(100, 100, one_waits));
        assert_eq!(trial.deadline(100, 100), None);
        trial.look(150, 100, |_| Outcome::Bad);
        assert_eq!(trial.deadline(150, 100), Some(250));
    }

    #[test]
    fn who_is_gone_proves_nothing() {
        let mut trial = opened();

        assert!(!trial.look(0, 100, |id| if id == 1 { Outcome::Gone } else { Outcome::Bad }));
        assert!(!trial.look(1000, 100, |_| Outcome::Bad));
    }

    #[test]
    fn a_change_is_not_tried_for_ever() {
        let mut trial = Trial::default();
        for _ in 0..TRIES {
            trial.open(vec![7]);
            trial.look(0, 0, |_| Outcome::Bad);
        }

        trial.open(vec![8]);

        assert!(!trial.look(0, 0, |_| Outcome::Bad));
    }
}
