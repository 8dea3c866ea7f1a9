//! Whatever comes through a socket is a message or is named as garbage, and leaves no descriptor behind.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use proptest::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use secrecy::ExposeSecret;

use super::tests::{header, layout};
use super::wire::*;
use crate::clock::Monotonic;

/// A message as it is sent.
pub(super) fn bytes_of<M: Packet>(msg: &M) -> Vec<u8> {
    postcard::to_slice(msg, &mut vec![0; MAX_PACKET]).unwrap().to_vec()
}

fn ring() -> Vec<u8> {
    bytes_of(&ToChild::Ring { id: 1, slots: 2, slot_bytes: 4096 })
}

fn stop() -> Vec<u8> {
    bytes_of(&ToChild::Stop)
}

pub(super) fn soon() -> Monotonic {
    Monotonic::now().plus(Duration::from_secs(5))
}

/// Sends bytes and descriptors as they are.
pub(super) fn send_raw(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::DONTWAIT).unwrap();
}

/// Whether every copy of a pipe's writing end is closed.
fn is_closed(reader: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(reader, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    fds[0].revents().contains(PollFlags::HUP)
}

/// Sends a packet with `copies` of a descriptor to the child's end; gives what came of it and whether the copies were closed.
fn check_fds(bytes: &[u8], copies: usize) -> (Received<ToChild>, bool) {
    let (brain, child) = BrainEnd::pair().unwrap();
    let (reader, pipe) = rustix::pipe::pipe().unwrap();
    send_raw(&brain, bytes, &vec![pipe.as_fd(); copies]);
    drop(pipe);
    let received = child.recv(soon());
    (received, is_closed(&reader))
}

#[test]
fn a_descriptor_comes_with_its_message() {
    let (received, closed) = check_fds(&ring(), 1);
    let Received::Message { msg: ToChild::Ring { id: 1, .. }, fd: Some(fd) } = received else { panic!("{received:?}") };
    assert!(!closed);
    assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn descriptors_that_nobody_wants_are_closed() {
    let cases = [(ring(), 0), (ring(), 2), (ring(), 5), (stop(), 1), (stop(), 3), (b"junk".to_vec(), 1)];
    for (bytes, copies) in cases {
        let (received, closed) = check_fds(&bytes, copies);
        assert!(matches!(received, Received::Garbage(_)), "{bytes:?} with {copies}: {received:?}");
        assert!(closed, "{bytes:?} with {copies}");
    }
}

#[test]
fn oversize_and_cut_packets_are_garbage() {
    let (brain, child) = BrainEnd::pair().unwrap();
    // what of it fits a packet would be a message
    let large = bytes_of(&ToChild::Release { ring: 1, slots: vec![0; MAX_PACKET - 5] });
    assert_eq!(large.len(), MAX_PACKET);
    send_raw(&brain, &large, &[]);
    assert!(matches!(child.recv(soon()), Received::Message { msg: ToChild::Release { .. }, fd: None }));
    send_raw(&brain, &[large, vec![0]].concat(), &[]);
    assert!(matches!(child.recv(soon()), Received::Garbage(_)));
    send_raw(&brain, &ring()[..ring().len() - 1], &[]);
    assert!(matches!(child.recv(soon()), Received::Garbage(_)));
    send_raw(&brain, &[stop(), stop()].concat(), &[]);
    assert!(matches!(child.recv(soon()), Received::Garbage(_)), "one packet is one message");
    send_raw(&brain, &stop(), &[]);
    assert!(matches!(child.recv(soon()), Received::Message { msg: ToChild::Stop, fd: None }));
}

#[test]
fn an_end_that_is_gone_is_closed_both_ways() {
    let (brain, child) = BrainEnd::pair().unwrap();
    assert!(matches!(child.recv(Monotonic::now().plus(Duration::from_millis(1))), Received::TimedOut));
    drop(brain);
    assert!(matches!(child.recv(soon()), Received::Closed));
    assert_eq!(child.send(&ToBrain::Alive, None), Err(SendError::Closed));
}

#[test]
fn a_full_channel_does_not_block() {
    let (brain, child) = BrainEnd::pair().unwrap();
    while child.send(&ToBrain::Alive, None).is_ok() {}
    assert_eq!(child.send(&ToBrain::Alive, None), Err(SendError::Full));
    assert_eq!(child.send_until(&ToBrain::Alive, None, Monotonic::now()), Err(SendError::Full));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| child.send_until(&ToBrain::EndOfStream, None, soon()));
        let got = std::iter::repeat_with(|| brain.recv(soon()));
        let last = got.into_iter().find(|received| !matches!(received, Received::Message { msg: ToBrain::Alive, .. }));
        assert!(matches!(last, Some(Received::Message { msg: ToBrain::EndOfStream, .. })), "{last:?}");
        assert_eq!(sender.join().unwrap(), Ok(()));
    });
}

fn settings() -> CaptureSettings {
    CaptureSettings {
        uri: "rtsp://user:hunter2@cam/".into(),
        transport: Transport::Tcp,
        latency: Duration::ZERO,
        connect_timeout: Duration::ZERO,
        trust: Trust::default(),
        rotate: Rotate::Cw90,
        pace: Pace::Live,
        decoder: Decoder::Auto,
        pipelines: None,
    }
}

