//! The brain's side of a ring: it makes the memory, checks what the child announces, and gives slots back.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::map::ReadMap;
use super::wire::{BrainEnd, FrameHeader, SendError, ToChild};
use super::{bytes, slot_bytes};
use crate::frame::{Layout, PixelBuffer};

/// What is wrong with an announced frame. A child that lies once is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// The ring was never given to this child.
    #[error("a frame in a ring that does not exist")]
    Ring,
    /// The ring has no such slot.
    #[error("a frame in a slot that does not exist")]
    Slot,
    /// The slot belongs to the brain.
    #[error("a frame in a slot that is still held")]
    Held,
    /// Size, strides or aspect are impossible.
    #[error("a frame of impossible size")]
    Layout,
    /// The picture reaches past its slot.
    #[error("a frame that reaches past its slot")]
    End,
}

/// Who has a slot.
mod owner {
    /// The child may write it.
    pub const CHILD: u8 = 0;
    /// A lease holds it.
    pub const LEASE: u8 = 1;
    /// No lease holds it any more, but the child has not been told yet.
    pub const OWED: u8 = 2;
}

/// Slots that the child is told of at a time where it need not know of each at once: every message wakes a thread.
const TOGETHER: usize = 4;

/// Fewer slots than this are few: three in the making, the one shown last, and as many for pictures that are announced
/// and not yet read.
const FEW: usize = 8;

/// The brain's side of a ring. Leases keep the memory alive when it is dropped.
pub struct Ring {
    memory: OwnedFd,
    shared: Arc<Shared>,
}

struct Shared {
    id: u32,
    map: ReadMap,
    slot_bytes: usize,
    owners: Box<[AtomicU8]>,
    channel: Weak<BrainEnd>,
}

impl Ring {
    /// Makes and seals the memory for `slots` pictures of this layout, and maps it read-only. Slots that come free are
    /// announced on `channel` as long as somebody else keeps it open.
    pub fn create(id: u32, layout: &Layout, slots: u32, channel: &Arc<BrainEnd>) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "the pictures are too large for a ring");
        let total = bytes(layout, slots).ok_or_else(wrong)?;
        let memory = sealed_memory(total)?;
        let total = usize::try_from(total).map_err(|_| wrong())?;
        let shared = Shared {
            id,
            map: ReadMap::new(&memory, total)?,
            slot_bytes: total / slots as usize,
            owners: (0..slots).map(|_| AtomicU8::new(owner::CHILD)).collect(),
            channel: Arc::downgrade(channel),
        };
        Ok(Self { memory, shared: Arc::new(shared) })
    }

    /// Whether pictures of this layout fit its slots.
    pub fn fits(&self, layout: &Layout) -> bool {
        slot_bytes(layout).is_some_and(|bytes| bytes <= self.shared.slot_bytes as u64)
    }

    /// The message that hands this ring to the child, to be sent with [`Ring::fd`].
    pub fn offer(&self) -> ToChild {
        let Shared { id, slot_bytes, owners, .. } = &*self.shared;
        ToChild::Ring { id: *id, slots: owners.len() as u32, slot_bytes: *slot_bytes as u64 }
    }

    /// The memory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// Takes over the slot of an announced frame, after checking all that the announcement says about memory. (Its times
    /// are the stream's business.)
    pub fn lease(&mut self, header: &FrameHeader) -> Result<Lease, Lie> {
        let shared = &self.shared;
        if header.ring != shared.id {
            return Err(Lie::Ring);
        }
        let slot = header.slot as usize;
        let owner = shared.owners.get(slot).ok_or(Lie::Slot)?;
        let (x, y) = header.layout.sar;
        if !(1..=u32::from(u16::MAX)).contains(&x) || !(1..=u32::from(u16::MAX)).contains(&y) {
            return Err(Lie::Layout);
        }
        slot_bytes(&header.layout).ok_or(Lie::Layout)?;
        if header.layout.end().is_none_or(|end| end > shared.slot_bytes) {
            return Err(Lie::End);
        }
        owner
            .compare_exchange(owner::CHILD, owner::LEASE, Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| Lie::Held)?;
        // it may have few left now
        shared.pay();
        Ok(Lease { shared: Arc::clone(shared), slot })
    }

    /// Tells the child of slots that came free while it did not read, as far as it needs to know of them.
    pub fn settle(&self) {
        self.shared.pay();
    }

    /// Whether leases hold all slots, so that the child cannot go on.
    pub fn is_full(&self) -> bool {
        self.held() == self.shared.owners.len()
    }

    /// Slots that leases hold.
    pub fn held(&self) -> usize {
        self.shared.count(owner::LEASE)
    }

    /// Holds at any time: every slot has one owner, and all slots lie within the memory.
    pub fn check_invariants(&self) {
        let Shared { map, slot_bytes, owners, .. } = &*self.shared;
        assert_eq!(owners.len() * slot_bytes, map.bytes().len(), "slots must fill the memory exactly");
        assert!(owners.iter().all(|owner| owner.load(Ordering::Acquire) <= owner::OWED), "a slot has an unknown owner");
        // each lease holds one reference, the ring holds another; counted first, as leases come from this thread alone
        let references = Arc::strong_count(&self.shared);
        assert!(self.held() < references, "a slot is held by no lease");
    }
}

