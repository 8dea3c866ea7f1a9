//! What a face looks like in small, and where in another picture that is found again, sample by sample.
//!
//! A place looks like a face where it is light and dark as the face is, however light the picture as a whole. A half of it is
//! enough to find it, since something may hide the other one; it is not enough to be sure.

use std::array::from_fn;

use crate::frame::Picture;
use crate::geometry::Rect;
use crate::simd::ahead;

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

/// Samples of a quarter, row by row.
type Quarter = [[i16; QUARTER]; QUARTER];

/// What a face looks like.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    quarters: [Quarter; 4],
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

/// The sum of the products of both. So long as their size is known, two products each are added by one instruction.
fn products(own: &Quarter, there: &Quarter) -> u32 {
    let row = |(own, there): (&[i16; QUARTER], &[i16; QUARTER])| -> i32 {
        own.iter().zip(there).map(|(own, there)| i32::from(*own) * i32::from(*there)).sum()
    };
    own.iter().zip(there).map(row).sum::<i32>() as u32
}

impl Looks {
    /// Of what is at `rect`; `None` where that is plain.
    pub fn of(picture: Picture<'_>, rect: Rect) -> Option<Self> {
        let grid = Grid::of(picture, rect, 0);
        let quarters = Grid::corners((0, 0)).map(|corner| grid.quarter(corner).copied().unwrap_or_default());
        let sums = grid.sums(&quarters, (0, 0));
        (Sums::of(PARTS[0], &sums).spread() > FLAT).then_some(Self { quarters, sums })
    }

    /// What looks most like it no further than so many sizes from where it is `expected`, and whether that is all of it.
    pub fn find(&self, picture: Picture<'_>, expected: Rect, far: f32) -> Option<(Rect, bool)> {
        let reach = ((far * SIDE as f32).ceil() as usize).clamp(1, MOST_REACH);
        let grid = Grid::of(picture, expected, reach);
        let across = 2 * reach + 1;
        let places = (0..across * across).map(|n| (n % across, n / across));
        let sums: Vec<[Sums; 4]> = places.map(|place| grid.sums(&self.quarters, place)).collect();
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
    /// From each column on as many samples as a quarter is wide, row by row, column after column.
    strips: Vec<[i16; QUARTER]>,
    areas: Vec<[u32; 2]>,
}

impl Grid {
    fn of(picture: Picture<'_>, rect: Rect, more: usize) -> Self {
        let side = SIDE + 2 * more;
        let levels = levels(picture, rect, more);
        let mut strips = vec![[0; QUARTER]; (side - QUARTER + 1) * side];
        for (x, strip) in strips.chunks_exact_mut(side).enumerate() {
            for (part, line) in strip.iter_mut().zip(levels.chunks_exact(side)) {
                part.copy_from_slice(&line[x..x + QUARTER]);
            }
        }
        Self { side, strips, areas: areas(&levels, side) }
    }

    /// The quarters of a face with that corner.
    fn corners((x, y): (usize, usize)) -> [(usize, usize); 4] {
        [(x, y), (x + QUARTER, y), (x, y + QUARTER), (x + QUARTER, y + QUARTER)]
    }

    /// Samples of a quarter with that corner.
    fn quarter(&self, (x, y): (usize, usize)) -> Option<&Quarter> {
        self.strips[x * self.side + y..].first_chunk()
    }

