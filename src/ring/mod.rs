//! Frames cross from child to brain in sealed shared memory.
//!
//! The brain makes every ring: a memfd of fixed size ([`Ring::create`]) that it seals against shrinking and growing, so
//! that a mapping can never fault, and maps read-only. The child maps the same memory for writing ([`Writer::map`]). A ring
//! is cut into slots of equal size, a picture each. The child fills a slot that it owns and announces it
//! ([`wire::ToBrain::Frame`]); the brain checks every field of that announcement ([`Ring::lease`]), since a child that
//! parses hostile video may itself have turned hostile, and holds the slot as a [`Lease`]; dropping the last clone of
//! the frame gives the slot back ([`wire::ToChild::Release`]), with others where the child has enough to go on. A new
//! picture size means a new ring; leases of the old one live on.
//!
//! What such a child can still do is change pixels while the brain reads them. That spoils a picture, and nothing else: no
//! length, index or pointer is ever read out of shared memory.
//!
//! `unsafe` is confined to the file `map.rs`.

use crate::frame::Layout;
use crate::geometry::Size;

mod channel;
#[cfg(test)]
mod channel_tests;
mod environment;
mod fields;
mod map;
mod measure;
#[cfg(test)]
mod messages_tests;
pub mod out;
mod reader;
#[cfg(test)]
mod release_tests;
pub mod server;
#[cfg(test)]
mod tests;
pub mod wire;
mod writer;

pub use environment::{ENVIRONMENT, INHERITED};
pub use measure::{Measured, measure};
pub use reader::{Lease, Lie, Ring};
pub use writer::{Slot, Writer};

/// The largest picture, in pixels a side. A child that announces a larger one lies, or shows what nobody can analyse in time.
pub const MAX_SIDE: u32 = 8192;

/// The most slots of one ring.
pub const MAX_SLOTS: u32 = 1024;

/// The most bytes of one ring: 1 GiB, some 85 frames of 4K.
pub const MAX_BYTES: u64 = 1 << 30;

/// Slots begin on a page, so that rows and planes keep the alignment that the child gives them.
const PAGE: u64 = 4096;

/// Bytes of one slot for pictures of this layout. `None` where the layout is unsound or too large.
pub fn slot_bytes(layout: &Layout) -> Option<u64> {
    let Size { width, height } = layout.size;
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return None;
    }
    let end = u64::try_from(layout.end()?).ok()?;
    (end <= MAX_BYTES).then(|| end.next_multiple_of(PAGE))
}

/// Bytes of a ring of `slots` pictures of this layout. `None` where it would be larger than a ring may be.
pub fn bytes(layout: &Layout, slots: u32) -> Option<u64> {
    if !(1..=MAX_SLOTS).contains(&slots) {
        return None;
    }
    slot_bytes(layout)?.checked_mul(u64::from(slots)).filter(|bytes| *bytes <= MAX_BYTES)
}

/// How many slots of this layout the largest ring has. `None` where the layout is unsound or too large.
pub fn slots_that_fit(layout: &Layout) -> Option<u32> {
    let slots = MAX_BYTES / slot_bytes(layout)?;
    u32::try_from(slots).ok().map(|slots| slots.min(MAX_SLOTS)).filter(|slots| *slots > 0)
}
