//! A connection that waits for its client, but not for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How much of what a client still sends is thrown away at the end.
const LINGER_BYTES: usize = 4 << 20;

/// How long a connection waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long a client may take nothing of what it is sent.
    pub(super) stall: Duration,
    /// How long what a client still sends is thrown away at the end, so that it reads the last answer before it learns that
    /// nobody listens: an answer that came before the body was read would be lost otherwise.
    pub(super) linger: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { stall: Duration::from_secs(20), linger: Duration::from_secs(2) }
    }
}

/// A stream whose writes fail once the client has taken nothing for a while.
pub(super) struct Patient<S> {
    stream: S,
    patience: Patience,
    stalled: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
}

struct Linger {
    until: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> Patient<S> {
    pub(super) const fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience, stalled: None, linger: None }
    }

    /// Passes on what a write says; a write that has been waiting for too long fails.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.patience.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.judge(context, shut))?;
        }
        let until = Instant::now() + this.patience.linger;
        let linger = this.linger.get_or_insert_with(|| Linger { until: Box::pin(sleep_until(until)), bytes: 0 });
        let mut scratch = [0; 4096];
        while linger.bytes < LINGER_BYTES && linger.until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => linger.bytes += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Patience = Patience { stall: Duration::from_millis(50), linger: Duration::from_millis(60) };

    #[test]
    fn a_client_that_takes_nothing_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1024);
            let mut server = Patient::new(server, PATIENCE);
            server.write_all(&[0; 1024]).await.unwrap();
            let begun = Instant::now();
            let error = server.write_all(&[0; 1024]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(begun.elapsed() >= PATIENCE.stall);
            client.read_exact(&mut [0; 1024]).await.unwrap();
            server.write_all(&[0; 1024]).await.unwrap();
        });
    }

    #[test]
    fn what_a_client_still_sends_does_not_cost_it_the_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let mut server = Patient::new(server, PATIENCE);
            client.write_all(&[0; 10_000]).await.unwrap();
            let begun = Instant::now();
            server.shutdown().await.unwrap();
            assert!(begun.elapsed() >= PATIENCE.linger, "a client that stays is waited for");
            drop(client);
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let mut server = Patient::new(server, Patience { linger: Duration::from_secs(3600), ..PATIENCE });
            client.write_all(&[0; 10_000]).await.unwrap();
            client.shutdown().await.unwrap();
            server.shutdown().await.unwrap();
            drop(client);
        });
    }
}