    /// Sums over each quarter of `own` and of what lies there so many samples from the grid's corner.
    fn sums(&self, own: &[Quarter; 4], place: (usize, usize)) -> [Sums; 4] {
        let corners = Self::corners(place);
        from_fn(|n| {
            let [levels, squares] = self.areas[corners[n].1 * (self.side + 1) + corners[n].0];
            let products = self.quarter(corners[n]).map_or(0, |there| products(&own[n], there));
            Sums { count: (QUARTER * QUARTER) as u32, levels, squares, products }
        })
    }
}

/// Sums over the samples, and over their squares, of each quarter of a face, by its corner.
fn areas(levels: &[i16], side: usize) -> Vec<[u32; 2]> {
    // first of all above and to the left
    let across = side + 1;
    let mut sums = vec![[0; 2]; across * across];
    for (row, levels) in levels.chunks_exact(side).enumerate() {
        let (above, below) = sums[row * across..].split_at_mut(across);
        let mut left = [0; 2];
        for ((level, above), below) in levels.iter().zip(&above[1..]).zip(&mut below[1..]) {
            let level = *level as u32;
            left = [left[0] + level, left[1] + level * level];
            *below = [above[0] + left[0], above[1] + left[1]];
        }
    }
    for row in 0..=side - QUARTER {
        let (above, below) = sums[row * across..].split_at_mut(QUARTER * across);
        let (above, below) = (above[..across].as_flattened_mut(), below[..across].as_flattened());
        for n in 0..above.len() - 2 * QUARTER {
            above[n] = above[n] + below[n + 2 * QUARTER] - above[n + 2 * QUARTER] - below[n];
        }
    }
    sums
}

/// Mean luma of two by two pixels for each sample, row by row.
fn levels(picture: Picture<'_>, rect: Rect, more: usize) -> Vec<i16> {
    let side = SIDE + 2 * more;
    let (luma, stride) = (picture.plane(0), picture.layout().planes[0].stride);
    let (width, height) = (picture.size().width as i32, picture.size().height as i32);
    let places = |start: f32, length: f32, most: i32| -> Vec<[usize; 2]> {
        let step = length / SIDE as f32;
        let place = |n: usize| start + (n as f32 / 2.0 + 0.25 - more as f32) * step;
        // towards 0, as all that lies before the picture
        let pixel = |n: usize| (place(n) as i32).clamp(0, most - 1) as usize;
        (0..side).map(|n| [pixel(2 * n), pixel(2 * n + 1)]).collect()
    };
    let (mut columns, rows) = (places(rect.x, rect.w, width), places(rect.y, rect.h, height));
    // the box may have less than no width
    let ends = || columns.iter().flatten().copied();
    let (first, last) = (ends().min().unwrap_or(0), ends().max().unwrap_or(0));
    let line = |row: usize| &luma[row * stride + first..=row * stride + last];
    rows.iter().flatten().for_each(|row| ahead::ask_for(line(*row)));
    columns.iter_mut().flatten().for_each(|column| *column -= first);
    let mut levels = Vec::with_capacity(side * side);
    for [upper, lower] in rows {
        let (upper, lower) = (line(upper), line(lower));
        let lower = &lower[..upper.len()];
        levels.extend(columns.iter().map(|&[left, right]| {
            let samples = [upper[left], upper[right], lower[left], lower[right]];
            (samples.map(u16::from).iter().sum::<u16>() / 4) as i16
        }));
    }
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// The samples of a box and so many more on each side, pixel by pixel.
    fn plain_samples(picture: Picture<'_>, rect: Rect, more: usize) -> Vec<Vec<u32>> {
        let pixel = |start: f32, length: f32, n: usize, most: u32| {
            let place = start + (n as f32 / 2.0 + 0.25 - more as f32) * (length / SIDE as f32);
            (place as i32).clamp(0, most as i32 - 1) as usize
        };
        let level = |column: usize, row: usize| {
            let x = pixel(rect.x, rect.w, column, picture.size().width);
            let y = pixel(rect.y, rect.h, row, picture.size().height);
            u32::from(picture.plane(0)[y * picture.layout().planes[0].stride + x])
        };
        let sample = |column: usize, row: usize| {
            (level(column, row) + level(column + 1, row) + level(column, row + 1) + level(column + 1, row + 1)) / 4
        };
        let side = SIDE + 2 * more;
        (0..side).map(|row| (0..side).map(|column| sample(2 * column, 2 * row)).collect()).collect()
    }

    /// Sums over each quarter of `own` and of what lies in `there` from that corner on, sample by sample.
    fn plain_sums(own: &[Vec<u32>], there: &[Vec<u32>], (x, y): (usize, usize)) -> [Sums; 4] {
        let mut sums = [Sums::default(); 4];
        for (row, column) in (0..SIDE * SIDE).map(|n| (n / SIDE, n % SIDE)) {
            let (own, level) = (own[row][column], there[y + row][x + column]);
            let quarter = &mut sums[row / QUARTER * 2 + column / QUARTER];
            quarter.count += 1;
            quarter.levels += level;
            quarter.squares += level * level;
            quarter.products += level * own;
        }
        sums
    }

    /// The same as [`Looks::find`] of what is at `rect`, sample by sample.
    fn plain_find(pictures: [Picture<'_>; 2], rect: Rect, expected: Rect, far: f32) -> Option<(Rect, bool)> {
        let own = plain_samples(pictures[0], rect, 0);
        let own_sums = plain_sums(&own, &own, (0, 0));
        let reach = ((far * SIDE as f32).ceil() as usize).clamp(1, MOST_REACH);
        let there = plain_samples(pictures[1], expected, reach);
        let across = 2 * reach + 1;
        for (part, quarters) in PARTS.into_iter().enumerate() {
            let score = |n: usize| {
                let sums = plain_sums(&own, &there, (n % across, n / across));
                Sums::of(quarters, &sums).correlation(&Sums::of(quarters, &own_sums))
            };
            let scores: Vec<f32> = (0..across * across).map(score).collect();
            if let Some((x, y)) = peak(&scores, across, if part == 0 { ALIKE } else { HALF_ALIKE }) {
                let shift = |at: f32, side: f32| (at - reach as f32) * side / SIDE as f32;
                let at =
                    Rect { x: expected.x + shift(x, expected.w), y: expected.y + shift(y, expected.h), ..expected };
                return Some((at, part == 0));
            }
        }
        None
    }

    /// To the last bit, and the same where one is no number.
    fn bits(found: Option<(Rect, bool)>) -> Option<([u32; 4], bool)> {
        found.map(|(Rect { x, y, w, h }, sure)| ([x, y, w, h].map(f32::to_bits), sure))
    }

    fn side() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => 10.0f32..120.0,
            1 => -50.0f32..400.0,
            1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(0.0), Just(-1e9), Just(1e9)],
        ]
    }

    proptest! {
        #[test]
        fn a_face_is_found_as_sample_by_sample(
            (x, y) in (-60.0f32..330.0, -60.0f32..190.0), (w, h) in (side(), side()), far in 0.0f32..1.0, seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut noisy = |x: usize, y: usize| {
                let (most, mut luma) = (random.u8(1..30), picture(x, y, 0));
                luma.iter_mut().for_each(|level| *level = level.saturating_add(random.u8(..most)));
                luma
            };
            let lumas = [noisy(100, 60), noisy(106, 57)];
            let rect = if w < 30.0 { face(100, 60) } else { Rect::new(x, y, w, h) };
            let expected = Rect { x: rect.x + x % 9.0, y: rect.y + y % 7.0, ..rect };
            let [before, after] = lumas;
            with(before, |before| with(after, |after| {
                let samples = plain_samples(before, rect, 0);
                let is_plain = Sums::of(PARTS[0], &plain_sums(&samples, &samples, (0, 0))).spread() <= FLAT;
                let looks = Looks::of(before, rect);
                prop_assert_eq!(looks.is_none(), is_plain);
                if let Some(looks) = looks {
                    let found = looks.find(after, expected, far);
                    prop_assert_eq!(bits(found), bits(plain_find([before, after], rect, expected, far)));
                }
                Ok(())
            }))?;
        }
    }
}
