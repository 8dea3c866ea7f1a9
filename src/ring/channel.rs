//! One end of the socket between the brain and a child: messages in, messages out, nothing trusted.

use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::clock::Monotonic;

/// The most bytes of one message.
pub const MAX_PACKET: usize = 64 << 10;

/// Bytes that hardly any message goes beyond: settings do, once in a child's life.
const USUAL_PACKET: usize = 512;

/// A message of the protocol.
pub trait Packet: Serialize + DeserializeOwned {
    /// Whether a file descriptor belongs to this message. One that comes with any other, or none with this, is garbage.
    fn wants_fd(&self) -> bool;
}

/// What came out of a channel.
#[derive(Debug)]
pub enum Received<M> {
    /// A message, with its file descriptor where it wants one.
    Message {
        /// The message.
        msg: M,
        /// The descriptor, close-on-exec.
        fd: Option<OwnedFd>,
    },
    /// Nothing came in time.
    TimedOut,
    /// The other side is gone.
    Closed,
    /// Something came that is no message. The text says what is wrong with it, and nothing of its content.
    Garbage(String),
}

/// Why a message could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The other side is gone.
    #[error("the other end of the channel is closed")]
    Closed,
    /// The other side does not read; nothing was sent.
    #[error("the other end of the channel does not read")]
    Full,
    /// The message is larger than [`MAX_PACKET`] or cannot be written.
    #[error("the message does not fit a packet")]
    TooLong,
}

/// One end of a socket pair that sends `Out` and receives `In`. Closes with its last owner.
pub struct Channel<Out, In> {
    socket: OwnedFd,
    buffer: Mutex<Box<[u8]>>,
    directions: PhantomData<fn(Out) -> In>,
}

impl<Out: Packet, In: Packet> Channel<Out, In> {
    /// Two connected ends, both close-on-exec.
    pub fn pair() -> io::Result<(Self, Channel<In, Out>)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::new(a), Channel::new(b)))
    }

    /// The end that this process was started with as standard input; `/dev/null` takes its place there.
    pub fn inherited() -> io::Result<Self> {
        let stdin = io::stdin();
        // fails where standard input is no socket: somebody ran a child role by hand
        rustix::net::sockopt::socket_type(stdin.as_fd())?;
        let socket = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(Self::new(socket))
    }

    /// The other end of a channel whose socket came with a message.
    ///
    /// # Errors
    /// It is no socket.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        rustix::net::sockopt::socket_type(&socket)?;
        Ok(Self::new(socket))
    }

    /// Ends the conversation, whoever else holds this end: both sides find it closed.
    pub fn close(&self) {
        // there is nothing to do for a socket that the other side has closed already
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    fn new(socket: OwnedFd) -> Self {
        Self { socket, buffer: Mutex::new(vec![0; MAX_PACKET].into()), directions: PhantomData }
    }

    /// The socket itself, to hand it to a child that is being started.
    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }

    /// Sends without ever blocking. Any thread may.
    pub fn send(&self, msg: &Out, fd: Option<BorrowedFd<'_>>) -> Result<(), SendError> {
        let (mut usual, mut large) = ([0; USUAL_PACKET], Vec::new());
        let bytes = match postcard::to_slice(msg, &mut usual) {
            Ok(bytes) => bytes,
            Err(_) => {
                large.resize(MAX_PACKET, 0);
                postcard::to_slice(msg, &mut large).map_err(|_| SendError::TooLong)?
            }
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd]);
        if let Some(fds) = &fds {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            return match sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, flags) {
                Ok(_) => Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::NOBUFS) => Err(SendError::Full),
                Err(_) => Err(SendError::Closed),
            };
        }
    }

    /// Sends, and waits for the other side to make room until `until`.
    pub fn send_until(&self, msg: &Out, fd: Option<BorrowedFd<'_>>, until: Monotonic) -> Result<(), SendError> {
        loop {
            match self.send(msg, fd) {
                Err(SendError::Full) if self.wait(PollFlags::OUT, until) => {}
                outcome => return outcome,
            }
        }
    }

    /// The next message; waits for it until `until`, and not at all where that has passed.
    pub fn recv(&self, until: Monotonic) -> Received<In> {
        self.recv_or(until, None)
    }

    /// The same, but waits only as long as there is nothing to read from `other`.
    pub fn recv_or(&self, until: Monotonic, other: Option<BorrowedFd<'_>>) -> Received<In> {
        loop {
            match self.take() {
                Ok(received) => return received,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.wait_or(PollFlags::IN, until, other) => {}
                Err(Errno::AGAIN) => return Received::TimedOut,
                Err(_) => return Received::Closed,
            }
        }
    }

    /// Waits for `what`; false once `until` has passed.
    fn wait(&self, what: PollFlags, until: Monotonic) -> bool {
        self.wait_or(what, until, None)
    }

    /// Waits for `what`; false once `until` has passed, or when there is only something to read from `other`.
    fn wait_or(&self, what: PollFlags, until: Monotonic, other: Option<BorrowedFd<'_>>) -> bool {
        loop {
            let left = until.since(Monotonic::now());
            if left.is_zero() {
                return false;
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let socket = PollFd::new(&self.socket, what);
            // not asked about twice: what comes in between would answer the second time only
            let asked = if other.is_some() { 2 } else { 1 };
            let other = other.map_or_else(|| socket.clone(), |other| PollFd::from_borrowed_fd(other, PollFlags::IN));
            let mut both = [socket, other];
            match poll(&mut both[..asked], Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return !both[0].revents().is_empty(),
                // it is met again, and named, by the call that follows
                Err(_) => return true,
            }
        }
    }

    fn take(&self) -> Result<Received<In>, Errno> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let packet = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags)?;
        // taken out in any case, so that what is not wanted gets closed
        let mut fds: Vec<OwnedFd> = control
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        if packet.bytes == 0 {
            return Ok(Received::Closed);
        }
        if packet.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) || fds.len() > 1 {
            return Ok(Received::Garbage("a packet that is too large, or has too many descriptors".to_owned()));
        }
        Ok(read(&buffer[..packet.bytes], fds.pop()))
    }
}

fn read<M: Packet>(packet: &[u8], fd: Option<OwnedFd>) -> Received<M> {
    match postcard::take_from_bytes::<M>(packet) {
        Ok((_, rest)) if !rest.is_empty() => Received::Garbage("no message: it goes on beyond its end".to_owned()),
        Ok((msg, _)) if msg.wants_fd() == fd.is_some() => Received::Message { msg, fd },
        Ok(_) if fd.is_some() => Received::Garbage("a descriptor with a message that has none".to_owned()),
        Ok(_) => Received::Garbage("a message without its descriptor".to_owned()),
        // a kind of error and nothing else: what was read may be a credential
        Err(e) => Received::Garbage(format!("no message: {e:?}")),
    }
}

impl<Out, In> AsFd for Channel<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<Out, In> std::fmt::Debug for Channel<Out, In> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("socket", &self.socket).finish_non_exhaustive()
    }
}
