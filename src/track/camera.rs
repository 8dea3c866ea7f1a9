//! Whether, and by how much, the picture moved as a whole: a camera that is panned, or shakes in the wind.
//!
//! The shift is found on the profiles of the small grey picture, its sums by column and by row (integral projections:
//! Ratakonda, *Real-time digital video stabilization for multi-media applications*, ISCAS 1998), and believed only
//! where most blocks that can tell agree in two dimensions. A face that crosses the picture moves a few blocks, not
//! most, and changes nothing.

use super::Thumbnail;
use crate::geometry::{Point, Size};

/// So many shifts are tried at once.
const LANES: usize = 8;
/// Shifts of up to this share of the picture are looked for.
const MAX_SHIFT: f32 = 0.125;
/// Blocks on each side of the picture.
const BLOCKS: usize = 6;
/// Mean difference of a pixel's luma that is no noise.
const NOISE: f32 = 3.0;
/// A block agrees where the shift leaves less than this of its difference.
const EXPLAINED: f32 = 0.6;
/// Share of the blocks with structure that must agree.
const CONSENSUS: f32 = 0.6;
/// Share of all blocks that must have structure.
const MIN_STRUCTURE: f32 = 0.25;

/// Follows the picture from one analysis to the next.
#[derive(Debug, Default)]
pub struct CameraMotion {
    size: Option<Size>,
    luma: Vec<u8>,
    columns: Profile,
    rows: Profile,
}

/// Mean luma along one direction, now and before.
#[derive(Debug, Default)]
struct Profile {
    now: Vec<f32>,
    before: Vec<f32>,
}

impl Profile {
    fn fill(&mut self, length: usize) -> &mut [f32] {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.clear();
        self.now.resize(length, 0.0);
        &mut self.now
    }

    /// The shift, in whole pixels, that carries the former profile onto the present one best.
    fn shift(&self) -> isize {
        let reach = (self.now.len() as f32 * MAX_SHIFT) as usize;
        let shifts = (0..=reach).step_by(LANES).flat_map(|first| {
            let (there, back) =
                (differences(&self.now, &self.before, first), differences(&self.before, &self.now, first));
            let lanes = (first as isize..).zip(there.into_iter().zip(back)).take(reach + 1 - first);
            lanes.flat_map(|(shift, (there, back))| [(shift, there), (-shift, back)])
        });
        shifts.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(shift, _)| shift)
    }
}

/// Mean differences between a profile and another one that lies `first` pixels further on in it, and for each lane one more.
/// Each is added up in its order, with the others beside it: a number waits for the one before.
fn differences(profile: &[f32], other: &[f32], first: usize) -> [f32; LANES] {
    let mut totals = [0.0; LANES];
    for (near, other) in profile[first..].windows(LANES).zip(other) {
        totals.iter_mut().zip(near).for_each(|(total, near)| *total += (near - other).abs());
    }
    for (lane, total) in totals.iter_mut().enumerate() {
        let (length, left) = (profile.len() - first - lane, LANES - 1 - lane);
        let rest = profile[profile.len() - left..].iter().zip(&other[length - left..]);
        rest.for_each(|(near, other)| *total += (near - other).abs());
        *total /= length as f32;
    }
    totals
}

impl CameraMotion {
    /// How far the picture moved since the last call, in pixels of a frame of size `frame`; `None` where it did not move
    /// as a whole, or cannot be told.
    pub fn shift(&mut self, picture: Thumbnail<'_>, frame: Size) -> Option<Point> {
        let Size { width, height } = picture.size;
        let usable = width as usize >= 2 * BLOCKS && height as usize >= 2 * BLOCKS;
        if !usable || picture.luma.len() as u64 != picture.size.pixels() {
            self.size = None;
            return None;
        }
        let known = self.size == Some(picture.size);
        self.project(picture);
        let shift = (self.columns_and_rows_shift(known)).filter(|&shift| self.is_believable(picture, shift));
        self.size = Some(picture.size);
        self.luma.clear();
        self.luma.extend_from_slice(picture.luma);
        let scale = |pixels: isize, frame: u32, small: u32| pixels as f32 * frame as f32 / small as f32;
        shift.map(|(x, y)| Point::new(scale(x, frame.width, width), scale(y, frame.height, height)))
    }

    fn project(&mut self, picture: Thumbnail<'_>) {
        let (width, height) = (picture.size.width as usize, picture.size.height as usize);
        let columns = self.columns.fill(width);
        let rows = self.rows.fill(height);
        for (line, row) in picture.luma.chunks_exact(width).zip(rows) {
            line.iter().zip(columns.iter_mut()).for_each(|(luma, column)| *column += f32::from(*luma));
            *row = line.iter().map(|luma| u32::from(*luma)).sum::<u32>() as f32 / width as f32;
        }
        columns.iter_mut().for_each(|column| *column /= height as f32);
    }

