//! What it costs to pass a picture through shared memory.

use super::figure::{Aim, Figure, millis};
use super::models::full_hd;
use crate::fault::Fault;
use crate::frame::PixelFormat;
use crate::ring::measure;

const PICTURES: usize = 200;

/// A picture copied into its slot, announced, checked and given back, against the copy alone.
pub(super) fn slot() -> Result<Vec<Figure>, Fault> {
    let measured =
        measure(&full_hd(PixelFormat::I420), PICTURES).map_err(|e| Fault::unavailable(format!("no ring: {e}")))?;
    Ok(vec![Figure {
        name: "slot",
        value: millis(measured.copy + measured.hand_over),
        unit: "ms",
        baseline: Some(millis(measured.copy)),
        aim: Aim::None,
        what: "a 1080p picture into the ring and its slot back; bare: the copy".into(),
    }])
}
