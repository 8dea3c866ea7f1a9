//! `detect = "motion"`: frames are analysed while something moves.
//!
//! The gate compares thumbnails block by block. Luma is first set right for a change of light as a whole (a lamp, a
//! camera's automatic exposure); what a block differs by then must exceed the noise that blocks of this camera show
//! anyway. Slow drift of light is followed by the reference, and every few seconds a frame is let through
//! whatever happens: a face that came while the gate slept, or sits still, is found then.

use std::time::Duration;

use crate::geometry::Size;

/// Side of a block of the thumbnail, in its pixels: large enough that the sensor's noise averages out.
const BLOCK: usize = 5;

/// By how many levels a block's mean must at least differ, after the change of light as a whole is taken out.
const LEAST_LEVELS: f32 = 4.0;

/// By how much a block must exceed the usual difference of this camera's blocks.
const TIMES_NOISE: f32 = 8.0;

/// How fast the usual difference is learnt, per look.
const LEARNING: f32 = 0.05;

/// Analysis goes on for this long after the last movement.
const LINGER: Duration = Duration::from_secs(2);

/// With nothing moving a frame is analysed all the same when the last one is this long ago.
const AT_LEAST_EVERY: Duration = Duration::from_secs(5);

/// Decides for each frame of one camera whether it is worth an analysis.
#[derive(Debug)]
pub struct Gate {
    size: Size,
    blocks: Vec<f32>,
    previous: Vec<f32>,
    /// Differences of the present look, for their median.
    sorted: Vec<f32>,
    noise: f32,
    moved_at: Option<Duration>,
    passed_at: Option<Duration>,
}

impl Gate {
    /// A gate for thumbnails of `size`.
    pub fn new(size: Size) -> Self {
        Self {
            size,
            blocks: Vec::new(),
            previous: Vec::new(),
            sorted: Vec::new(),
            noise: 0.0,
            moved_at: None,
            passed_at: None,
        }
    }

    /// Whether to analyse the frame taken at `at` (stream time), whose thumbnail is `luma`. `following`: a face is
    /// being followed, so that the gate must stay open. A stream whose time goes back starts afresh.
    pub fn opens(&mut self, at: Duration, luma: &[u8], following: bool) -> bool {
        if self.passed_at.is_some_and(|passed| passed > at) {
            *self = Self::new(self.size);
        }
        if self.moves(luma) || following {
            self.moved_at = Some(at);
        }
        let within = |since: Option<Duration>, limit| since.is_some_and(|since| at.saturating_sub(since) < limit);
        let open = within(self.moved_at, LINGER) || !within(self.passed_at, AT_LEAST_EVERY);
        if open {
            self.passed_at = Some(at);
        }
        open
    }

    /// Whether the picture differs from the one before by more than light and noise.
    fn moves(&mut self, luma: &[u8]) -> bool {
        std::mem::swap(&mut self.blocks, &mut self.previous);
        average_blocks(luma, self.size, &mut self.blocks);
        if self.previous.len() != self.blocks.len() || self.blocks.is_empty() {
            return true;
        }
        let light = Light::between(&self.previous, &self.blocks);
        self.sorted.clear();
        let changes = self.previous.iter().zip(&self.blocks).map(|(old, new)| (new - light.on(*old)).abs());
        self.sorted.extend(changes);
        self.sorted.sort_unstable_by(f32::total_cmp);
        let usual = self.sorted[self.sorted.len() / 2];
        let greatest = self.sorted[self.sorted.len() - 1];
        let moves = greatest > LEAST_LEVELS.max(TIMES_NOISE * self.noise.max(usual));
        self.noise += LEARNING * (usual - self.noise);
        moves
    }
}

/// How the picture as a whole became lighter or darker: a factor about the mean.
struct Light {
    old_mean: f32,
    new_mean: f32,
    gain: f32,
}

impl Light {
    fn between(old: &[f32], new: &[f32]) -> Self {
        let mean = |blocks: &[f32]| blocks.iter().sum::<f32>() / blocks.len() as f32;
        let (old_mean, new_mean) = (mean(old), mean(new));
        let spread = |blocks: &[f32], mean: f32| blocks.iter().map(|v| (v - mean).powi(2)).sum::<f32>().sqrt();
        let (before, after) = (spread(old, old_mean), spread(new, new_mean));
        // A gain only where the whole picture changed: otherwise what moves would set it.
        let stepped = (new_mean - old_mean).abs() > LEAST_LEVELS;
        let gain = if stepped && before > 1.0 { after / before } else { 1.0 };
        Self { old_mean, new_mean, gain }
    }

