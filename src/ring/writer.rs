//! The child's side of a ring: it owns all slots but those it has announced.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::map::{self, Part};
use super::{MAX_BYTES, MAX_SLOTS};

/// The child's side of a ring. The memory stays mapped until this and the last [`Slot`] are dropped; frames that the
/// brain holds live on there.
pub struct Writer {
    id: u32,
    slot_bytes: usize,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    entries: Vec<Entry>,
    /// Free slots; the last one released is taken first, since the processor's caches still hold it.
    free: Vec<u32>,
}

struct Entry {
    /// `None` while a [`Slot`] has it.
    part: Option<Part>,
    /// Where the slot's bytes are, to recognise them by.
    address: usize,
    /// Announced, and not yet released.
    lent: bool,
}

impl Writer {
    /// Maps the memfd that came with [`ToChild::Ring`](super::wire::ToChild::Ring). Fails where it is smaller than its message says.
    pub fn map(memory: OwnedFd, id: u32, slots: u32, slot_bytes: u64) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "a ring of impossible size");
        let total = u64::from(slots).checked_mul(slot_bytes).filter(|total| *total > 0 && *total <= MAX_BYTES);
        total.filter(|_| slots <= MAX_SLOTS).ok_or_else(wrong)?;
        let slot_bytes = usize::try_from(slot_bytes).map_err(|_| wrong())?;
        let entry = |mut part: Part| Entry { address: part.bytes_mut().as_ptr().addr(), part: Some(part), lent: false };
        let entries = map::parts(memory, slots as usize, slot_bytes)?.into_iter().map(entry).collect();
        let shared = Shared { entries, free: (0..slots).rev().collect() };
        Ok(Self { id, slot_bytes, shared: Arc::new(Mutex::new(shared)) })
    }

    /// The ring's number, for [`FrameHeader::ring`](super::wire::FrameHeader::ring).
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Bytes of a slot: a layout whose end is beyond needs a new ring.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// Takes a slot to write into. `None` where none is free.
    pub fn free_slot(&self) -> Option<Slot> {
        let mut shared = lock(&self.shared);
        let index = shared.free.pop()?;
        let part = shared.entries.get_mut(index as usize)?.part.take()?;
        Some(Slot { index, part: Some(part), shared: Arc::clone(&self.shared) })
    }

    /// Lends the brain the slot that a picture was written into, known by its first bytes, until [`Writer::released`] is
    /// called for it. `None` where these are no taken slot's, or the brain has it already.
    pub fn lend_at(&self, bytes: &[u8]) -> Option<u32> {
        let address = bytes.as_ptr().addr();
        let entries = &mut lock(&self.shared).entries;
        let index = entries.iter().position(|entry| entry.address == address && entry.part.is_none() && !entry.lent)?;
        entries[index].lent = true;
        u32::try_from(index).ok()
    }

    /// The brain released the slot, or was not told of it after all. It is free once nobody here has it either.
    pub fn released(&self, slot: u32) {
        let shared = &mut *lock(&self.shared);
        if let Some(entry) = shared.entries.get_mut(slot as usize)
            && std::mem::take(&mut entry.lent)
            && entry.part.is_some()
        {
            shared.free.push(slot);
        }
    }

    /// How many slots are taken here, whether lent or not.
    pub fn taken(&self) -> usize {
        lock(&self.shared).entries.iter().filter(|entry| entry.part.is_none()).count()
    }

    /// Whether the brain has all slots.
    pub fn all_lent(&self) -> bool {
        lock(&self.shared).entries.iter().all(|entry| entry.lent)
    }
}

/// A slot that is being written, or has been. Dropping it makes it free again, unless the brain has it: then it is free
/// once the brain has released it, too. Once it is lent it may only be read.
pub struct Slot {
    index: u32,
    /// Always there until the drop.
    part: Option<Part>,
    shared: Arc<Mutex<Shared>>,
}

impl Slot {
    /// Lends it to the brain, until [`Writer::released`] is called for it. Gives its place in the ring, for
    /// [`FrameHeader::slot`](super::wire::FrameHeader::slot).
    pub fn lend(self) -> u32 {
        lock(&self.shared).entries[self.index as usize].lent = true;
        self.index
    }
}

impl AsMut<[u8]> for Slot {
    fn as_mut(&mut self) -> &mut [u8] {
        self.part.as_mut().map(Part::bytes_mut).unwrap_or_default()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let shared = &mut *lock(&self.shared);
        let entry = &mut shared.entries[self.index as usize];
        entry.part = self.part.take();
        if !entry.lent {
            shared.free.push(self.index);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