impl Shared {
    /// Slots that `whom` has.
    fn count(&self, whom: u8) -> usize {
        self.owners.iter().filter(|owner| owner.load(Ordering::SeqCst) == whom).count()
    }

    /// Tells the child of the slots that it is owed, if these are enough for a message, or it has few others, or no
    /// lease is left whose drop could tell it.
    ///
    /// Whoever takes a slot or gives one up calls this afterwards. All see the owners change in one order, so that the
    /// last of several at a time sees what they have come to, and no slot stays behind.
    fn pay(&self) {
        let owed = self.count(owner::OWED);
        let few = FEW.max(self.owners.len() / 4);
        if owed >= TOGETHER || (owed > 0 && (self.count(owner::CHILD) < few || self.count(owner::LEASE) == 0)) {
            self.tell();
        }
    }

    /// Gives all slots that are owed back to the child; keeps owing them where it does not read.
    fn tell(&self) {
        let change = |slot: u32, from: u8, to: u8| {
            let owner = &self.owners[slot as usize];
            owner.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        };
        // the child's from here on: it may announce them as soon as the message is out
        let every = 0..self.owners.len() as u32;
        let slots: Vec<u32> = every.filter(|slot| change(*slot, owner::OWED, owner::CHILD)).collect();
        let Some(channel) = self.channel.upgrade().filter(|_| !slots.is_empty()) else { return };
        let release = ToChild::Release { ring: self.id, slots: slots.clone() };
        if channel.send(&release, None) == Err(SendError::Full) {
            for slot in slots {
                // unless it has announced the slot already, without waiting to be told
                change(slot, owner::CHILD, owner::OWED);
            }
        }
    }
}

/// A picture's slot, read-only. Dropping it gives the slot back to the child, perhaps later with others: never blocks,
/// and does nothing where the child is gone.
pub struct Lease {
    shared: Arc<Shared>,
    slot: usize,
}

impl PixelBuffer for Lease {
    fn bytes(&self) -> &[u8] {
        let start = self.slot * self.shared.slot_bytes;
        &self.shared.map.bytes()[start..start + self.shared.slot_bytes]
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.owners[self.slot].store(owner::OWED, Ordering::SeqCst);
        self.shared.pay();
    }
}

/// Memory of a fixed size that no process can ever change the size of.
fn sealed_memory(bytes: u64) -> io::Result<OwnedFd> {
    let memory = memory(bytes)?;
    seal(&memory, SealFlags::empty())?;
    Ok(memory)
}

/// Forbids every change of size, what `more` says, and any further seal.
pub(super) fn seal(memory: &OwnedFd, more: SealFlags) -> io::Result<()> {
    Ok(fcntl_add_seals(memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL | more)?)
}

/// Shared memory of this size, still to be sealed.
pub(super) fn memory(bytes: u64) -> io::Result<OwnedFd> {
    check_limit(bytes, getrlimit(Resource::Fsize).current)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create(c"visor-ring", flags | MemfdFlags::NOEXEC_SEAL) {
        // a kernel before 6.3 does not know the flag
        Err(Errno::INVAL) => memfd_create(c"visor-ring", flags)?,
        other => other?,
    };
    ftruncate(&memory, bytes)?;
    Ok(memory)
}

/// The limit on the size of files holds for memory that can be shared, too, and the kernel's answer to whoever goes
/// beyond it is a signal that kills.
fn check_limit(bytes: u64, limit: Option<u64>) -> io::Result<()> {
    match limit {
        Some(limit) if bytes > limit => Err(io::Error::other(format!(
            "shared memory counts as a file, and the limit on the size of files is {limit} bytes (raise RLIMIT_FSIZE)"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod limit_tests {
    use super::check_limit;

    #[test]
    fn a_limit_on_the_size_of_files_is_named() {
        assert!(check_limit(4096, None).is_ok() && check_limit(4096, Some(4096)).is_ok());
        let error = check_limit(4097, Some(4096)).unwrap_err().to_string();
        assert!(error.contains("4096 bytes") && error.contains("RLIMIT_FSIZE"), "{error}");
    }
}
