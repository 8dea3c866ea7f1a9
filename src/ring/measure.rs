//! What a ring costs a picture, for `visor bench`.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wire::{BrainEnd, FrameHeader, Received, ToBrain, ToChild};
use super::{Ring, Writer};
use crate::clock::Monotonic;
use crate::frame::{ClockSource, Layout};

/// The cost of one picture, as medians. The decoder beside it has the machine's other cores to itself.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// To copy it into its slot.
    pub copy: Duration,
    /// To announce it, check it, lease it, and give its slot back.
    pub hand_over: Duration,
}

/// Passes `pictures` of this layout through a ring, both sides on this thread.
///
/// # Errors
/// The layout is too large, or the system has no memory or socket left.
pub fn measure(layout: &Layout, pictures: usize) -> io::Result<Measured> {
    let (brain, child) = BrainEnd::pair()?;
    let brain = Arc::new(brain);
    let mut ring = Ring::create(1, layout, 4, &brain)?;
    let ToChild::Ring { id, slots, slot_bytes } = ring.offer() else { return Err(broken()) };
    let writer = Writer::map(ring.fd().try_clone_to_owned()?, id, slots, slot_bytes)?;
    let picture = vec![128; layout.end().ok_or_else(broken)?];
    let (mut copies, mut hand_overs) = (Vec::new(), Vec::new());
    for _ in 0..pictures.max(1) {
        let mut slot = writer.free_slot().ok_or_else(broken)?;
        let begun = Instant::now();
        slot.as_mut()[..picture.len()].copy_from_slice(&picture);
        copies.push(begun.elapsed());
        let begun = Instant::now();
        let slot = slot.lend();
        child.send(&ToBrain::Frame(announcement(id, slot, layout)), None).map_err(io::Error::other)?;
        let Received::Message { msg: ToBrain::Frame(header), .. } = brain.recv(Monotonic::now()) else {
            return Err(broken());
        };
        drop(ring.lease(&header).map_err(io::Error::other)?);
        let Received::Message { msg: ToChild::Release { slots, .. }, .. } = child.recv(Monotonic::now()) else {
            return Err(broken());
        };
        slots.into_iter().for_each(|slot| writer.released(slot));
        hand_overs.push(begun.elapsed());
    }
    Ok(Measured { copy: median(copies), hand_over: median(hand_overs) })
}

fn announcement(ring: u32, slot: u32, layout: &Layout) -> FrameHeader {
    FrameHeader {
        ring,
        slot,
        layout: *layout,
        pts_ns: 1_000_000_000,
        arrived_ns: Monotonic::now().as_nanos(),
        decode_ns: Some(5_000_000),
        captured_unix_ns: 1_700_000_000_000_000_000,
        clock: ClockSource::Arrival,
        dropped_total: 0,
    }
}

fn broken() -> io::Error {
    io::Error::other("the ring does not give back what was put in")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
