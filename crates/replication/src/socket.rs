//! A plain socket whose reader comes back in a rhythm of its own while much arrives, instead of being woken by each message.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::rhythm::Rhythm;

/// The least that one read makes room for. Room has to be zeroed, so it follows what has come of late.
const ROOM_BYTES_MIN: usize = 16 * 1024;

/// Nonblocking.
pub(crate) enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// Whether the reader keeps its rhythm: not while questions are asked and answered, or tables copied, which the server sends
/// in large pieces anyway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<AtomicBool>);

pub(crate) struct SocketReader {
    socket: Arc<Socket>,
    pace: Pace,
    watch: Option<Watch>,
    rhythm: Rhythm,
    pause: Pin<Box<Sleep>>,
    pausing: bool,
    last_bytes: usize,
}

pub(crate) struct SocketWriter {
    socket: Arc<Socket>,
    watch: Option<Watch>,
}

/// The socket in epoll: only while there was nothing to read, or no room to write.
enum Watch {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Pace {
    pub(crate) fn keep(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_kept(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Socket {
    /// `is_limited`: its buffer has the size that the rhythm counts on.
    pub(crate) fn split(self, pace: Pace, is_limited: bool) -> (SocketReader, SocketWriter) {
        let now = Instant::now();
        let rhythm = Rhythm::new(is_limited, now.into_std());
        let (socket, pause) = (Arc::new(self), Box::pin(sleep_until(now)));
        let writer = SocketWriter { socket: Arc::clone(&socket), watch: None };
        (SocketReader { socket, pace, watch: None, rhythm, pause, pausing: false, last_bytes: 0 }, writer)
    }

    /// A second handle on the socket, so that the first is never in epoll.
    fn watch(&self) -> io::Result<Watch> {
        Ok(match self {
            Self::Tcp(stream) => Watch::Tcp(tokio::net::TcpStream::from_std(stream.try_clone()?)?),
            Self::Unix(stream) => Watch::Unix(tokio::net::UnixStream::from_std(stream.try_clone()?)?),
        })
    }

    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).read(into),
            Self::Unix(stream) => (&*stream).read(into),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).write(bytes),
            Self::Unix(stream) => (&*stream).write(bytes),
        }
    }

    fn shut_down(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Watch {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }
}

impl AsyncRead for SocketReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.pausing {
            ready!(this.pause.as_mut().poll(cx));
            this.pausing = false;
        }
        loop {
            let quota = if this.pace.is_kept() { this.rhythm.left() } else { usize::MAX };
            let room = into.remaining().min(quota).min(ROOM_BYTES_MIN.max(2 * this.last_bytes));
            match this.socket.read(into.initialize_unfilled_to(room)) {
                Ok(count) => {
                    into.advance(count);
                    (this.last_bytes, this.watch) = (count, None);
                    if this.pace.is_kept() {
                        let now = Instant::now();
                        if let Some(pause) = this.rhythm.pause_after(count, count < room, now.into_std()) {
                            this.pause.as_mut().reset(now + pause);
                            this.pausing = true;
                        }
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let watch = this.watch.take().map_or_else(|| this.socket.watch(), Ok)?;
                    let polled = watch.poll_read_ready(cx);
                    if polled.is_pending() {
                        this.watch = Some(watch);
                    }
                    ready!(polled)?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for SocketWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match this.socket.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let watch = this.watch.take().map_or_else(|| this.socket.watch(), Ok)?;
                    let polled = watch.poll_write_ready(cx);
                    if polled.is_pending() {
                        this.watch = Some(watch);
                    }
                    ready!(polled)?;
                }
                written => {
                    this.watch = None;
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shut_down())
    }
}
