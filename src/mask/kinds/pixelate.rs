//! Coarse blocks. Blocks that follow every picture give a face back to whoever puts many pictures together, so there are
//! few of them, each is off by some noise, and they are held for a while.

use std::collections::HashMap;
use std::time::Duration;

use super::{Choice, Filling, Patch, Source};
use crate::fault::Fault;
use crate::mask::shape::Region;

/// Blocks on each side of a mask; a face takes up two thirds of it.
const BLOCKS: usize = 6;

/// For how long blocks stay as they are.
const HELD: Duration = Duration::from_millis(700);

/// Blocks that nobody asked for this long are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// Each component of a block is off by at most this.
const NOISE: i16 = 14;

struct Pixelate {
    held: HashMap<u64, Held>,
    chance: fastrand::Rng,
}

struct Held {
    made: Duration,
    asked: Duration,
    patch: Patch,
}

pub(super) fn make(_choice: &Choice<'_>) -> Result<Box<dyn Filling>, Fault> {
    Ok(Box::new(Pixelate { held: HashMap::new(), chance: fastrand::Rng::new() }))
}

impl Pixelate {
    fn noisy(&mut self, mut patch: Patch) -> Patch {
        for value in patch.colours.iter_mut().flatten() {
            *value = (i16::from(*value) + self.chance.i16(-NOISE..=NOISE)).clamp(0, 255) as u8;
        }
        patch
    }
}

impl Filling for Pixelate {
    fn patch(&mut self, source: Source<'_>, region: &Region, at: Duration) -> Patch {
        let over = region.bounds();
        if let Some(held) = self.held.get_mut(&region.key).filter(|held| at.abs_diff(held.made) < HELD) {
            held.asked = at;
            return Patch { over, ..held.patch.clone() };
        }
        self.held.retain(|_, held| at.abs_diff(held.asked) < FORGOTTEN);
        let patch = self.noisy(Patch::means(source, over, BLOCKS, BLOCKS));
        self.held.insert(region.key, Held { made: at, asked: at, patch: patch.clone() });
        patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::Canvas;
    use crate::geometry::{Rect, Size};

    #[test]
    fn blocks_are_held_and_then_made_anew() {
        let canvas = Canvas::rgb(Size::new(60, 60));
        let (dark, light) = (vec![20; 10_800], vec![220; 10_800]);
        let mut pixelate = make(&Choice { colour: [0; 3], picture: None }).unwrap();
        let mut patch = |bytes: &[u8], ms: u64| {
            let region = Region { key: 7, boxes: vec![Rect::new(0.0, 0.0, 60.0, 60.0)] };
            pixelate.patch(Source::new(&canvas, bytes), &region, Duration::from_millis(ms))
        };
        let first = patch(&dark, 0);
        assert_eq!(first.colours.len(), BLOCKS * BLOCKS);
        assert!(first.colours.iter().flatten().any(|&value| value != 20), "no noise");
        assert_eq!(patch(&light, 600), first, "held");
        assert!(patch(&light, 800).colours.iter().flatten().all(|&value| value > 200));
    }
}
