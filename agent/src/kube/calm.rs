//! A connection that is read in gulps while only news come in.
//!
//! In: a byte stream. Out: the same bytes, some of them a little later. Each event of a watch comes in a packet of its
//! own, and waking for it (the poll, the record, the frame, the line) costs four times what its bytes do. So once a
//! small piece was read and nothing was asked lately, the next read waits for a moment, and what came meanwhile is read
//! at once; until then the kernel wakes no one for it either. Answers and lists do not wait: something was written just
//! before them, or their pieces are large. It must not lose or hold a byte: what is not read yet stays with the kernel.
//!
//! I/O: the stream it wraps; a timer.

use crate::sys::socket;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use probelet_runtime::route::{Stream, tcp};
use std::future::Future as _;
use std::io;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A piece of so many bytes is part of a list or of a storm: there is more where it came from.
const LARGE: usize = 4096;
/// What may wait in the kernel without waking the thread: a moment's news of a busy cluster.
const UNSEEN: u32 = 32 << 10;
/// What is written is a question, and its answer is not to wait.
const ASKED: Duration = Duration::from_millis(300);

/// A stream that can be asked to wake its thread only for so many bytes.
pub(super) trait Wakes {
    fn wake_for(&self, bytes: u32);
}

impl Wakes for TcpStream {
    fn wake_for(&self, bytes: u32) {
        // Without it the thread is woken more often than it reads, and nothing else is lost.
        drop(socket::readable_from(self.as_fd(), bytes));
    }
}

impl Wakes for TokioIo<Stream> {
    fn wake_for(&self, bytes: u32) {
        tcp(self.inner()).wake_for(bytes);
    }
}

/// See the module.
pub(super) struct Calm<T> {
    inner: T,
    pause: Duration,
    written: Instant,
    /// No read before this.
    until: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl<T: Wakes> Calm<T> {
    /// Waits for `pause` after each small piece of news; not at all with zero.
    pub(super) fn new(inner: T, pause: Duration) -> Self {
        Self { inner, pause, written: Instant::now(), until: None, waits: false }
    }

    fn wait(&mut self) {
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
        until.as_mut().reset(Instant::now() + self.pause);
        self.inner.wake_for(UNSEEN);
        self.waits = true;
    }
}

impl<T: AsyncRead + Wakes + Unpin> AsyncRead for Calm<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if me.waits {
            if let Some(until) = &mut me.until {
                ready!(until.as_mut().poll(cx));
            }
            me.inner.wake_for(1);
            me.waits = false;
        }
        let room = buffer.remaining();
        ready!(Pin::new(&mut me.inner).poll_read(cx, buffer))?;
        let read = room - buffer.remaining();
        if read > 0
            && read < LARGE.min(room)
            && me.written.elapsed() >= ASKED
            && !me.pause.is_zero()
        {
            me.wait();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Calm<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        me.written = Instant::now();
        Pin::new(&mut me.inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        me.written = Instant::now();
        Pin::new(&mut me.inner).poll_write_vectored(cx, pieces)
    }
}

impl<T: Connection> Connection for Calm<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PAUSE: Duration = Duration::from_millis(200);

    impl Wakes for tokio::io::DuplexStream {
        fn wake_for(&self, _: u32) {}
    }

    /// A stream on which nothing was written for a while, and its other end.
    async fn quiet() -> (Calm<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let calm = Calm::new(near, PAUSE);
        sleep(ASKED).await;
        (calm, far)
    }

    #[tokio::test]
    async fn news_that_come_one_by_one_are_read_together() {
        let (mut calm, mut far) = quiet().await;
        let mut buffer = [0; 1024];
        far.write_all(b"first").await.unwrap();
        assert_eq!(calm.read(&mut buffer).await.unwrap(), 5);

        let began = Instant::now();
        far.write_all(b"second").await.unwrap();
        far.write_all(b"third").await.unwrap();

        assert_eq!(calm.read(&mut buffer).await.unwrap(), 11);
        assert!(began.elapsed() > PAUSE / 2, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn an_answer_does_not_wait() {
        let (mut calm, mut far) = quiet().await;
        let mut buffer = [0; 1024];
        calm.write_all(b"question").await.unwrap();
        far.write_all(b"head").await.unwrap();
        assert_eq!(calm.read(&mut buffer).await.unwrap(), 4);

        let began = Instant::now();
        far.write_all(b"body").await.unwrap();

        assert_eq!(calm.read(&mut buffer).await.unwrap(), 4);
        assert!(began.elapsed() < PAUSE, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_list_does_not_wait() {
        let (mut calm, mut far) = quiet().await;
        let mut buffer = vec![0; 8 * 1024];
        let began = Instant::now();
        for _ in 0..10 {
            far.write_all(&[0; 8 * 1024]).await.unwrap();
            assert_eq!(calm.read(&mut buffer).await.unwrap(), buffer.len());
        }

        assert!(began.elapsed() < PAUSE, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn what_came_through_a_socket_while_it_waited_is_read_after_the_pause() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut calm = Calm::new(near, PAUSE);
        sleep(ASKED).await;
        let mut buffer = [0; 1024];
        far.write_all(b"first").await.unwrap();
        assert_eq!(calm.read(&mut buffer).await.unwrap(), 5);

        let began = Instant::now();
        far.write_all(b"second").await.unwrap();
        assert_eq!(calm.read(&mut buffer).await.unwrap(), 6);
        let paused = began.elapsed();
        far.write_all(b"the last").await.unwrap();
        drop(far);

        assert!(paused > PAUSE / 2 && paused < PAUSE * 5, "{paused:?}");
        assert_eq!(calm.read(&mut buffer).await.unwrap(), 8);
        assert_eq!(calm.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_end_is_noticed() {
        let (mut calm, far) = quiet().await;
        drop(far);

        assert_eq!(calm.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
