//! A made-up crowd of any size, for the tracker's benchmark and tests.

use std::time::{Duration, Instant};

use super::{Analysis, Tracker};
use crate::detect::Detection;
use crate::geometry::{Rect, Size};

/// The frame in which the crowd moves.
pub const FRAME: Size = Size::new(1920, 1080);

/// Fills `faces` with `count` faces as they are at stream time `at`: each on a path of its own through the whole frame,
/// turning back at the borders, a few pixels of jitter on every box, now and then missed or of a low score. The crowd is
/// so dense that faces cover a third of the frame, and the same at every call.
pub fn crowd(count: usize, at: Duration, faces: &mut Vec<Detection>) {
    faces.clear();
    let area = FRAME.pixels() as f32 / 3.0 / count.max(1) as f32;
    let width = area.sqrt().min(200.0) * 0.9;
    let size = Size::new(FRAME.width - width as u32, FRAME.height - (width * 1.2) as u32);
    let tick = at.as_millis() as u64;
    for index in 0..count as u64 {
        let chance = |salt: u64| noise(index, salt);
        let jitter = |salt: u64| (noise(index ^ tick << 20, salt) - 0.5) * 0.08 * width;
        let along = |salt: u64, extent: u32| {
            let speed = (chance(salt) - 0.5) * 3.0 * width;
            bounce(chance(salt + 1) * extent as f32 + speed * at.as_secs_f32(), extent as f32)
        };
        if noise(index ^ tick << 20, 9) < 0.03 {
            continue;
        }
        let (x, y) = (along(1, size.width) + jitter(5), along(3, size.height) + jitter(6));
        let rect = Rect::new(x, y, width + jitter(7), width * 1.2 + jitter(8));
        let score = 0.97 - 0.6 * noise(index ^ tick << 20, 10).powi(8);
        faces.push(Detection { rect, score, landmarks: None });
    }
}

/// The median time of an update with `count` faces in sight at 10 analyses a second, after a second of warming up.
pub fn median_update(tracker: &mut dyn Tracker, count: usize) -> Duration {
    const UPDATES: u32 = 200;
    const WARM: u32 = 10;
    let mut faces = Vec::new();
    let mut times = Vec::new();
    for update in 0..UPDATES + WARM {
        let at = Duration::from_millis(100) * update;
        crowd(count, at, &mut faces);
        let begun = Instant::now();
        tracker.update(Analysis { at, frame_size: FRAME, detections: &faces, thumbnail: None });
        times.push(begun.elapsed());
    }
    let warm = &mut times[WARM as usize..];
    warm.sort_unstable();
    warm[warm.len() / 2]
}

/// A number from 0 to 1 that depends on nothing but its arguments (the finaliser of splitmix64).
fn noise(index: u64, salt: u64) -> f32 {
    let mut z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

/// `position` reflected at 0 and `extent` as often as it takes.
fn bounce(position: f32, extent: f32) -> f32 {
    let folded = position.rem_euclid(2.0 * extent);
    folded.min(2.0 * extent - folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crowd_is_in_the_frame_and_always_the_same() {
        let (mut once, mut again) = (Vec::new(), Vec::new());
        for second in 0..50 {
            crowd(40, Duration::from_secs(second), &mut once);
            crowd(40, Duration::from_secs(second), &mut again);
            assert_eq!(once, again);
            assert!(once.len() > 30 && once.iter().all(|face| face.rect.is_sound()));
            let inside = |r: Rect| r.x > -20.0 && r.y > -20.0 && r.right() < 1940.0 && r.bottom() < 1100.0;
            assert!(once.iter().all(|face| inside(face.rect)));
        }
    }
}