    /// What a block would be in the new light, had nothing moved.
    fn on(&self, old: f32) -> f32 {
        (old - self.old_mean) * self.gain + self.new_mean
    }
}

/// Means of the thumbnail's blocks; the last column and row of blocks may be narrower.
fn average_blocks(luma: &[u8], size: Size, out: &mut Vec<f32>) {
    out.clear();
    let width = size.width as usize;
    if width == 0 {
        return;
    }
    for band in luma.chunks(BLOCK * width) {
        for left in (0..width).step_by(BLOCK) {
            let right = (left + BLOCK).min(width);
            let rows = band.chunks_exact(width).map(|row| &row[left..right]);
            let (sum, count) = rows.flatten().fold((0_u32, 0_u32), |(sum, n), v| (sum + u32::from(*v), n + 1));
            out.push(sum as f32 / count.max(1) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(160, 90);

    /// A room with sensor noise of `noise` levels, lit with `light`, and a face-sized patch at `patch` if there is one.
    fn scene(seed: u64, noise: i32, light: f32, patch: Option<(usize, usize)>) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..160 * 90)
            .map(|i| {
                let (x, y) = (i % 160, i / 160);
                let inside = patch.is_some_and(|(px, py)| (px..px + 8).contains(&x) && (py..py + 10).contains(&y));
                let base = if inside { 190.0 } else { 60.0 + 0.4 * x as f32 + 0.3 * y as f32 };
                (base * light + random.i32(-noise..=noise) as f32).clamp(0.0, 255.0) as u8
            })
            .collect()
    }

    /// Times at which the gate was open, of 10 frames a second for `seconds`.
    fn open_at(seconds: u64, following: bool, mut picture: impl FnMut(u64) -> Vec<u8>) -> Vec<u64> {
        let mut gate = Gate::new(SIZE);
        (0..seconds * 10).filter(|n| gate.opens(Duration::from_millis(n * 100), &picture(*n), following)).collect()
    }

    #[test]
    fn rests_on_noise_and_looks_every_few_seconds() {
        for noise in [0, 4, 12] {
            let open = open_at(20, false, |n| scene(n, noise, 1.0, None));
            let late: Vec<_> = open.iter().filter(|n| **n >= 20).collect();
            assert!((3..=5).contains(&late.len()), "noise {noise}: open at {late:?}");
        }
    }

    #[test]
    fn opens_at_once_when_something_face_sized_moves() {
        let open = open_at(20, false, |n| {
            let patch = (120..140).contains(&n).then(|| (20 + 2 * (n as usize - 120), 30));
            scene(n, 6, 1.0, patch)
        });
        assert!((120..140).all(|n| open.contains(&n)), "{open:?}");
        assert!(open.iter().filter(|n| **n >= 165).count() <= 1, "{open:?}");
    }

    #[test]
    fn a_lamp_or_a_cloud_is_no_movement() {
        let lamp = open_at(12, false, |n| scene(n, 3, if n < 80 { 0.7 } else { 1.1 }, None));
        assert!(lamp.iter().filter(|n| **n >= 30).count() <= 3, "{lamp:?}");
        let cloud = open_at(12, false, |n| scene(n, 3, 1.0 - n as f32 * 0.003, None));
        assert!(cloud.iter().filter(|n| **n >= 30).count() <= 3, "{cloud:?}");
    }

    #[test]
    fn stays_open_while_a_face_is_followed() {
        assert_eq!(open_at(10, true, |n| scene(n, 3, 1.0, None)).len(), 100);
    }

    #[test]
    fn a_stream_that_begins_again_is_seen_at_once() {
        let mut gate = Gate::new(SIZE);
        assert!(gate.opens(Duration::from_secs(100), &scene(1, 3, 1.0, None), false));
        assert!(gate.opens(Duration::ZERO, &scene(2, 3, 1.0, None), false));
    }
}
