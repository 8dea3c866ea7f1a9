//! What a face looks like in small, and where in another picture that is found again, sample by sample.
//!
//! A place looks like a face where it is light and dark as the face is, however light the picture as a whole. A half of it is
//! enough to find it, since something may hide the other one; it is not enough to be sure.

use crate::frame::Picture;
use crate::geometry::Rect;

/// Samples of a face, across and down.
const SIDE: usize = 16;
/// Farthest from where it is expected that a face is looked for, in samples.
const MOST_REACH: usize = 12;
/// A place looks like a face where it is as light and dark there as the face is, to this correlation.
const ALIKE: f32 = 0.8;
/// A face whose samples differ by no more than so many levels looks like everything.
const FLAT: f32 = 6.0;

/// A half of a face must look like that half by this much: the other one may be hidden.
const HALF_ALIKE: f32 = 0.9;
/// The parts of a face that are looked for, by its quarters: all, and each half.
const PARTS: [[bool; 4]; 5] = [
    [true, true, true, true],
    [true, true, false, false],
    [false, false, true, true],
    [true, false, true, false],
    [false, true, false, true],
];
/// Samples of a quarter, across and down.
const QUARTER: usize = SIDE / 2;

/// What a face looks like.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    levels: Vec<u8>,
    /// Of each quarter.
    sums: [Sums; 4],
}

/// Sums over samples that are compared with a face's: of both, their squares, and their products.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u32,
    levels: u32,
    squares: u32,
    products: u32,
}

impl Sums {
    fn of(parts: [bool; 4], quarters: &[Self; 4]) -> Self {
        let mut all = Self::default();
        for (quarter, _) in quarters.iter().zip(parts).filter(|(_, wanted)| *wanted) {
            all.count += quarter.count;
            all.levels += quarter.levels;
            all.squares += quarter.squares;
            all.products += quarter.products;
        }
        all
    }

    /// By how many levels they differ from each other.
    fn spread(&self) -> f32 {
        let (count, levels) = (self.count as f32, self.levels as f32);
        (self.squares as f32 / count - (levels / count).powi(2)).max(0.0).sqrt()
    }

    /// How much these are like the face's `own`.
    fn correlation(&self, own: &Self) -> f32 {
        let (spread, own_spread) = (self.spread(), own.spread());
        if spread <= FLAT || own_spread <= FLAT {
            return 0.0;
        }
        let count = self.count as f32;
        let common = self.products as f32 / count - self.levels as f32 / count * (own.levels as f32 / count);
        common / (spread * own_spread)
    }
}

/// Sums over each quarter of `own` and of what lies there so many samples from the grid's corner.
fn quarters(own: &[u8], grid: &Grid, (x, y): (usize, usize)) -> [Sums; 4] {
    let mut quarters = [Sums::default(); 4];
    for (half, (quarters, own)) in quarters.chunks_exact_mut(2).zip(own.chunks_exact(QUARTER * SIDE)).enumerate() {
        let down = y + half * QUARTER;
        let mut columns = [0; SIDE];
        add_products(&mut columns, own, (&grid.levels[down * grid.side + x..], grid.side));
        for (index, (sums, columns)) in quarters.iter_mut().zip(columns.chunks_exact(QUARTER)).enumerate() {
            let [levels, squares] = grid.sums.quarter((x + index * QUARTER, down));
            *sums = Sums { count: (QUARTER * QUARTER) as u32, levels, squares, products: columns.iter().sum() };
        }
    }
    quarters
}

/// Adds up the products of `own` and of what lies there in rows of another length, column by column. Not inlined: the compiler
/// adds to many columns at once only where their sums are in memory.
#[inline(never)]
fn add_products(sums: &mut [u32; SIDE], own: &[u8], (levels, side): (&[u8], usize)) {
    for (row, own) in own.chunks_exact(SIDE).enumerate() {
        let levels = &levels[row * side..][..SIDE];
        for ((sum, level), own) in sums.iter_mut().zip(levels).zip(own) {
            *sum += u32::from(u16::from(*level) * u16::from(*own));
        }
    }
}

impl Looks {
    /// Of what is at `rect`; `None` where that is plain.
    pub fn of(picture: Picture<'_>, rect: Rect) -> Option<Self> {
        let grid = Grid::of(picture, rect, 0);
        let sums = quarters(&grid.levels, &grid, (0, 0));
        (Sums::of(PARTS[0], &sums).spread() > FLAT).then_some(Self { levels: grid.levels, sums })
    }

