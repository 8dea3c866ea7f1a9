//! The mapped memory: the only `unsafe` of this module.
#![allow(unsafe_code, reason = "shared memory cannot be mapped without it")]

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A whole memfd in this process' memory, unmapped on drop.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, is valid wherever it is used in the process, and stays until it is dropped.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference it can only be read.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(memory: impl AsFd, len: usize, prot: ProtFlags) -> io::Result<Self> {
        let size = rustix::fs::fstat(&memory)?.st_size;
        if len == 0 || usize::try_from(size).is_ok_and(|size| size < len) || size <= 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the memory is smaller than its ring"));
        }
        // SAFETY: a null address lets the kernel choose a free range, so no other memory is touched; the file is at least
        // `len` long, and sealed against shrinking by its maker, so that no access within `len` can fault.
        let start = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, memory, 0)? };
        NonNull::new(start.cast()).map(|start| Self { start, len }).ok_or_else(|| io::Error::other("mapped at zero"))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` mapped; no reference into it outlives `self`, since all borrow from it.
        // It can only fail for a range that is no mapping, and then nothing is left to do.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Read-only memory that another process writes.
pub(super) struct ReadMap(Mapping);

impl ReadMap {
    pub(super) fn new(memory: impl AsFd, len: usize) -> io::Result<Self> {
        Mapping::new(memory, len, ProtFlags::READ).map(Self)
    }

    /// All bytes. The child may change those of slots that it should leave alone: whoever reads must take any value for
    /// any byte, and may not expect to read the same value twice.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped and readable for `len` bytes as long as `self` lives; every bit pattern is a `u8`. A slot that is
        // leased is written by nobody unless the child breaks the protocol; then pixels read are arbitrary, and they
        // are used as numbers only, never as a length, index or pointer.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.len) }
    }
}

/// A part of memory that this process writes and another one reads: the only one of its bytes in this process.
pub(super) struct Part {
    mapping: Arc<Mapping>,
    start: usize,
    len: usize,
}

/// Maps a memfd for writing, cut into `parts` of `len` bytes each. It stays mapped until the last of them is dropped.
pub(super) fn parts(memory: impl AsFd, parts: usize, len: usize) -> io::Result<Vec<Part>> {
    let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "more memory than there are addresses");
    let total = parts.checked_mul(len).ok_or_else(too_large)?;
    let mapping = Arc::new(Mapping::new(memory, total, ProtFlags::READ | ProtFlags::WRITE)?);
    Ok((0..parts).map(|n| Part { mapping: Arc::clone(&mapping), start: n * len, len }).collect())
}

impl Part {
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: as below, and this one is borrowed, so nobody in this process writes; the other process never does.
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().add(self.start), self.len) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: within the mapping, which is writable and lives as long as `self`; parts do not overlap, are made once a
        // mapping and cannot be cloned, and this one is borrowed mutably, so this process has no other reference into
        // it. The other process maps the memory read-only, and reads no slot before it has been announced.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.start.as_ptr().add(self.start), self.len) }
    }
}