    fn columns_and_rows_shift(&self, known: bool) -> Option<(isize, isize)> {
        known.then(|| (self.columns.shift(), self.rows.shift())).filter(|&shift| shift != (0, 0))
    }

    /// Whether most blocks in which that shift would show agree with it.
    fn is_believable(&self, picture: Thumbnail<'_>, shift: (isize, isize)) -> bool {
        let (mut telling, mut agreeing) = (0, 0);
        for block in 0..BLOCKS * BLOCKS {
            let differs = |by: (isize, isize), old: &[u8], new: &[u8]| {
                block_difference(picture.size, (block % BLOCKS, block / BLOCKS), by, old, new)
            };
            if differs(shift, &self.luma, &self.luma) <= NOISE {
                continue;
            }
            telling += 1;
            let (still, moved) = (differs((0, 0), &self.luma, picture.luma), differs(shift, &self.luma, picture.luma));
            agreeing += usize::from(moved < EXPLAINED * still);
        }
        telling as f32 >= MIN_STRUCTURE * (BLOCKS * BLOCKS) as f32 && agreeing as f32 >= CONSENSUS * telling as f32
    }
}

/// Mean difference between a block of `old` and `new` where it lies after a shift; 0 for what left the picture.
fn block_difference(size: Size, block: (usize, usize), shift: (isize, isize), old: &[u8], new: &[u8]) -> f32 {
    let (width, height) = (size.width as usize, size.height as usize);
    // what of it is in the picture after the shift, too
    let stays = |block: usize, by: isize, side: usize| {
        let (least, most) = (by.min(0).unsigned_abs(), side - by.max(0).unsigned_abs());
        (block * side / BLOCKS).max(least)..((block + 1) * side / BLOCKS).min(most)
    };
    let (columns, rows) = (stays(block.0, shift.0, width), stays(block.1, shift.1, height));
    if rows.is_empty() || columns.is_empty() {
        return 0.0;
    }
    let mut total = 0u32;
    for y in rows.clone() {
        let from = y * width + columns.start;
        let to = from.wrapping_add_signed(shift.1 * width as isize + shift.0);
        let pixels = old[from..][..columns.len()].iter().zip(&new[to..][..columns.len()]);
        total += pixels.map(|(old, new)| u32::from(old.abs_diff(*new))).sum::<u32>();
    }
    total as f32 / (rows.len() * columns.len()) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size::new(96, 54);
    const FRAME: Size = Size::new(1920, 1080);

    /// A textured scene seen from (`x`, `y`), and in front of it a bright square at `square`.
    fn picture(x: i32, y: i32, square: Option<(i32, i32)>) -> Vec<u8> {
        let texture = |x: i32, y: i32| {
            let (cell_x, cell_y) = (x.div_euclid(7), y.div_euclid(5));
            (cell_x.wrapping_mul(73_856_093) ^ cell_y.wrapping_mul(19_349_663)).rem_euclid(200) as u8
        };
        let mut luma = Vec::new();
        for row in 0..SIZE.height as i32 {
            for column in 0..SIZE.width as i32 {
                let inside =
                    square.is_some_and(|(sx, sy)| (sx..sx + 20).contains(&column) && (sy..sy + 20).contains(&row));
                luma.push(if inside { 255 } else { texture(column + x, row + y) });
            }
        }
        luma
    }

    fn shift(first: &[u8], second: &[u8]) -> Option<Point> {
        let mut camera = CameraMotion::default();
        assert_eq!(camera.shift(Thumbnail { size: SIZE, luma: first }, FRAME), None);
        camera.shift(Thumbnail { size: SIZE, luma: second }, FRAME)
    }

    #[test]
    fn a_pan_is_measured_in_pixels_of_the_frame() {
        assert_eq!(shift(&picture(0, 0, None), &picture(4, -3, None)), Some(Point::new(-80.0, 60.0)));
        let crossed = shift(&picture(0, 0, Some((10, 10))), &picture(5, 0, Some((20, 10))));
        assert_eq!(crossed, Some(Point::new(-100.0, 0.0)), "a face in front does not hide it");
    }

    #[test]
    fn a_still_camera_is_still_whatever_crosses() {
        assert_eq!(shift(&picture(0, 0, None), &picture(0, 0, None)), None);
        for x in 0..8 {
            assert_eq!(shift(&picture(0, 0, Some((10, 10))), &picture(0, 0, Some((10 + x, 10)))), None, "{x}");
        }
    }

    #[test]
    fn a_cut_and_an_empty_picture_are_no_pan() {
        assert_eq!(shift(&picture(0, 0, None), &picture(500, 700, None)), None);
        assert_eq!(shift(&vec![40; 96 * 54], &vec![90; 96 * 54]), None);
        assert_eq!(shift(&[], &[]), None);
    }

    /// Two by two pictures in one, each its own scene; the first shows its scene from (`x`, 0).
    fn tiles(x: i32) -> Vec<u8> {
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        let scenes = [picture(x, 0, None), picture(40, 90, None), picture(80, 20, None), picture(7, 50, None)];
        let tile = |i: usize| usize::from(i % width >= width / 2) + 2 * usize::from(i / width >= height / 2);
        (0..width * height).map(|i| scenes[tile(i)][i]).collect()
    }

    #[test]
    fn what_one_of_four_pictures_shows_is_not_the_camera() {
        for x in [1, 2, 4, 6, 300] {
            assert_eq!(shift(&tiles(0), &tiles(x)), None, "one pans or cuts by {x}");
        }
        let mut exchanged = tiles(0);
        exchanged.rotate_right(SIZE.width as usize / 2);
        assert_eq!(shift(&tiles(0), &exchanged), None, "two change places");
    }

    #[test]
    fn a_zoom_is_no_pan() {
        let scene = picture(0, 0, None);
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        let zoomed: Vec<u8> = (0..width * height)
            .map(|i| scene[(height / 10 + i / width * 4 / 5) * width + width / 10 + i % width * 4 / 5])
            .collect();
        assert_eq!(shift(&scene, &zoomed), None);
    }

    /// The same as [`differences`] with a pixel after the other.
    fn difference(profile: &[f32], other: &[f32], shift: usize) -> f32 {
        let total: f32 = profile[shift..].iter().zip(other).map(|(a, b)| (a - b).abs()).sum();
        total / (profile.len() - shift) as f32
    }

    /// The same as [`block_difference`] with a pixel after the other.
    fn plain_block_difference(size: Size, block: (usize, usize), shift: (isize, isize), old: &[u8], new: &[u8]) -> f32 {
        let (width, height) = (size.width as usize, size.height as usize);
        let (mut total, mut count) = (0u32, 0u32);
        for y in block.1 * height / BLOCKS..(block.1 + 1) * height / BLOCKS {
            let Some(to_y) = y.checked_add_signed(shift.1).filter(|&to| to < height) else { continue };
            for x in block.0 * width / BLOCKS..(block.0 + 1) * width / BLOCKS {
                let Some(to_x) = x.checked_add_signed(shift.0).filter(|&to| to < width) else { continue };
                total += u32::from(old[y * width + x].abs_diff(new[to_y * width + to_x]));
                count += 1;
            }
        }
        if count == 0 { 0.0 } else { total as f32 / count as f32 }
    }

    proptest! {
        #[test]
        fn many_shifts_at_once_differ_as_much_as_one_after_the_other(length in 2 * BLOCKS..200, seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut profile = || (0..length).map(|_| random.f32() * 255.0).collect::<Vec<_>>();
            let profile = Profile { now: profile(), before: profile() };
            let reach = (length as f32 * MAX_SHIFT) as usize;
            let mut best = (0, f32::INFINITY);
            for shift in 0..=reach {
                let (first, lane) = (shift / LANES * LANES, shift % LANES);
                let sides = [(&profile.now, &profile.before, 1), (&profile.before, &profile.now, -1)];
                for (one, other, sign) in sides {
                    let plain = difference(one, other, shift);
                    prop_assert_eq!(differences(one, other, first)[lane].to_bits(), plain.to_bits());
                    best = if plain < best.1 { (sign * shift as isize, plain) } else { best };
                }
            }
            prop_assert_eq!(profile.shift(), best.0);
        }

        #[test]
        fn blocks_differ_as_much_by_rows_as_by_pixels(width in 12usize..60, height in 12usize..60, seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut luma = || (0..width * height).map(|_| random.u8(..)).collect::<Vec<_>>();
            let (old, new) = (luma(), luma());
            let size = Size::new(width as u32, height as u32);
            for _ in 0..20 {
                let mut shift = |side: usize| random.isize(-(side as isize) / 4..=side as isize / 4);
                let shift = (shift(width), shift(height));
                let block = (random.usize(..BLOCKS), random.usize(..BLOCKS));
                let plain = plain_block_difference(size, block, shift, &old, &new);
                prop_assert_eq!(block_difference(size, block, shift, &old, &new), plain, "{:?} by {:?}", block, shift);
            }
        }
    }
}
