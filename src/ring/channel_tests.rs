//! Whatever comes through a socket is a message or is named as garbage, and leaves no descriptor behind.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use proptest::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::tests::{header, layout};
use super::wire::*;
use crate::clock::Monotonic;

const RING: &str = r#"{"ring":{"id":1,"slots":2,"slot_bytes":4096}}"#;

fn soon() -> Monotonic {
    Monotonic::now().plus(Duration::from_secs(5))
}

/// Sends bytes and descriptors as they are.
fn send_raw(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
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
fn check_fds(bytes: &str, copies: usize) -> (Received<ToChild>, bool) {
    let (brain, child) = BrainEnd::pair().unwrap();
    let (reader, pipe) = rustix::pipe::pipe().unwrap();
    send_raw(&brain, bytes.as_bytes(), &vec![pipe.as_fd(); copies]);
    drop(pipe);
    let received = child.recv(soon());
    (received, is_closed(&reader))
}

#[test]
fn a_descriptor_comes_with_its_message() {
    let (received, closed) = check_fds(RING, 1);
    let Received::Message { msg: ToChild::Ring { id: 1, .. }, fd: Some(fd) } = received else { panic!("{received:?}") };
    assert!(!closed);
    assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn descriptors_that_nobody_wants_are_closed() {
    for (bytes, copies) in [(RING, 0), (RING, 2), (RING, 5), (r#""stop""#, 1), (r#""stop""#, 3), ("junk", 1)] {
        let (received, closed) = check_fds(bytes, copies);
        assert!(matches!(received, Received::Garbage(_)), "{bytes} with {copies}: {received:?}");
        assert!(closed, "{bytes} with {copies}");
    }
}

#[test]
fn oversize_and_cut_packets_are_garbage() {
    let (brain, child) = BrainEnd::pair().unwrap();
    let mut large = vec![b' '; MAX_PACKET + 1];
    large[..6].copy_from_slice(br#""stop""#);
    send_raw(&brain, &large, &[]);
    assert!(matches!(child.recv(soon()), Received::Garbage(_)));
    send_raw(&brain, &RING.as_bytes()[..20], &[]);
    assert!(matches!(child.recv(soon()), Received::Garbage(_)));
    send_raw(&brain, br#""stop""#, &[]);
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

#[test]
fn credentials_are_neither_shown_nor_quoted() {
    let settings = CaptureSettings {
        uri: "rtsp://user:hunter2@cam/".into(),
        transport: Transport::Tcp,
        latency: Duration::ZERO,
        connect_timeout: Duration::ZERO,
        trust: Trust::default(),
        rotate: Rotate::Cw90,
        pace: Pace::Live,
        decoder: Decoder::Auto,
        pipelines: None,
    };
    let message = ToChild::Settings(settings);
    assert!(!format!("{message:?}").contains("hunter2"));
    let json = serde_json::to_string(&message).unwrap();
    assert!(json.contains("hunter2"), "the child must get it");
    let (brain, child) = BrainEnd::pair().unwrap();
    for wrong in
        [json.replace("tcp", "hunter2"), json.replace("settings", "hunter2"), r#"{"stop":"hunter2"}"#.to_owned()]
    {
        send_raw(&brain, wrong.as_bytes(), &[]);
        let Received::Garbage(why) = child.recv(soon()) else { panic!("{wrong}") };
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[test]
fn a_text_is_one_line_of_bounded_length() {
    let text = Text::from("a\nb\u{1b}[31m".to_owned() + &"ä".repeat(1000));
    assert!(text.as_str().starts_with("a b [31m") && text.as_str().len() <= 400);
    let read: Text = serde_json::from_str(&serde_json::to_string(&"x\u{0}y".repeat(1000)).unwrap()).unwrap();
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
        let mut bytes = serde_json::to_vec(&ToBrain::Frame(header(1, slot, layout(8, 8)))).unwrap();
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
