//! The body of a response: rendered and encoded piece by piece, when the client has room for it.
//!
//! In: a [`Renderer`] and an encoding, or finished bytes. Out: frames for the server. Memory is one
//! piece and the encoder; a client that reads slowly costs no more.
//!
//! I/O: reads the thread's CPU clock, to learn what a response costs.

use super::encoding::Encoder;
use super::kept::Keeping;
use super::render::Renderer;
use crate::serve::Shared;
use crate::serve::http::watch::Phase;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Room for a piece and the records that it ends with, so that it grows once.
const ROOM: usize = 60 * 1024;

/// What a response sends.
pub(crate) enum Reply {
    /// Finished bytes; nothing when empty.
    Whole(Option<Bytes>),
    /// A report under way.
    Report(Box<Stream>),
}

/// A report under way.
pub(crate) struct Stream {
    renderer: Renderer,
    /// Gone after the last piece.
    encoder: Option<Encoder>,
    piece: Vec<u8>,
    full: bool,
    cpu: Duration,
    shared: Arc<Shared>,
    /// What was sent so far, while it may be kept for others.
    keeping: Option<Keeping>,
    /// Its turn, if it had to wait for one.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Stream {
    pub(crate) const fn new(
        renderer: Renderer,
        encoder: Encoder,
        full: bool,
        shared: Arc<Shared>,
        keeping: Option<Keeping>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            renderer,
            encoder: Some(encoder),
            piece: Vec::new(),
            full,
            cpu: Duration::ZERO,
            shared,
            keeping,
            _turn: turn,
        }
    }

    /// The next bytes; nothing after the last.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let began = cpu_now();
        let mut ready = Vec::new();
        while ready.is_empty()
            && let Some(mut encoder) = self.encoder.take()
        {
            self.piece.reserve(ROOM);
            let more = self.renderer.piece(&mut self.piece);
            ready = encoder.push(&mut self.piece)?;
            if more {
                self.encoder = Some(encoder);
            } else {
                ready.append(&mut encoder.finish()?);
            }
        }
        self.cpu += cpu_now().saturating_sub(began);
        self.keeping = self.keeping.take().and_then(|keeping| keeping.and(&ready));
        if self.encoder.is_none() && !ready.is_empty() {
            self.shared.learn(self.full, self.renderer.records(), self.cpu);
            if let Some(keeping) = self.keeping.take() {
                self.shared.keep(keeping.done());
            }
        }
        self.shared.http.report_bytes.inc_by(ready.len() as u64);
        Ok((!ready.is_empty()).then(|| ready.into()))
    }
}

/// A reply that notifies its connection when it ends.
pub(crate) struct Sending {
    reply: Reply,
    phase: Phase,
}

impl Sending {
    pub(crate) const fn new(reply: Reply, phase: Phase) -> Self {
        Self { reply, phase }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.phase.idle();
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut self.reply {
            Reply::Whole(bytes) => Ok(bytes.take()),
            Reply::Report(stream) => stream.next(),
        };
        Poll::Ready(next.transpose().map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.reply {
            Reply::Whole(bytes) => bytes.is_none(),
            Reply::Report(stream) => stream.encoder.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.reply {
            Reply::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Reply::Report(_) => SizeHint::default(),
        }
    }
}

fn cpu_now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
