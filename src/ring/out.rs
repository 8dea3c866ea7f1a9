//! The way out: a ring that the brain alone writes and a child reads.
//!
//! The memory is sealed so that nobody can map it for writing a second time: what the child gets is what the brain wrote.
//! The protocol is that of `wire` turned round. A child that hangs or lies spoils its own output, and nothing else.
//!
//! ```text
//! brain                             child
//! Encode              ─────▶
//! Ring + memfd        ─────▶                                   before the first frame, and for a new size
//! Frame { slot … }    ─────▶                                   while somebody watches …
//! Passed { pts … }    ─────▶                                   … and in place of each frame while nobody does
//!                     ◀─────        Watched { by_somebody }
//!                     ◀─────        Release { slot }           when the encoder has let go of it
//! End                 ─────▶
//!                     ◀─────        Done
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::SealFlags;
use serde::{Deserialize, Serialize};

use super::fields;
use super::map::{self, Part, ReadMap};
use super::reader::{memory, seal};
use super::wire::{Channel, Packet, SendError, Text};
use super::{bytes, slot_bytes};
use crate::frame::Layout;

/// The brain's end: sends [`ToOutput`], receives [`FromOutput`].
pub type OutEnd = Channel<ToOutput, FromOutput>;

/// The child's end.
pub type OutputEnd = Channel<FromOutput, ToOutput>;

/// What the brain tells a child that takes masked frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToOutput {
    /// Always the first message: what to make of the frames.
    Encode(EncodeSettings),
    /// Shared memory with masked frames; the memfd comes with the message. It replaces the ring before it.
    Ring {
        /// Counts up with each ring.
        id: u32,
        /// Number of slots.
        slots: u32,
        /// Bytes of a slot.
        slot_bytes: u64,
    },
    /// A slot holds a masked frame, and is the child's until it releases it.
    Frame {
        /// The slot, of the ring that was sent last.
        slot: u32,
        /// Size, format and planes.
        layout: Layout,
        /// Stream time in nanoseconds.
        pts_ns: u64,
        /// Whether it is to become a picture that can be decoded without those before it.
        key: bool,
    },
    /// A frame of this kind has come and gone: nobody watches, so that it was not written anywhere.
    Passed {
        /// Size, format and planes that it would have had.
        layout: Layout,
        /// Stream time in nanoseconds.
        pts_ns: u64,
    },
    /// There are no more frames.
    End,
}

/// What such a child says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromOutput {
    /// The slot may be written again.
    Release {
        /// The ring it belongs to.
        ring: u32,
        /// The slot.
        slot: u32,
    },
    /// Whether somebody takes the frames. Until this is said somebody may.
    Watched {
        /// Somebody does.
        by_somebody: bool,
    },
    /// Everything is written.
    Done,
    /// It gives up, and exits.
    Failed {
        /// For people.
        text: Text,
    },
}

/// How frames become a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodeSettings {
    /// What holds the pictures.
    pub container: Container,
    /// Nominal frames a second, where they are known.
    #[serde(with = "fields::rate")]
    pub fps: Option<f64>,
}

/// A file format for video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// MP4 and its kin.
    Mp4,
    /// Matroska.
    Mkv,
}

impl Packet for ToOutput {
    fn wants_fd(&self) -> bool {
        matches!(self, Self::Ring { .. })
    }
}

impl Packet for FromOutput {
    fn wants_fd(&self) -> bool {
        false
    }
}

/// The brain's side.
pub struct OutRing {
    memory: OwnedFd,
    id: u32,
    slot_bytes: usize,
    parts: Vec<Part>,
    /// Whether the child has the slot.
    away: Vec<bool>,
}

impl OutRing {
    /// Makes, maps and seals the memory for `slots` frames of this layout.
    ///
    /// # Errors
    /// The frames are too large, or the system has no memory left.
    pub fn create(id: u32, layout: &Layout, slots: u32) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "the pictures are too large for a ring");
        let total = bytes(layout, slots).ok_or_else(wrong)?;
        let memory = memory(total)?;
        let slot_bytes = usize::try_from(total).map_err(|_| wrong())? / slots as usize;
        let parts = map::parts(&memory, slots as usize, slot_bytes)?;
        // after our own mapping: no other one can be written through
        seal(&memory, SealFlags::FUTURE_WRITE)?;
        Ok(Self { memory, id, slot_bytes, parts, away: vec![false; slots as usize] })
    }

    /// Whether frames of this layout fit its slots.
    pub fn fits(&self, layout: &Layout) -> bool {
        slot_bytes(layout).is_some_and(|bytes| bytes <= self.slot_bytes as u64)
    }

    /// The message that hands this ring to the child, to be sent with [`OutRing::fd`].
    pub fn offer(&self) -> ToOutput {
        ToOutput::Ring { id: self.id, slots: self.away.len() as u32, slot_bytes: self.slot_bytes as u64 }
    }

    /// The memory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// All slots are free again, for another child, to which the ring is to be offered anew.
    pub fn renew(&mut self, id: u32) {
        self.id = id;
        self.away.fill(false);
    }

    /// A slot to write into. `None` where the child has all of them.
    pub fn slot(&mut self) -> Option<OutSlot<'_>> {
        let index = self.away.iter().position(|away| !away)?;
        Some(OutSlot { ring: self, index })
    }

    /// The child has let go of a slot. One that it never had means nothing.
    pub fn released(&mut self, ring: u32, slot: u32) {
        if let Some(away) = self.away.get_mut(slot as usize).filter(|_| ring == self.id) {
            *away = false;
        }
    }
}

