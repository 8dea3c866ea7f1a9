//! Memory that is asked for before it is read. A frame was written by another process, so it is in no cache of this processor,
//! and whoever reads a piece here and a piece there waits for each of them in turn.
#![allow(unsafe_code, reason = "a hint that only some processors know")]

/// Bytes that come from memory at once.
const LINE: usize = 64;

/// Asks memory for `bytes`, most of which are read soon. Nothing else comes of it, and nothing at all where the processor has no
/// such hint.
#[inline]
pub fn ask_for(bytes: &[u8]) {
    let lines = bytes.iter().step_by(LINE);
    // where they do not begin with a line they may end in one more
    lines.chain(bytes.last()).for_each(hint);
}

#[inline]
#[allow(unused_unsafe, reason = "younger compilers know that a hint is safe")]
fn hint(byte: &u8) {
    // SAFETY: a hint reads nothing, and every processor of this kind has it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = byte;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_can_be_asked_for() {
        let bytes = vec![7; 1000];
        (0..bytes.len()).for_each(|n| ask_for(&bytes[n..]));
        ask_for(&[]);
        assert_eq!(bytes, [7; 1000]);
    }
}
