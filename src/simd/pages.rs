//! Memory for what must not be found: not in swap, not in a core dump, not in a child, and not after it has gone.
#![allow(unsafe_code, reason = "memory of one's own from the kernel, and instructions about it")]

use std::ffi::c_void;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use tracing::warn;

mod sealed {
    /// Plain numbers: every pattern of bits is one, zeros included, and there is nothing to drop.
    pub trait Plain: Copy + Send + Sync + 'static {}
    impl Plain for u8 {}
    impl Plain for f32 {}
}

/// A huge page: read in order, memory in such is read twice as fast as in small ones, whose ends stop prefetchers.
pub const HUGE: usize = 2 << 20;

/// A slice of numbers in whole pages of its own, zero at first; from [`HUGE`] on in huge ones where the system has them.
/// Dropping it overwrites it with zeros.
pub struct Pages<T: sealed::Plain> {
    start: NonNull<T>,
    len: usize,
    /// What is mapped, and its bytes; the slice lies within it.
    mapped: (*mut c_void, usize),
}

// SAFETY: it owns its memory as a box does, and `T` is plain numbers.
unsafe impl<T: sealed::Plain> Send for Pages<T> {}
// SAFETY: as above; through a shared reference it can only be read.
unsafe impl<T: sealed::Plain> Sync for Pages<T> {}

impl<T: sealed::Plain> Pages<T> {
    /// `len` zeros. Locked into memory where the limit (`RLIMIT_MEMLOCK`) allows it; where not, a warning says so once.
    ///
    /// # Errors
    /// There is no memory left.
    pub fn zeroed(len: usize) -> io::Result<Self> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        if bytes == 0 {
            return Ok(Self { start: NonNull::dangling(), len: 0, mapped: (std::ptr::null_mut(), 0) });
        }
        let huge = bytes >= HUGE;
        // A huge page begins at a multiple of its size, and the kernel chooses where this begins.
        let all = if huge { bytes.checked_add(HUGE).ok_or(io::ErrorKind::OutOfMemory)? } else { bytes };
        // SAFETY: a null address lets the kernel choose a free range, so no other memory is touched.
        let map = unsafe {
            mmap_anonymous(std::ptr::null_mut(), all, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        let skipped = if huge { map.addr().next_multiple_of(HUGE) - map.addr() } else { 0 };
        let start = map.wrapping_byte_add(skipped);
        let first = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let pages = Self { start: first, len, mapped: (map, all) };
        let advices = [Advice::LinuxDontDump, Advice::LinuxDontFork].into_iter();
        for advice in advices.chain(huge.then_some(Advice::LinuxHugepage)) {
            // SAFETY: within the range just mapped; no advice changes what is in it. No code runs in a child between fork and
            // exec that looks at it. That huge pages are not to be had is no harm.
            let advised = unsafe { madvise(start, bytes, advice) };
            if advice != Advice::LinuxHugepage {
                advised?;
            }
        }
        // SAFETY: within the range just mapped; locking changes nothing in it.
        if let Err(error) = unsafe { mlock(start, bytes) } {
            warn_once(error.into());
        }
        Ok(pages)
    }
}

/// Whether some pages could not be locked.
static UNLOCKED: AtomicBool = AtomicBool::new(false);

/// Whether all memory of this kind that there was so far could be locked, so that it is never swapped.
pub fn all_locked() -> bool {
    !UNLOCKED.load(Ordering::Relaxed)
}

fn warn_once(error: io::Error) {
    if !UNLOCKED.swap(true, Ordering::Relaxed) {
        warn!(%error, "the gallery is not locked into memory and may be swapped: raise the limit of locked memory (LimitMEMLOCK)");
    }
}

impl<T: sealed::Plain> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` numbers are mapped and readable as long as `self` lives (or `len` is 0), page-aligned, and of a type
        // of which every pattern of bits is a value.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: sealed::Plain> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; borrowed mutably, so there is no other reference into it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: sealed::Plain> Drop for Pages<T> {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: exactly the range that `zeroed` mapped; no reference into it outlives `self`. All-zero is a value of `T`.
        // Unmapping can only fail for a range that is no mapping, and then nothing is left to do.
        unsafe {
            self.start.as_ptr().write_bytes(0, self.len);
            // The compiler must not drop writes to memory that goes.
            compiler_fence(Ordering::SeqCst);
            let _ = munmap(self.mapped.0, self.mapped.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of `/proc/self/smaps` with this name, for the mapping that holds `address`.
    fn smaps(address: usize, name: &str) -> String {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut here = false;
        for line in text.lines() {
            if let Some((from, to)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')) {
                let number = |hex| usize::from_str_radix(hex, 16);
                if let (Ok(from), Ok(to)) = (number(from), number(to)) {
                    here = (from..to).contains(&address);
                }
            }
            if here && line.starts_with(name) {
                return line.to_owned();
            }
        }
        panic!("nothing is mapped there, or it has no {name}");
    }

    #[test]
    fn pages_are_zero_writable_and_out_of_dumps() {
        let mut pages = Pages::<f32>::zeroed(3000).unwrap();
        assert!(pages.iter().all(|v| *v == 0.0));
        pages[2999] = 1.5;
        assert_eq!((pages.len(), pages[2999]), (3000, 1.5));
        let flags = smaps(pages.as_ptr() as usize, "VmFlags");
        assert!(flags.contains(" dd") && flags.contains(" dc"), "{flags}");
    }

    #[test]
    fn large_ones_begin_where_huge_pages_do() {
        let mut pages = Pages::<u8>::zeroed(HUGE + 5).unwrap();
        assert!((pages.as_ptr() as usize).is_multiple_of(HUGE));
        pages[HUGE + 4] = 7;
        let flags = smaps(pages.as_ptr() as usize, "VmFlags");
        assert!(flags.contains(" dd") && flags.contains(" dc"), "{flags}");
    }

    #[test]
    fn pages_are_locked_where_the_limit_allows() {
        let pages = Pages::<u8>::zeroed(4096).unwrap();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
        if limit.is_some_and(|limit| limit < 1 << 20) {
            eprintln!("skipped: only {limit:?} bytes may be locked here");
            return;
        }
        let flags = smaps(pages.as_ptr() as usize, "VmFlags");
        assert!(flags.contains(" lo"), "{flags}");
    }

    #[test]
    fn none_and_too_many_are_no_trouble() {
        assert!(Pages::<u8>::zeroed(0).unwrap().is_empty());
        assert!(Pages::<f32>::zeroed(usize::MAX / 2).is_err());
        assert!(Pages::<u8>::zeroed(1 << 60).is_err());
    }
}
