//! Whether, and by how much, the picture moved as a whole: a camera that is panned, or shakes in the wind.
//!
//! The shift is found on the profiles of the small grey picture, its sums by column and by row (integral projections:
//! Ratakonda, *Real-time digital video stabilization for multi-media applications*, ISCAS 1998), and believed only
//! where most blocks that can tell agree in two dimensions. A face that crosses the picture moves a few blocks, not
//! most, and changes nothing.

use super::Thumbnail;
use crate::geometry::{Point, Size};

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
        let reach = (self.now.len() as f32 * MAX_SHIFT) as isize;
        let candidates = (0..=reach).flat_map(|s| [s, -s]);
        candidates.min_by(|&a, &b| self.difference(a).total_cmp(&self.difference(b))).unwrap_or(0)
    }

    fn difference(&self, shift: isize) -> f32 {
        let skip = shift.unsigned_abs();
        let (now, before) =
            if shift >= 0 { (&self.now[skip..], &self.before[..]) } else { (&self.now[..], &self.before[skip..]) };
        let total: f32 = now.iter().zip(before).map(|(a, b)| (a - b).abs()).sum();
        total / (self.now.len() - skip) as f32
    }
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
            let mut total = 0.0;
            for (&luma, column) in line.iter().zip(columns.iter_mut()) {
                *column += f32::from(luma);
                total += f32::from(luma);
            }
            *row = total / width as f32;
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

#[cfg(test)]
mod tests {
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
}