    /// What looks most like it no further than so many sizes from where it is `expected`, and whether that is all of it.
    pub fn find(&self, picture: Picture<'_>, expected: Rect, far: f32) -> Option<(Rect, bool)> {
        let reach = ((far * SIDE as f32).ceil() as usize).clamp(1, MOST_REACH);
        let grid = Grid::of(picture, expected, reach);
        let across = 2 * reach + 1;
        let places = (0..across * across).map(|n| (n % across, n / across));
        let sums: Vec<[Sums; 4]> = places.map(|place| quarters(&self.levels, &grid, place)).collect();
        let (part, (x, y)) = PARTS.iter().enumerate().find_map(|(part, quarters)| {
            let own = Sums::of(*quarters, &self.sums);
            let scores: Vec<f32> = sums.iter().map(|sums| Sums::of(*quarters, sums).correlation(&own)).collect();
            Some((part, peak(&scores, across, if part == 0 { ALIKE } else { HALF_ALIKE })?))
        })?;
        let shift = |at: f32, side: f32| (at - reach as f32) * side / SIDE as f32;
        let rect = Rect { x: expected.x + shift(x, expected.w), y: expected.y + shift(y, expected.h), ..expected };
        Some((rect, part == 0))
    }
}

/// Where the largest of these scores is, between samples, if it reaches `least`.
fn peak(scores: &[f32], across: usize, least: f32) -> Option<(f32, f32)> {
    let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]))?;
    let (x, y) = (best % across, best / across);
    // at the rim it may be further away
    if scores[best] < least || x == 0 || y == 0 || x + 1 == across || y + 1 == across {
        return None;
    }
    let top = |before: f32, at: f32, after: f32| {
        let bend = before - 2.0 * at + after;
        if bend < -1e-6 { ((before - after) / (2.0 * bend)).clamp(-0.5, 0.5) } else { 0.0 }
    };
    let dx = top(scores[best - 1], scores[best], scores[best + 1]);
    let dy = top(scores[best - across], scores[best], scores[best + across]);
    Some((x as f32 + dx, y as f32 + dy))
}

/// Samples of a picture around a box: as many as the box has, and so many more on each side.
struct Grid {
    side: usize,
    levels: Vec<u8>,
    sums: Areas,
}

/// Sums over samples, and over their squares, from the corner of a grid to the left and above each place.
struct Areas {
    across: usize,
    sums: Vec<[u32; 2]>,
}

impl Areas {
    fn of(levels: &[u8], side: usize) -> Self {
        let across = side + 1;
        let mut sums = vec![[0; 2]; across * across];
        for (row, levels) in levels.chunks_exact(side).enumerate() {
            let (above, below) = sums[row * across..].split_at_mut(across);
            let mut left = [0; 2];
            for ((level, above), below) in levels.iter().zip(&above[1..]).zip(&mut below[1..]) {
                let level = u32::from(*level);
                left = [left[0] + level, left[1] + level * level];
                *below = [above[0] + left[0], above[1] + left[1]];
            }
        }
        Self { across, sums }
    }

    /// Over a quarter of a face with that corner.
    fn quarter(&self, (x, y): (usize, usize)) -> [u32; 2] {
        let row = |y: usize| &self.sums[y * self.across + x..][..=QUARTER];
        let (above, below) = (row(y), row(y + QUARTER));
        let sum = |n: usize| below[QUARTER][n] + above[0][n] - above[QUARTER][n] - below[0][n];
        [sum(0), sum(1)]
    }
}

