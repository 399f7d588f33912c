//! Takes in the parts of a body and makes a batch of events of them.
//!
//! In: lines of a watch, parts of a list. Out: events, the version to go on from, counts of what was wrong. It must not
//! put events into another order or leave one out because it looks old: that is for those who know what they had.
//!
//! Pure: no I/O.

use crate::kube::failure::Failure;
use crate::kube::split::{Part, TooLarge};
use crate::kube::status::Malformed;
use crate::names::wire::{self, Line, ListMetadata};
use probelet_core::cluster::objects::{Event, Kind};

/// What one piece of a body amounted to, and where the watch stands.
pub(super) struct Intake {
    kind: Kind,
    /// Where the next watch goes on.
    pub(super) version: String,
    /// The list has begun and is not complete.
    pub(super) listing: bool,
    pub(super) batch: Vec<Event>,
    /// Objects in all, those included of which nothing can be made.
    pub(super) changes: u64,
    pub(super) wrong: [u64; Malformed::ALL.len()],
    /// The last line of a watch that the server gave up.
    pub(super) failure: Option<Failure>,
    /// Of the last page of a list.
    pub(super) metadata: ListMetadata,
}

impl Intake {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            version: String::new(),
            listing: false,
            batch: Vec::new(),
            changes: 0,
            wrong: Default::default(),
            failure: None,
            metadata: ListMetadata::default(),
        }
    }

    /// A body begins, the first of a list if so it is.
    pub(super) fn begin(&mut self, listing: bool) {
        self.failure = None;
        self.metadata = ListMetadata::default();
        self.listing = listing;
        if listing {
            self.batch.push(Event::Listing(self.kind));
        }
    }

    /// The list is complete.
    pub(super) fn end_list(&mut self) {
        if std::mem::take(&mut self.listing) {
            self.batch.push(Event::Listed(self.kind));
        }
    }

    /// Takes in a line of a watch.
    pub(super) fn line(&mut self, line: Result<&[u8], TooLarge>) {
        let Self { kind, version, wrong, .. } = self;
        let Ok(text) = line else { return self.too_large() };
        // After its last word a server says nothing more.
        if self.failure.is_some() {
            return;
        }
        let mut wrong = |fault: Malformed| wrong[fault as usize] += 1;
        match wire::line(*kind, text, version, &mut wrong) {
            Line::Change(event) => {
                self.changes += 1;
                self.batch.extend(event);
            }
            Line::Bookmark(true) => self.end_list(),
            Line::Bookmark(false) => {}
            Line::Failed(failure) => self.failure = Some(failure),
        }
    }

    /// Takes in a part of a list.
    pub(super) fn part(&mut self, part: Part<'_>) {
        match part {
            Part::Metadata(text) => {
                self.metadata = serde_json::from_slice(text).unwrap_or_default();
            }
            Part::Item(Ok(text)) => {
                let wrong = &mut self.wrong;
                let mut wrong = |fault: Malformed| wrong[fault as usize] += 1;
                self.changes += 1;
                self.batch.extend(wire::item(self.kind, text, &mut wrong));
            }
            Part::Item(Err(TooLarge)) => self.too_large(),
        }
    }

    fn too_large(&mut self) {
        self.changes += 1;
        self.wrong[Malformed::TooLarge as usize] += 1;
    }
}
