//! The child's side of a ring: it owns all slots but those it has announced.

use std::io;
use std::os::fd::OwnedFd;

use super::map::WriteMap;
use super::{MAX_BYTES, MAX_SLOTS};

/// The child's side of a ring. Dropping it unmaps the memory; frames that the brain holds live on there.
pub struct Writer {
    memory: WriteMap,
    id: u32,
    slot_bytes: usize,
    taken: Vec<bool>,
    /// Free slots; the last one released is taken first, since the processor's caches still hold it.
    free: Vec<u32>,
}

impl Writer {
    /// Maps the memfd that came with [`ToChild::Ring`](super::wire::ToChild::Ring). Fails where it is smaller than its message says.
    pub fn map(memory: OwnedFd, id: u32, slots: u32, slot_bytes: u64) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "a ring of impossible size");
        let total = u64::from(slots).checked_mul(slot_bytes).filter(|total| *total > 0 && *total <= MAX_BYTES);
        let total =
            total.filter(|_| slots <= MAX_SLOTS).and_then(|total| usize::try_from(total).ok()).ok_or_else(wrong)?;
        let memory = WriteMap::new(memory, total)?;
        let (taken, free) = (vec![false; slots as usize], (0..slots).rev().collect());
        Ok(Self { memory, id, slot_bytes: total / slots as usize, taken, free })
    }

    /// The ring's number, for [`FrameHeader::ring`](super::wire::FrameHeader::ring).
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Bytes of a slot: a layout whose end is beyond needs a new ring.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// Takes a slot to write into, until [`Writer::released`] is called for it. `None` where the brain holds all of them.
    pub fn free_slot(&mut self) -> Option<u32> {
        let slot = self.free.pop()?;
        self.taken[slot as usize] = true;
        Some(slot)
    }

    /// The bytes of a slot that [`Writer::free_slot`] gave and that has not been announced yet. Empty for a slot that the
    /// ring does not have or that is free.
    pub fn slot_mut(&mut self, slot: u32) -> &mut [u8] {
        let slot = slot as usize;
        if !self.taken.get(slot).copied().unwrap_or(false) {
            return &mut [];
        }
        let start = slot * self.slot_bytes;
        &mut self.memory.bytes_mut()[start..start + self.slot_bytes]
    }

    /// The slot is free again: the brain released it, or it was taken and then not announced.
    pub fn released(&mut self, slot: u32) {
        if let Some(taken) = self.taken.get_mut(slot as usize)
            && std::mem::take(taken)
        {
            self.free.push(slot);
        }
    }
}