/// A slot that is being written. Dropped without [`OutSlot::announce`] it stays free.
pub struct OutSlot<'a> {
    ring: &'a mut OutRing,
    index: usize,
}

impl OutSlot<'_> {
    /// Makes the slot the child's; the message that tells it so.
    #[must_use = "the child waits for the message"]
    pub fn announce(self, layout: &Layout, pts_ns: u64) -> ToOutput {
        self.ring.away[self.index] = true;
        ToOutput::Frame { slot: self.index as u32, layout: *layout, pts_ns, key: false }
    }

    /// Hands the slot to the child at the other end of `channel`, without ever blocking. Where that fails it stays free.
    ///
    /// # Errors
    /// The child is gone, or does not read.
    pub fn send(self, layout: &Layout, pts_ns: u64, key: bool, channel: &OutEnd) -> Result<(), SendError> {
        channel.send(&ToOutput::Frame { slot: self.index as u32, layout: *layout, pts_ns, key }, None)?;
        self.ring.away[self.index] = true;
        Ok(())
    }
}

impl AsRef<[u8]> for OutSlot<'_> {
    fn as_ref(&self) -> &[u8] {
        self.ring.parts[self.index].bytes()
    }
}

impl AsMut<[u8]> for OutSlot<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        self.ring.parts[self.index].bytes_mut()
    }
}

/// The child's side: the memory, read-only.
pub struct OutMemory {
    map: ReadMap,
    slot_bytes: usize,
}

impl OutMemory {
    /// Maps the memfd that came with [`ToOutput::Ring`].
    ///
    /// # Errors
    /// It is smaller than its message says.
    pub fn map(memory: OwnedFd, slots: u32, slot_bytes: u64) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "a ring of impossible size");
        let total = u64::from(slots).checked_mul(slot_bytes).filter(|total| *total <= super::MAX_BYTES);
        let total = total.and_then(|total| usize::try_from(total).ok()).filter(|total| *total > 0).ok_or_else(wrong)?;
        Ok(Self { map: ReadMap::new(memory, total)?, slot_bytes: total / slots as usize })
    }

    /// The bytes of a slot; empty for one that the ring does not have.
    pub fn slot(&self, slot: u32) -> &[u8] {
        let start = (slot as usize).saturating_mul(self.slot_bytes);
        self.map.bytes().get(start..start.saturating_add(self.slot_bytes)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, PixelFormat};
    use crate::geometry::Size;
    use crate::ring::wire::Received;

    fn layout() -> Layout {
        let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
        Layout::packed(Size::new(64, 48), PixelFormat::I420, colour)
    }

    #[test]
    fn what_the_brain_writes_the_child_reads_and_cannot_write() {
        let mut ring = OutRing::create(1, &layout(), 2).unwrap();
        let ToOutput::Ring { slots, slot_bytes, .. } = ring.offer() else { panic!("no ring") };
        let fd = ring.fd().try_clone_to_owned().unwrap();
        assert!(map::parts(&fd, 1, slot_bytes as usize).is_err(), "a child must not write");
        let child = OutMemory::map(fd, slots, slot_bytes).unwrap();
        let mut slot = ring.slot().unwrap();
        slot.as_mut()[..3].copy_from_slice(b"abc");
        let ToOutput::Frame { slot, .. } = slot.announce(&layout(), 7) else { panic!("no frame") };
        assert_eq!(&child.slot(slot)[..3], b"abc");
        assert_eq!(child.slot(9), b"");
    }

    #[test]
    fn a_slot_is_free_again_once_the_child_says_so() {
        let mut ring = OutRing::create(3, &layout(), 2).unwrap();
        let _ = ring.slot().unwrap().announce(&layout(), 0);
        assert!(ring.slot().is_some(), "and stays free where nothing is announced");
        let _ = ring.slot().unwrap().announce(&layout(), 1);
        assert!(ring.slot().is_none());
        ring.released(2, 0);
        ring.released(3, 9);
        assert!(ring.slot().is_none(), "of another ring, or no slot");
        ring.released(3, 0);
        assert!(ring.slot().is_some());
    }

    #[test]
    fn another_child_finds_all_slots_free_and_what_could_not_be_sent_stays_so() {
        let mut ring = OutRing::create(1, &layout(), 1).unwrap();
        let (ours, theirs) = OutEnd::pair().unwrap();
        ring.slot().unwrap().send(&layout(), 5, true, &ours).unwrap();
        let Received::Message { msg, .. } = theirs.recv(Monotonic::default()) else { panic!("nothing came") };
        assert_eq!(msg, ToOutput::Frame { slot: 0, layout: layout(), pts_ns: 5, key: true });
        assert!(ring.slot().is_none());
        ring.renew(2);
        ring.released(1, 0);
        drop(theirs);
        assert!(ring.slot().unwrap().send(&layout(), 6, false, &ours).is_err());
        assert!(ring.slot().is_some());
    }
}
