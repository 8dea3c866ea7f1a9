//! Every message of every protocol arrives as it was sent, and nothing that is only like one does.

use std::fmt::Debug;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use super::channel_tests::{bytes_of, send_raw, soon};
use super::out::{Container, EncodeSettings, FromOutput, ToOutput};
use super::server::{Codec, FromServer, MountSettings, ServeSettings, ToServer, Users};
use super::tests::{header, layout};
use super::wire::*;
use super::*;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, PixelFormat, PlaneLayout};

const RATES: [Option<f64>; 6] = [None, Some(30.0), Some(30_000.0 / 1001.0), Some(0.0), Some(-5e-324), Some(f64::MAX)];

/// What a packet comes to at the other end, with a descriptor where `fd` says so.
fn received<M: Packet>(bytes: &[u8], fd: bool) -> Received<M> {
    let (ours, theirs) = Channel::<M, M>::pair().unwrap();
    let (reader, _pipe) = rustix::pipe::pipe().unwrap();
    let fds = [reader.as_fd()];
    send_raw(&ours, bytes, if fd { &fds } else { &[] });
    theirs.recv(soon())
}

/// Sends all of them, which are to be of every kind that there is; then each cut anywhere, and with a byte too many.
fn check_messages<M: Packet + Debug>(messages: &[M]) {
    let mut kinds: Vec<u8> = Vec::new();
    for sent in messages {
        let (bytes, shown, fd) = (bytes_of(sent), format!("{sent:?}"), sent.wants_fd());
        kinds.push(bytes[0]);
        let Received::Message { msg, fd: got } = received::<M>(&bytes, fd) else { panic!("{shown} did not arrive") };
        assert_eq!((format!("{msg:?}"), got.is_some()), (shown.clone(), fd));
        // secrets are not shown
        assert!(bytes_of(&msg) == bytes, "{shown} is another");
        let cut = (1..bytes.len()).map(|end| bytes[..end].to_vec());
        for wrong in cut.chain([[bytes.as_slice(), &[0]].concat(), [bytes.as_slice(), &bytes].concat()]) {
            let received = received::<M>(&wrong, fd);
            assert!(matches!(received, Received::Garbage(_)), "{shown}: {} bytes of it: {received:?}", wrong.len());
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, (0..kinds.len() as u8).collect::<Vec<_>>(), "a kind in between is missing");
    let unknown = [&[kinds.len() as u8][..], &[0; 300]].concat();
    let Err(error) = postcard::take_from_bytes::<M>(&unknown) else { panic!("the last kinds are missing") };
    assert_eq!(error, postcard::Error::SerdeDeCustom, "the last kinds are missing");
}

fn capture_settings() -> Vec<CaptureSettings> {
    let full = CaptureSettings {
        uri: "rtsp://user:hunter2@[fe80::1%25eth0]:554/ä?x=\"1\"".into(),
        transport: Transport::Udp,
        latency: Duration::from_millis(200),
        connect_timeout: Duration::MAX,
        trust: Trust { verify: false, ca_file: Some(PathBuf::from("/etc/visor/ä b.pem")) },
        rotate: Rotate::Auto,
        pace: Pace::Fast,
        decoder: Decoder::Software,
        pipelines: Some(PathBuf::from("/etc/visor/pipelines")),
    };
    let plain = CaptureSettings {
        uri: "".into(),
        transport: Transport::Tcp,
        latency: Duration::ZERO,
        connect_timeout: Duration::from_nanos(1_999_999_999),
        trust: Trust::default(),
        rotate: Rotate::None,
        pace: Pace::Live,
        decoder: Decoder::Auto,
        pipelines: None,
    };
    let turns = [Rotate::Cw90, Rotate::Cw180, Rotate::Cw270].map(|rotate| CaptureSettings { rotate, ..plain.clone() });
    let realtime = CaptureSettings { pace: Pace::Realtime, ..plain.clone() };
    [full, plain, realtime].into_iter().chain(turns).collect()
}

/// Layouts of every form, up to what no picture can be.
fn layouts() -> Vec<Layout> {
    let mut nv12 = layout(1920, 1080);
    nv12.pixel = PixelFormat::Nv12;
    nv12.colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let mut far = layout(1, 1);
    far.size = Size::new(u32::MAX, 0);
    far.sar = (u32::MAX, 0);
    far.planes = [PlaneLayout { offset: usize::MAX, stride: usize::MAX }; 3];
    vec![layout(5, 3), nv12, far]
}

#[test]
fn what_a_capture_child_is_told() {
    let mut messages: Vec<_> = capture_settings().into_iter().map(ToChild::Settings).collect();
    messages.extend([
        ToChild::Ring { id: 1, slots: 2, slot_bytes: 4096 },
        ToChild::Ring { id: u32::MAX, slots: u32::MAX, slot_bytes: u64::MAX },
        ToChild::Release { ring: 3, slots: vec![300] },
        ToChild::Release { ring: 3, slots: Vec::new() },
        ToChild::Release { ring: 3, slots: (0..MAX_SLOTS).chain([u32::MAX]).collect() },
        ToChild::Stop,
    ]);
    check_messages(&messages);
}

#[test]
fn what_a_capture_child_tells() {
    let clocks = [ClockSource::Rtcp, ClockSource::Arrival, ClockSource::Media];
    let frame = |layout: Layout| clocks.map(|clock| ToBrain::Frame(FrameHeader { clock, ..header(1, 2, layout) }));
    let info = |fps: Option<f64>| StreamInfo {
        codec: "h264".into(),
        decoder: "avdec_h264".into(),
        hardware: fps.is_some(),
        size: Size::new(1920, 1080),
        fps,
        live: fps.is_none(),
        transport: fps.map(|_| "tcp".into()),
    };
    let most = FrameHeader {
        ring: u32::MAX,
        slot: u32::MAX,
        pts_ns: u64::MAX,
        arrived_ns: u64::MAX,
        decode_ns: Some(u64::MAX),
        captured_unix_ns: u64::MAX,
        dropped_total: u64::MAX,
        ..header(1, 2, layouts()[2])
    };
    let mut messages = vec![ToBrain::Frame(most), ToBrain::Alive, ToBrain::Waiting, ToBrain::EndOfStream];
    messages.extend(layouts().into_iter().flat_map(frame));
    messages.extend(RATES.map(|fps| ToBrain::Want { layout: layout(8, 8), fps }));
    messages.extend(RATES.map(|fps| ToBrain::Opened(info(fps))));
    let levels = [NoticeLevel::Debug, NoticeLevel::Info, NoticeLevel::Warn, NoticeLevel::Machine];
    messages.extend(levels.map(|level| ToBrain::Notice { level, text: "ä \"b\" {c}".into() }));
    let reasons = [
        FailReason::Unreachable,
        FailReason::Unauthorised,
        FailReason::Untrusted,
        FailReason::NotFound,
        FailReason::Unsupported,
        FailReason::Broken,
        FailReason::EndedEarly,
        FailReason::Timeout,
        FailReason::Memory,
        FailReason::Internal,
    ];
    messages.extend(reasons.map(|reason| ToBrain::Failed { reason, text: "x".repeat(400).into() }));
    check_messages(&messages);
}

#[test]
fn what_an_encoder_is_told_and_tells() {
    let encode = |container| RATES.map(|fps| ToOutput::Encode(EncodeSettings { container, fps }));
    let mut messages = vec![ToOutput::Ring { id: 1, slots: 5, slot_bytes: 4096 }, ToOutput::End];
    messages.extend([Container::Mp4, Container::Mkv].into_iter().flat_map(encode));
    for layout in layouts() {
        messages.extend([true, false].map(|key| ToOutput::Frame { slot: 4, layout, pts_ns: u64::MAX, key }));
        messages.push(ToOutput::Passed { layout, pts_ns: 1 });
    }
    check_messages(&messages);
    check_messages(&[
        FromOutput::Release { ring: 1, slot: u32::MAX },
        FromOutput::Watched { by_somebody: true },
        FromOutput::Watched { by_somebody: false },
        FromOutput::Done,
        FromOutput::Failed { text: "no room".into() },
    ]);
}

#[test]
fn what_the_server_of_video_is_told() {
    let serve = |listen: &str, users: Option<Users>, certificate: Option<&str>| {
        let listen = listen.parse().unwrap();
        ToServer::Serve(ServeSettings { listen, users, certificate: certificate.map(Into::into) })
    };
    let users = Users { realm: "visor".to_owned(), lines: "ann:visor:0123\nbob:visor:4567\n".into() };
    let mount = |codec, fps: Option<f64>, push: Option<&str>| MountSettings {
        path: "front/ä".to_owned(),
        codec,
        bitrate_kbps: u32::MAX,
        size: fps.map(|_| Size::new(640, 360)),
        fps,
        push: push.map(Into::into),
        pipelines: push.map(PathBuf::from),
    };
    let mut messages = vec![
        serve("127.0.0.1:0", None, None),
        serve("[::]:8554", Some(users), Some("-----BEGIN CERTIFICATE-----\n")),
        serve("[fe80::1%3]:8554", None, None),
        ToServer::Unmount { id: 7 },
    ];
    messages.extend(RATES.map(|fps| ToServer::Mount { id: 1, mount: mount(Codec::H264, fps, None) }));
    messages.push(ToServer::Mount { id: 2, mount: mount(Codec::H265, None, Some("rtsp://ann:hunter2@server/live")) });
    check_messages(&messages);
}

#[test]
fn what_the_server_of_video_tells() {
    let mut messages = vec![
        FromServer::Alive,
        FromServer::Stats { id: 1, clients: u32::MAX, dropped: u64::MAX },
        FromServer::Pushed { id: 1, flows: true },
        FromServer::Notice { id: None, level: NoticeLevel::Info, text: "of all".into() },
        FromServer::Notice { id: Some(300), level: NoticeLevel::Warn, text: "of one".into() },
        FromServer::Lost { id: 1, hung: true, text: "hangs".into() },
        FromServer::Failed { text: "no port".into() },
    ];
    let listening = ["0.0.0.0:8554", "[::1]:1", "[fe80::1%3]:8554"];
    messages.extend(listening.map(|address| FromServer::Listening { address: address.parse().unwrap() }));
    check_messages(&messages);
}

#[test]
fn a_rate_that_is_no_number_is_not_sent_and_not_believed() {
    let said = |fps| ToBrain::Want { layout: layout(8, 8), fps };
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(bytes_of(&said(Some(wrong))), bytes_of(&said(None)));
        let mut bytes = bytes_of(&said(Some(25.0)));
        let at = bytes.len() - 8;
        bytes[at..].copy_from_slice(&wrong.to_le_bytes());
        assert!(matches!(received::<ToBrain>(&bytes, false), Received::Garbage(_)), "{wrong}");
    }
}

#[test]
fn a_length_beyond_the_packet_is_garbage_and_makes_nobody_reserve_memory() {
    let notice = bytes_of(&ToBrain::Notice { level: NoticeLevel::Debug, text: "x".into() });
    assert_eq!(notice[2..], [1, b'x']);
    for length in [2, 100, MAX_PACKET, 1 << 32, 1 << 46, isize::MAX as usize, usize::MAX] {
        let mut space = [0; 16];
        let bytes = [&notice[..2], postcard::to_slice(&length, &mut space).unwrap(), b"x"].concat();
        assert!(matches!(received::<ToBrain>(&bytes, false), Received::Garbage(_)), "{length}");
        let release = bytes_of(&ToChild::Release { ring: 1, slots: Vec::new() });
        let bytes = [&release[..2], postcard::to_slice(&length, &mut space).unwrap(), &[1]].concat();
        assert!(matches!(received::<ToChild>(&bytes, false), Received::Garbage(_)), "{length}");
    }
}
