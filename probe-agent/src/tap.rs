//! A stream that counts the bytes it received, and remembers when the first one came.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// A stream that counts the bytes it received, and remembers when the first one came.
pub struct Tap<T> {
    inner: T,
    received: Received,
}

/// What a stream has received. It can be read while other code owns the stream.
#[derive(Clone, Default)]
pub struct Received(Rc<Cell<(u64, Option<Instant>)>>);

impl Received {
    /// Number of received bytes.
    pub fn count(&self) -> u64 {
        self.0.get().0
    }

    /// When the first byte came.
    pub fn first(&self) -> Option<Instant> {
        self.0.get().1
    }

    fn add(&self, bytes: usize) {
        if bytes > 0 {
            let (count, first) = self.0.get();
            self.0
                .set((count + bytes as u64, first.or_else(|| Some(Instant::now()))));
        }
    }
}

impl<T> Tap<T> {
    /// Wraps a stream.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            received: Received::default(),
        }
    }

    /// What the stream has received. The value stays up to date.
    pub fn received(&self) -> Received {
        self.received.clone()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Tap<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        self.received.add(buf.filled().len() - before);
        Poll::Ready(result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tap<T> {
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
}
