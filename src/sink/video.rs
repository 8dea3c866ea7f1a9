//! What takes the video of a masked camera.
//!
//! A camera's thread paints each released frame once: into the slot of its RTSP outlet, where it has one and that has room,
//! and otherwise into memory of its own. Whatever else wants to see it is a [`VideoTaker`], and sees what was painted.

use crate::frame::Stamp;
use crate::mask::MaskedFrame;

/// Looks at a camera's masked frames: for snapshots, the audit, a console. Lives in the camera's thread, so that it must never
/// block; what takes long belongs into a thread of its own, behind a bounded channel.
pub trait VideoTaker: Send {
    /// Whether it takes the frame of this time. Where nobody does, nothing is painted.
    fn wants(&mut self, stamp: &Stamp) -> bool;

    /// From the next frame on other faces are masked than before, or none, or some again.
    fn policy_changed(&mut self) {}

    /// Takes a frame that somebody wanted; [`MaskedFrame::copied`] keeps it.
    fn take(&mut self, frame: &MaskedFrame<&[u8]>);
}
