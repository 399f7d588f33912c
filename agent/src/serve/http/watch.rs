//! What a connection may take its time with, and for how long.
//!
//! In: events of one connection. Out: the moment at which it is closed if nothing happens before.
//! hyper knows a limit for reading headers; it has none for a client that reads its answer a byte
//! a second, so all of them are kept here.
//!
//! I/O: wraps a socket, reads the clock.

use hyper::rt::{Read, ReadBufCursor, Write};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long a connection may stay in each phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until a connection is a secure one, where it is to be.
    pub(crate) handshake: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// From the first byte of a request to the end of its headers.
    pub(crate) head: Duration,
    /// From there to the first byte of the answer: the longest long-poll, and some.
    pub(crate) think: Duration,
    /// From there to the last byte handed to the kernel.
    pub(crate) send: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            handshake: seconds(5),
            idle: seconds(60),
            head: seconds(10),
            think: seconds(75),
            send: seconds(60),
        }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Idle,
    Head,
    Think,
    Send,
}

/// What a connection is doing and until when; shared by its socket, its service and its body.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    now: Arc<Mutex<Now>>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    doing: Doing,
    since: Instant,
    deadline: Instant,
}

impl Phase {
    pub(crate) fn new(limits: Limits) -> Self {
        let since = Instant::now();
        let now = Now { doing: Doing::Head, since, deadline: since + limits.head };
        Self { now: Arc::new(Mutex::new(now)), limits }
    }

    /// A request is expected. A connection that never says a word is no better than one that stops half way.
    pub(crate) fn head(&self) {
        self.enter(Doing::Head, self.limits.head);
    }

    pub(crate) fn idle(&self) {
        self.enter(Doing::Idle, self.limits.idle);
    }

    pub(crate) fn think(&self) {
        self.enter(Doing::Think, self.limits.think);
    }

    pub(crate) fn send(&self) {
        self.enter(Doing::Send, self.limits.send);
    }

    /// Bytes came in: if none were expected, they begin a request.
    fn heard(&self) {
        if self.get().0 == Doing::Idle {
            self.head();
        }
    }

    /// What the connection is doing, and until when.
    pub(crate) fn get(&self) -> (Doing, Instant) {
        let now = self.now();
        (now.doing, now.deadline)
    }

    /// What the connection is doing, and since when.
    pub(crate) fn doing(&self) -> (Doing, Instant) {
        let now = self.now();
        (now.doing, now.since)
    }

    fn now(&self) -> Now {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, doing: Doing, limit: Duration) {
        let since = Instant::now();
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) =
            Now { doing, since, deadline: since + limit };
    }

    /// Ready when the connection has had its time.
    pub(crate) fn poll_late(&self, sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Doing> {
        let (doing, deadline) = self.get();
        let mut sleep = sleep;
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.poll(cx).map(|()| doing)
    }
}

/// A socket that sets its phase when a request begins.
pub(crate) struct Watched<T> {
    inner: T,
    phase: Phase,
}

impl<T> Watched<T> {
    pub(crate) const fn new(inner: T, phase: Phase) -> Self {
        Self { inner, phase }
    }
}

impl<T: Read + Unpin> Read for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            self.phase.heard();
        }
        read
    }
}

impl<T: Write + Unpin> Write for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase() -> Phase {
        Phase::new(Limits::default())
    }

    #[tokio::test]
    async fn a_request_begins_with_the_first_byte_after_a_pause() {
        let phase = phase();
        phase.idle();

        phase.heard();

        assert_eq!(phase.get().0, Doing::Head);
    }

    #[tokio::test]
    async fn bytes_that_drip_in_do_not_extend_the_time_for_a_request() {
        let phase = phase();
        let deadline = phase.get().1;

        phase.heard();

        assert_eq!(phase.get(), (Doing::Head, deadline));
    }

    #[tokio::test]
    async fn a_client_that_writes_on_while_it_is_answered_gains_nothing() {
        let phase = phase();
        phase.send();
        let deadline = phase.get().1;

        phase.heard();

        assert_eq!(phase.get(), (Doing::Send, deadline));
    }
}