impl Grid {
    fn of(picture: Picture<'_>, rect: Rect, more: usize) -> Self {
        let side = SIDE + 2 * more;
        let (luma, stride) = (picture.plane(0), picture.layout().planes[0].stride);
        let (width, height) = (picture.size().width as i32, picture.size().height as i32);
        // two by two pixels a sample
        let places = |start: f32, length: f32, most: i32| -> Vec<[usize; 2]> {
            let step = length / SIDE as f32;
            let place = |n: usize| start + (n as f32 / 2.0 + 0.25 - more as f32) * step;
            // towards 0, as all that lies before the picture
            let pixel = |n: usize| (place(n) as i32).clamp(0, most - 1) as usize;
            (0..side).map(|n| [pixel(2 * n), pixel(2 * n + 1)]).collect()
        };
        let (columns, rows) = (places(rect.x, rect.w, width), places(rect.y, rect.h, height));
        let mut levels = Vec::with_capacity(side * side);
        for [upper, lower] in rows {
            let (upper, lower) = (&luma[upper * stride..], &luma[lower * stride..]);
            levels.extend(columns.iter().map(|&[left, right]| {
                let samples = [upper[left], upper[right], lower[left], lower[right]];
                (samples.map(u16::from).iter().sum::<u16>() / 4) as u8
            }));
        }
        let sums = Areas::of(&levels, side);
        Self { side, levels, sums }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
    use crate::geometry::Size;

    const SIZE: Size = Size::new(320, 180);

    /// Ground of one pattern with a face of 48 by 64 pixels of another at (`x`, `y`), all lighter by `light`.
    fn picture(x: usize, y: usize, light: u8) -> Vec<u8> {
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        let wave = |at: f32, length: f32| (at / length).sin();
        let level = |n: usize| {
            let (column, row) = ((n % width) as f32, (n / width) as f32);
            let (across, down) = (column - x as f32, row - y as f32);
            let is_face = (0.0..48.0).contains(&across) && (0.0..64.0).contains(&down);
            let level = match is_face {
                true => {
                    110.0 + 35.0 * wave(across, 5.0) + 30.0 * wave(down, 8.0) + 25.0 * wave(across + 2.0 * down, 13.0)
                }
                false => 60.0 + 20.0 * wave(column, 4.0) * wave(row, 7.0),
            };
            level as u8 + light
        };
        (0..width * height).map(level).collect()
    }

    fn with<T>(mut luma: Vec<u8>, look: impl FnOnce(Picture<'_>) -> T) -> T {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(SIZE, PixelFormat::I420, colour);
        luma.resize(layout.end().unwrap(), 128);
        look(Picture::new(&layout, &luma).unwrap())
    }

    fn face(x: usize, y: usize) -> Rect {
        Rect::new(x as f32, y as f32, 48.0, 64.0)
    }

    fn looks() -> Looks {
        with(picture(100, 60, 0), |picture| Looks::of(picture, face(100, 60))).unwrap()
    }

    #[test]
    fn a_face_is_found_where_it_went_in_another_light_too() {
        for (x, y, light) in [(100, 60, 0), (112, 55, 0), (91, 70, 40)] {
            let (rect, sure) = with(picture(x, y, light), |p| looks().find(p, face(100, 60), 0.4)).unwrap();
            let off = (rect.x - x as f32).abs().max((rect.y - y as f32).abs());
            assert!(sure && off < 2.0, "at {x}, {y}: {rect:?}");
        }
    }

    #[test]
    fn half_of_a_face_is_found_and_not_sure() {
        let mut luma = picture(110, 60, 0);
        let rows = luma.chunks_exact_mut(SIZE.width as usize).enumerate().skip(60).take(64);
        rows.for_each(|(row, levels)| levels[110..134].fill(if row / 3 % 2 == 0 { 230 } else { 30 }));
        let (rect, sure) = with(luma, |picture| looks().find(picture, face(100, 60), 0.4)).unwrap();
        assert!(!sure && (rect.x - 110.0).abs() < 2.0 && (rect.y - 60.0).abs() < 2.0, "{rect:?}");
    }

    #[test]
    fn what_is_not_there_is_not_found_nor_what_is_further_away_than_asked() {
        assert_eq!(with(picture(250, 100, 0), |picture| looks().find(picture, face(100, 60), 0.4)), None);
        assert_eq!(with(picture(120, 60, 0), |picture| looks().find(picture, face(100, 60), 0.1)), None);
    }

    #[test]
    fn what_is_plain_looks_like_nothing() {
        let plain = || vec![90; SIZE.pixels() as usize];
        assert!(with(plain(), |picture| Looks::of(picture, face(100, 60))).is_none());
        assert_eq!(with(plain(), |picture| looks().find(picture, face(100, 60), 0.4)), None);
    }

    #[test]
    fn boxes_that_are_not_in_the_picture_do_no_harm() {
        for rect in [face(300, 150), Rect::new(-500.0, 900.0, 3.0, 4.0), Rect::new(f32::NAN, 0.0, 1e9, 0.0)] {
            with(picture(100, 60, 0), |picture| {
                looks().find(picture, rect, 0.4);
                Looks::of(picture, rect)
            });
        }
    }
}
