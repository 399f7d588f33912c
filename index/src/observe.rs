//! Telling someone who joined and who left.
//!
//! In: changes inside the index. Out: one event for each pod that an owner gained or lost. An
//! index without an observer has the type [`Silent`] and not even looks for what changed.
//!
//! Pure: no I/O.

use super::{OwnerId, PodId};

/// An owner's selector now selects a pod that it did not, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event {
    /// Whose selector.
    pub owner: OwnerId,
    /// Which pod. Where it was removed, its id may be given away from now on.
    pub pod: PodId,
    /// Gained, or else lost.
    pub gained: bool,
}

/// Receives every change while the index makes it; the index can be asked again afterwards.
pub trait Observe {
    /// Whether anybody listens.
    const LISTENS: bool = true;

    /// One pod more or less for one owner.
    fn changed(&mut self, event: Event);
}

/// No one listens: costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observe for Silent {
    const LISTENS: bool = false;

    fn changed(&mut self, _: Event) {}
}

/// Keeps every event until it is taken out. Anyone who uses it bounds it by taking them out.
impl Observe for Vec<Event> {
    fn changed(&mut self, event: Event) {
        self.push(event);
    }
}
