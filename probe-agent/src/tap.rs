//! A stream that tells how much it has brought, and since when.

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

/// A stream that tells how much it has brought, and since when.
pub struct Tap<T> {
    inner: T,
    received: Received,
}

/// What a tapped stream has brought, to be read while the stream is lent to somebody else.
#[derive(Clone, Default)]
pub struct Received(Rc<Cell<(u64, Option<Instant>)>>);

impl Received {
    /// Number of bytes.
    pub fn count(&self) -> u64 {
        self.0.get().0
    }

    /// When the first of them came.
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
    /// Taps a stream.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            received: Received::default(),
        }
    }

    /// What it has brought, kept up to date.
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
