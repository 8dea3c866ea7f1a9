//! Boxes that stand for a way.

use super::motion::mixed;
use crate::geometry::Rect;

/// Distance between two boxes that stand for a way, in shares of the smaller side.
const STEP: f32 = 0.15;
/// Most boxes of a way.
const MOST_STEPS: f32 = 64.0;

/// A place where a face may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub rect: Rect,
    /// By which share of its size it may be elsewhere.
    pub doubt: f32,
}

/// Boxes that stand for the way from one box to another, or a part of it; each with that `doubt`.
pub(super) fn sweep((a, b): (Rect, Rect), (first, last): (f32, f32), doubt: f32, places: &mut Vec<Place>) {
    let smaller = a.w.min(a.h).min(b.w).min(b.h);
    let (from, to) = (a.centre(), b.centre());
    let length = (to.x - from.x).hypot(to.y - from.y) * (last - first);
    let steps = (length / (STEP * smaller)).ceil().clamp(1.0, MOST_STEPS) as u32;
    for step in 0..=steps {
        let share = first + (last - first) * step as f32 / steps as f32;
        places.push(Place { rect: mixed(a, b, share), doubt });
    }
}
