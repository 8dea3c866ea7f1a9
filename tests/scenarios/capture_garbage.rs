//! A capture process that has turned hostile: garbage over the socket and in the ring of a running one.
//!
//! The test takes the process's own end of the socket, by `pidfd_getfd`, and speaks in its place.
#![cfg(feature = "media")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketType, send, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use visor::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use visor::geometry::Size;
use visor::ring::wire::{FrameHeader, ToBrain};

use super::support::scene::Scene;

/// Takes the socket of a capture process; `None`, aloud, where the kernel does not let this user.
fn socket(pid: i32) -> Option<OwnedFd> {
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    for fd in 3..64 {
        match pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()) {
            Ok(fd) if sockopt::socket_type(fd.as_fd()) == Ok(SocketType::SEQPACKET) => return Some(fd),
            Ok(_) | Err(Errno::BADF) => {}
            Err(error) => {
                eprintln!("skipped: another process's descriptors cannot be had: {error} (run as root)");
                return None;
            }
        }
    }
    panic!("the capture process has no socket");
}

fn announcement(change: impl FnOnce(&mut FrameHeader)) -> Vec<u8> {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    let mut header = FrameHeader {
        ring: 1,
        slot: 0,
        layout: Layout::packed(Size::new(320, 240), PixelFormat::I420, colour),
        pts_ns: u64::MAX,
        arrived_ns: u64::MAX,
        decode_ns: Some(u64::MAX),
        captured_unix_ns: u64::MAX,
        clock: ClockSource::Rtcp,
        dropped_total: u64::MAX,
    };
    change(&mut header);
    postcard::to_slice(&ToBrain::Frame(header), &mut [0; 1000]).unwrap().to_vec()
}

#[test]
fn garbage_over_the_socket_costs_only_the_process_that_sends_it() {
    let Some(scene) = Scene::start("uri = \"test:?size=320x240&fps=10\"") else { return };
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(60_000).collect();
    let garbage = [
        noise,
        b"{\"frame\":".repeat(5000),
        announcement(|_| {}).repeat(500),
        announcement(|header| header.slot = u32::MAX),
        announcement(|header| header.layout.planes[0].stride = usize::MAX / 2),
    ];
    for (n, packet) in garbage.into_iter().enumerate() {
        let (sent, pid) = (Timestamp::now(), scene.capture());
        let Some(socket) = socket(pid) else { return };
        send(&socket, &packet, SendFlags::empty()).unwrap();
        drop(socket);
        let lost = scene.lost("protocol", sent);
        assert!(lost["error"].as_str().unwrap().starts_with("the capture child broke the protocol"), "{n}: {lost}");
        scene.check_recovery(sent, sent);
        assert_ne!(scene.capture(), pid);
    }
    scene.finish(0);
}

#[test]
fn garbage_in_the_ring_is_a_spoilt_picture_and_nothing_else() {
    let Some(scene) = Scene::start("uri = \"test:?size=320x240&fps=10\"") else { return };
    let folder = format!("/proc/{}/fd", scene.daemon.id());
    let Ok(descriptors) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {folder} cannot be read (run as root)");
        return;
    };
    let is_memory =
        |path: &PathBuf| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:"));
    let rings: Vec<_> = descriptors.flatten().map(|entry| entry.path()).filter(is_memory).collect();
    assert!(rings.len() >= 2, "a ring a camera");
    for ring in rings {
        let ring = std::fs::File::options().write(true).open(ring).unwrap();
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(4096).collect();
        let pages = ring.metadata().unwrap().len() / 4096;
        (0..pages).for_each(|page| ring.write_all_at(&noise, page * 4096).unwrap());
        assert!(ring.set_len(0).is_err(), "the ring can be cut off under its reader");
    }
    scene.daemon.wait_for_frames("front", 5.0);
    assert_eq!(scene.daemon.metric("visor_camera_restarts_total", &[]), 0.0);
    scene.finish(0);
}
