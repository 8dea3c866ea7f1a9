//! Boxes that move: how far apart they are, and where they are in between and after. Distances are in sizes of a face,
//! times in seconds.

use std::time::Duration;

use crate::geometry::{Point, Rect};

/// For so many seconds a face that is not seen goes on as before.
const STRAIGHT: f32 = 0.3;

/// Whole durations are told apart before they become one: a stream that has run for days has times that a float does not.
pub(super) fn seconds(time: Duration) -> f32 {
    time.as_secs_f32()
}

/// From one time to another, which may be before it.
pub(super) fn signed(from: Duration, to: Duration) -> f32 {
    seconds(to.saturating_sub(from)) - seconds(from.saturating_sub(to))
}

/// How much of the time from one instant to another has passed at a third: less than 0 before, more than 1 after.
pub(super) fn share(from: Duration, to: Duration, at: Duration) -> f32 {
    signed(from, at) / signed(from, to).max(1e-6)
}

/// Side of the square as large as the box, in pixels.
pub(super) fn size(rect: Rect) -> f32 {
    rect.area().sqrt()
}

/// Between two centres, in sizes.
pub(super) fn distance(a: Rect, b: Rect) -> f32 {
    let (from, to) = (a.centre(), b.centre());
    (to.x - from.x).hypot(to.y - from.y) / size(a).max(size(b)).max(1.0)
}

/// In sizes a second.
pub(super) fn speed(velocity: Point, rect: Rect) -> f32 {
    velocity.x.hypot(velocity.y) / size(rect).max(1.0)
}

/// In pixels a second, of what gets from one place to another in so many seconds.
pub(super) fn velocity_between(a: Rect, b: Rect, seconds: f32) -> Point {
    let (from, to) = (a.centre(), b.centre());
    Point::new((to.x - from.x) / seconds, (to.y - from.y) / seconds)
}

/// `rect` after so many seconds, or before; nobody goes straight on for long.
pub(super) fn moved(rect: Rect, velocity: Point, seconds: f32) -> Rect {
    moved_on(rect, velocity, seconds.clamp(-STRAIGHT, STRAIGHT))
}

/// The same of what goes straight on.
pub(super) fn moved_on(rect: Rect, velocity: Point, seconds: f32) -> Rect {
    Rect { x: rect.x + velocity.x * seconds, y: rect.y + velocity.y * seconds, ..rect }
}

/// The box on the way from one to another, at that share of it.
pub(super) fn mixed(a: Rect, b: Rect, share: f32) -> Rect {
    let mix = |a: f32, b: f32| a + (b - a) * share;
    Rect::new(mix(a.x, b.x), mix(a.y, b.y), mix(a.w, b.w), mix(a.h, b.h))
}
