//! Hands batches of events to the engine, which looks now and then and is never woken.
//!
//! In: the events of one piece of a body. Out: batches through the bounded channel. While the channel is full the batch
//! under construction grows to [`BATCH`], so that a server that sends object by object is not held to a few objects for
//! each look of the engine. It must not drop an event.
//!
//! I/O: the channel only.

use super::end::End;
use probelet_core::cluster::objects::Event;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Bytes of JSON that make a batch full.
const BATCH: usize = 64 << 10;

/// Events on their way to the engine.
pub(super) struct Outbox<'a> {
    events: &'a mpsc::Sender<Vec<Event>>,
    batch: Vec<Event>,
    bytes: usize,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(events: &'a mpsc::Sender<Vec<Event>>) -> Self {
        Self { events, batch: Vec::new(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Takes in what so many bytes held, and hands it over if there is room. Whether the batch is full and waits.
    pub(super) fn put(&mut self, mut events: Vec<Event>, bytes: usize) -> Result<bool, End> {
        if self.batch.is_empty() {
            self.batch = events;
        } else {
            self.batch.append(&mut events);
        }
        self.bytes += bytes;
        if self.batch.is_empty() {
            self.bytes = 0;
            return Ok(false);
        }
        match self.events.try_reserve() {
            Ok(place) => {
                place.send(std::mem::take(&mut self.batch));
                self.bytes = 0;
                Ok(false)
            }
            Err(TrySendError::Full(())) => Ok(self.bytes >= BATCH),
            Err(TrySendError::Closed(())) => Err(End::Closed),
        }
    }

    /// Hands over what there is as soon as there is room. Nothing is lost if this is given up.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let place = self.events.reserve().await.map_err(|_| End::Closed)?;
        place.send(std::mem::take(&mut self.batch));
        self.bytes = 0;
        Ok(())
    }
}