#[test]
fn waiting_does_not_end_before_its_time_without_a_message() {
    let (brain, child) = BrainEnd::pair().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while matches!(child.recv(soon()), Received::Message { msg: ToChild::Stop, .. }) {
                child.send(&ToBrain::Alive, None).unwrap();
            }
            child.close();
        });
        for round in 0..20_000 {
            brain.send(&ToChild::Stop, None).unwrap();
            let received = brain.recv(soon());
            assert!(matches!(received, Received::Message { msg: ToBrain::Alive, .. }), "{round}: {received:?}");
        }
        brain.close();
    });
}

#[test]
fn credentials_are_neither_shown_nor_quoted() {
    let message = ToChild::Settings(settings());
    assert!(!format!("{message:?}").contains("hunter2"));
    let bytes = bytes_of(&message);
    let secret = bytes.windows(7).position(|part| part == b"hunter2").expect("the child must get it");
    let transport = 2 + "rtsp://user:hunter2@cam/".len();
    assert_eq!(bytes[transport], 0, "RTSP over TCP");
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        bytes
    };
    let (brain, child) = BrainEnd::pair().unwrap();
    for wrong in [
        changed(0, 100),
        changed(1, 120),
        changed(secret, 0xff),
        changed(secret + 7, 0xff),
        changed(transport, 2),
        bytes[..secret + 7].to_vec(),
        [stop(), b"hunter2".to_vec()].concat(),
        [bytes.clone(), b"hunter2".to_vec()].concat(),
    ] {
        send_raw(&brain, &wrong, &[]);
        let Received::Garbage(why) = child.recv(soon()) else { panic!("{wrong:?}") };
        assert!(!why.contains("unter2") && why.len() < 100, "{why}");
    }
}

#[test]
fn a_message_goes_up_to_the_largest_packet_and_no_further() {
    let (brain, child) = BrainEnd::pair().unwrap();
    let sent = |length: usize| {
        let mut settings = settings();
        settings.uri = "x".repeat(length).into();
        brain.send(&ToChild::Settings(settings), None)
    };
    let rest = bytes_of(&ToChild::Settings(settings())).len() - settings().uri.expose_secret().len() + 2;
    for length in [0, 400, 511, 512, 513, 5000, MAX_PACKET - rest] {
        assert_eq!(sent(length), Ok(()), "{length}");
        let Received::Message { msg: ToChild::Settings(got), .. } = child.recv(soon()) else { panic!("{length}") };
        assert_eq!(got.uri.expose_secret().len(), length);
    }
    assert_eq!(sent(MAX_PACKET - rest + 1), Err(SendError::TooLong));
    assert_eq!(sent(10 * MAX_PACKET), Err(SendError::TooLong));
}

#[test]
fn a_text_is_one_line_of_bounded_length() {
    let text = Text::from("a\nb\u{1b}[31m".to_owned() + &"ä".repeat(1000));
    assert!(text.as_str().starts_with("a b [31m") && text.as_str().len() <= 400);
    let mut space = vec![0; MAX_PACKET];
    let read: Text = postcard::from_bytes(postcard::to_slice(&"x\u{0}y".repeat(1000), &mut space).unwrap()).unwrap();
    assert!(read.as_str().starts_with("x yx y") && read.as_str().len() <= 400);
}

fn is_judged(received: &Received<ToBrain>) -> bool {
    matches!(received, Received::Message { .. } | Received::Garbage(_))
}

proptest! {
    #[test]
    fn bytes_are_a_message_or_garbage(bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        let (brain, child) = BrainEnd::pair().unwrap();
        send_raw(&child, &bytes, &[]);
        let received = brain.recv(soon());
        prop_assert!(is_judged(&received), "{:?}", received);
    }

    #[test]
    fn changed_messages_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), slot: u32) {
        let (brain, child) = BrainEnd::pair().unwrap();
        let mut bytes = bytes_of(&ToBrain::Frame(header(1, slot, layout(8, 8))));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        send_raw(&child, &bytes, &[]);
        let received = brain.recv(soon());
        prop_assert!(is_judged(&received), "{:?}", received);
    }

    #[test]
    fn messages_arrive_as_they_were_sent(
        slot: u32, pts_ns: u64, arrived_ns: u64, decode_ns: Option<u64>, dropped_total: u64, fps: Option<u8>,
        width in 1u32..9000,
    ) {
        let (brain, child) = BrainEnd::pair().unwrap();
        let frame = FrameHeader { pts_ns, arrived_ns, decode_ns, dropped_total, ..header(3, slot, layout(width, 7)) };
        for sent in [ToBrain::Want { layout: frame.layout, fps: fps.map(f64::from) }, ToBrain::Frame(frame)] {
            child.send(&sent, None).unwrap();
            let Received::Message { msg, fd: None } = brain.recv(soon()) else { panic!("no message") };
            prop_assert_eq!(msg, sent);
        }
    }
}
