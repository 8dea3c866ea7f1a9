//! Where a stream is cut: its picture is another one from one frame to the next, or everything in it is elsewhere at once.
//!
//! A clip that begins anew, a sequencer, a camera that turns to a preset, a video call that rearranges: faces are then
//! nowhere near where they were, and no way leads from one place to the other. A picture is compared with the one before in
//! small. What went on by a block or two has moved; what is nowhere near, after the light as a whole is taken out, is new. That
//! counts only as far as a block is not used to it (a clock in the picture, a light that blinks), and what is new in all
//! must stand out from the moments before, so that what flickers or is in motion all the time is the rule.

use std::collections::VecDeque;
use std::time::Duration;

use crate::frame::Picture;
use crate::geometry::Size;

/// Columns of blocks in which a picture is compared.
pub(super) const COLUMNS: usize = 128;
/// Rows of them.
pub(super) const ROWS: usize = 72;
/// Samples of a block, across and down.
const SAMPLES: usize = 2;
/// So many blocks away what moved is looked for.
const REACH: usize = 2;
/// By so many levels a block differs by noise.
const SLACK: i16 = 8;
/// More levels than this are no more than this: a small part of the picture that goes from black to white is not much.
const MOST_LEVELS: i16 = 50;
/// Most blocks that are looked for, so that a picture that is new as a whole takes no longer than others.
const MOST_BLOCKS: usize = 2000;
/// So many blocks are compared by one instruction.
const LANES: usize = 8;
/// So many blocks are compared before it is asked whether any has changed.
const TOGETHER: usize = 32;
const _: () = assert!((COLUMNS * ROWS).is_multiple_of(TOGETHER), "no block is left out");
/// A cut brings so many times as much that is new as any frame shortly before …
const STANDS_OUT: f32 = 2.0;
/// … and so many levels more, as a mean over all blocks.
const LEAST: f32 = 0.06;
/// "Shortly before" is so long …
const BEFORE: Duration = Duration::from_millis(750);
/// … and so many frames at least …
const FEWEST: usize = 3;
/// … and at most.
const MOST: usize = 128;
/// What is new in a block counts as far as it is more than so many times what was new there before, which is forgotten …
const USED_TO: f32 = 1.5;
/// … within so many seconds.
const FORGOTTEN: f32 = 4.0;
/// So many cuts in a row are worth analyses of their own …
const IN_A_ROW: usize = 6;
/// … within so much time: more of them are what the stream is like.
const A_WHILE: Duration = Duration::from_secs(2);

/// A further one counts only where so many levels are new as a mean over all blocks: most of the picture, or large faces.
const MUCH: f32 = 0.5;

/// A frame that does not go on from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The frames on both sides are worth an analysis of their own.
    Rare,
    /// There were others just before: what lies between the analyses around it is covered.
    Often,
}

/// A picture in small, by which cuts are found.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    blocks: Vec<u8>,
}

impl Signature {
    /// Of a picture's luma: one sample in fifty of 1080p.
    pub fn of(picture: Picture<'_>) -> Self {
        let mut signature = Self::default();
        signature.take(picture, &mut Grid::of(picture.size()));
        signature
    }

    /// Levels of each block, row by row.
    pub(super) fn blocks(&self) -> &[u8] {
        &self.blocks
    }

    #[cfg(test)]
    pub(super) fn from_blocks(blocks: Vec<u8>) -> Self {
        Self { blocks }
    }

    fn take(&mut self, picture: Picture<'_>, grid: &mut Grid) {
        let (luma, stride, size) = (picture.plane(0), picture.layout().planes[0].stride, picture.size());
        let line = |index: usize| &luma[place(index, ROWS * SAMPLES, size.height) * stride..][..size.width as usize];
        self.blocks.resize(COLUMNS * ROWS, 0);
        for (row, blocks) in self.blocks.chunks_exact_mut(COLUMNS).enumerate() {
            // whole lines: memory gives those far faster than one sample after the other
            for (copy, index) in grid.lines.iter_mut().zip(row * SAMPLES..) {
                copy.clear();
                copy.extend_from_slice(line(index));
            }
            let [upper, lower] = &grid.lines;
            for (block, [left, right]) in blocks.iter_mut().zip(&grid.columns) {
                let samples = [upper[*left], upper[*right], lower[*left], lower[*right]];
                *block = (samples.map(u16::from).iter().sum::<u16>() / samples.len() as u16) as u8;
            }
        }
    }
}

/// Finds the cuts of one stream.
#[derive(Debug, Default)]
pub struct Cuts {
    size: Option<Size>,
    grid: Grid,
    last: Option<Signature>,
    /// Memory for the next one.
    spare: Signature,
    news: News,
    /// The most that was new in each block, less what is forgotten of it.
    habits: Vec<f32>,
    /// When they were learnt.
    at: Option<Duration>,
    /// What was new in the frames shortly before.
    recent: VecDeque<(Duration, f32)>,
    /// The last cuts that were worth an analysis.
    rare: VecDeque<Duration>,
}

impl Cuts {
    /// Whether there is a cut before the next picture, shown at stream time `at`.
    pub fn look(&mut self, at: Duration, picture: Picture<'_>) -> Option<Cut> {
        if self.size != Some(picture.size()) {
            *self = Self { size: Some(picture.size()), grid: Grid::of(picture.size()), ..Self::default() };
        }
        let mut signature = std::mem::take(&mut self.spare);
        signature.take(picture, &mut self.grid);
        self.judge(at, signature)
    }

    /// The last picture that was looked at, in small.
    pub fn last(&self) -> Option<&Signature> {
        self.last.as_ref()
    }

    /// The same of a picture in small.
    pub fn judge(&mut self, at: Duration, signature: Signature) -> Option<Cut> {
        let before = self.last.replace(signature)?;
        if let Some(now) = &self.last {
            self.news.find(&before, now);
        }
        self.habits.resize(COLUMNS * ROWS, 0.0);
        // a sum for each column: small numbers are not lost in the sum of all
        let mut sums = [0.0; COLUMNS];
        for &(index, levels) in &self.news.levels {
            sums[index % COLUMNS] += (levels - USED_TO * self.habits[index]).max(0.0);
        }
        let news = sums.iter().sum::<f32>() / (COLUMNS * ROWS) as f32;
        self.spare = before;
        let cut = self.take(at, news);
        self.learn(at, cut);
        cut
    }

    /// Gets used to what was new, but for that of a cut.
    fn learn(&mut self, at: Duration, cut: Option<Cut>) {
        let time = self.at.replace(at).map_or(0.0, |before| at.saturating_sub(before).as_secs_f32());
        let left = (-time / FORGOTTEN).exp();
        for habit in &mut self.habits {
            let kept = *habit * left;
            // less is nothing beside a level, and many a processor is slow with such numbers
            *habit = if kept < 1e-9 { 0.0 } else { kept };
        }
        if cut == Some(Cut::Rare) {
            return;
        }
        for &(index, levels) in &self.news.levels {
            self.habits[index] = self.habits[index].max(levels);
        }
    }

    fn take(&mut self, at: Duration, news: f32) -> Option<Cut> {
        if self.recent.back().is_some_and(|(before, _)| *before > at) {
            // the stream's clock went back: nothing is known of the time before
            self.recent.clear();
            self.rare.clear();
        }
        let is_old = |(seen, _): &(Duration, f32)| at.saturating_sub(*seen) > BEFORE;
        while self.recent.len() >= MOST || (self.recent.len() > FEWEST && self.recent.front().is_some_and(is_old)) {
            self.recent.pop_front();
        }
        let usual = self.recent.iter().map(|(_, news)| *news).fold(0.0, f32::max);
        let stands_out = self.recent.len() >= FEWEST && news > STANDS_OUT * usual + LEAST;
        self.rare.retain(|cut| at.saturating_sub(*cut) < A_WHILE);
        if stands_out && self.rare.len() < IN_A_ROW {
            self.rare.push_back(at);
            return Some(Cut::Rare);
        }
        self.recent.push_back((at, news));
        (stands_out && news > MUCH).then_some(Cut::Often)
    }
}

/// Where samples are taken.
#[derive(Debug, Default)]
struct Grid {
    /// In a row, those of each block.
    columns: Vec<[usize; SAMPLES]>,
    /// Copies of the lines of one row of blocks.
    lines: [Vec<u8>; SAMPLES],
}

impl Grid {
    fn of(size: Size) -> Self {
        let column = |index: usize| place(index, COLUMNS * SAMPLES, size.width);
        let columns = (0..COLUMNS).map(|block| [0, 1].map(|sample| column(block * SAMPLES + sample))).collect();
        Self { columns, lines: Default::default() }
    }
}

/// The middle of part `index` of `parts` of a side.
fn place(index: usize, parts: usize, side: u32) -> usize {
    (2 * index + 1) * side as usize / (2 * parts)
}

/// What is new in a picture, and memory to find it.
#[derive(Debug, Default)]
struct News {
    /// By how many levels each block has become lighter.
    differences: Vec<i16>,
    /// Blocks that have changed.
    changed: Vec<usize>,
    /// Blocks in which something is new, in their order, and how many levels of it on either side.
    levels: Vec<(usize, f32)>,
}

impl News {
    /// Finds the levels of each block that are like nothing near it in the other of two pictures, apart from the light.
    fn find(&mut self, before: &Signature, now: &Signature) {
        let (old, new) = (&*before.blocks, &*now.blocks);
        self.differences.clear();
        self.differences.extend(new.iter().zip(old).map(|(new, old)| i16::from(*new) - i16::from(*old)));
        let light = light(&self.differences);
        self.set_changed(light);
        let step = self.changed.len().div_ceil(MOST_BLOCKS).max(1);
        self.levels.clear();
        for index in self.changed.iter().copied().step_by(step) {
            let more = new_levels(old, i16::from(new[index]) - light, index)
                + new_levels(new, i16::from(old[index]) + light, index);
            if more > 0 {
                // it stands for those that are left out
                self.levels.push((index, f32::from(more) * step as f32));
            }
        }
    }

    fn set_changed(&mut self, light: i16) {
        let differs = |difference: &i16| (difference - light).abs() > SLACK;
        self.changed.clear();
        for (place, differences) in self.differences.chunks_exact(TOGETHER).enumerate() {
            // most are still, and told all at once
            if differences.iter().fold(false, |any, difference| any | differs(difference)) {
                let changed = differences.iter().enumerate().filter(|(_, difference)| differs(difference));
                self.changed.extend(changed.map(|(index, _)| place * TOGETHER + index));
            }
        }
    }
}

/// By how many levels half of the blocks have become lighter at least.
fn light(differences: &[i16]) -> i16 {
    let lighter_by_most = |level: i16| differences.iter().map(|lighter| u16::from(*lighter <= level)).sum::<u16>();
    let is_it = |level: i16| usize::from(lighter_by_most(level)) > differences.len() / 2;
    // it is next to nothing nearly always
    let mut reach = 1;
    while reach < 256 && (is_it(-reach) || !is_it(reach)) {
        reach *= 4;
    }
    let (mut less, mut level) = (-reach, reach);
    while level - less > 1 {
        let middle = (less + level) / 2;
        *(if is_it(middle) { &mut level } else { &mut less }) = middle;
    }
    level
}

/// By how many levels more than noise one differs from all blocks near this one.
fn new_levels(blocks: &[u8], level: i16, index: usize) -> i16 {
    let (row, column) = (index / COLUMNS, index % COLUMNS);
    let columns = column.saturating_sub(REACH)..(column + REACH + 1).min(COLUMNS);
    // a few more, so that one instruction compares all that are side by side
    let start = columns.start.min(COLUMNS - LANES);
    let mut least = [SLACK + MOST_LEVELS; LANES];
    for row in row.saturating_sub(REACH)..(row + REACH + 1).min(ROWS) {
        let near = &blocks[row * COLUMNS + start..][..LANES];
        least.iter_mut().zip(near).for_each(|(least, block)| *least = (i16::from(*block) - level).abs().min(*least));
    }
    let least = least[columns.start - start..columns.end - start].iter().copied().fold(i16::MAX, i16::min);
    (least - SLACK).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};

    const SIZE: Size = Size::new(640, 360);

    /// A picture of textured ground with heads of 40 pixels, all lighter by `light`, with noise.
    fn picture(heads: &[(usize, usize)], light: u8, seed: usize) -> Vec<u8> {
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        let mut luma: Vec<u8> = (0..width * height)
            .map(|n| {
                let (x, y) = (n % width, n / width);
                let noise = (n * 7919 + seed * 104_729) % 1013 % 7;
                60 + light + ((x / 23 + y / 31) % 5 * 12) as u8 + noise as u8
            })
            .collect();
        for (left, top) in heads {
            for (n, row) in luma.chunks_exact_mut(width).skip(*top).take(40).enumerate() {
                row[*left..left + 40].fill(180 + light + (n / 8 % 2 * 20) as u8);
            }
        }
        luma
    }

    /// The cuts in a stream of 25 pictures a second, by their places.
    fn cuts(pictures: impl Iterator<Item = Vec<u8>>) -> Vec<(usize, Cut)> {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(SIZE, PixelFormat::I420, colour);
        let mut cuts = Cuts::default();
        let look = |(n, mut luma): (usize, Vec<u8>)| {
            luma.resize(layout.end().unwrap(), 128);
            let at = Duration::from_millis(40) * n as u32;
            cuts.look(at, Picture::new(&layout, &luma).unwrap()).map(|cut| (n, cut))
        };
        pictures.enumerate().filter_map(look).collect()
    }

    #[test]
    fn heads_that_are_elsewhere_at_once_are_a_cut_and_heads_that_walk_are_none() {
        let heads = |n: usize| [(40 + 5 * (n % 50), 60), (400 - 4 * (n % 50), 220)];
        let found = cuts((0..150).map(|n| picture(&heads(n), 0, n)));
        assert_eq!(found, [(50, Cut::Rare), (100, Cut::Rare)]);
    }

    #[test]
    fn light_noise_and_what_blinks_are_no_cuts() {
        let light = |n: usize| if (20..60).contains(&n) { 40 } else { (n % 3) as u8 };
        assert_eq!(cuts((0..90).map(|n| picture(&[(300, 100)], light(n), n))), []);
        let blinking = |n: usize| if n % 8 < 4 { vec![(300, 100), (20, 300)] } else { vec![(300, 100)] };
        let found = cuts((0..250).map(|n| picture(&blinking(n), 0, n)));
        assert!(found.len() <= IN_A_ROW + 1 && found.iter().all(|(n, _)| *n < 25), "once it is known: {found:?}");
    }

    #[test]
    fn cuts_all_the_time_are_not_worth_analyses_without_end() {
        let elsewhere = |n: usize| (n * n * 37 % 590, n * 59 % 310);
        let pictures = (0..500).map(|n| picture(&[elsewhere(n), elsewhere(n + 7)], 0, n));
        let found = cuts(pictures);
        let rare = found.iter().filter(|(_, cut)| *cut == Cut::Rare).count();
        assert!(rare <= 20 * IN_A_ROW / 2 + IN_A_ROW, "in 20 seconds: {found:?}");
    }

    #[test]
    fn another_size_begins_anew_and_small_pictures_are_no_trouble() {
        let mut cuts = Cuts::default();
        for (n, size) in
            [Size::new(640, 360), Size::new(1, 1), Size::new(3, 2000), Size::new(2, 2)].into_iter().enumerate()
        {
            let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
            let layout = Layout::packed(size, PixelFormat::Nv12, colour);
            let bytes = vec![(n * 60) as u8; layout.end().unwrap()];
            let at = |step: usize| Duration::from_millis((n * 10 + step) as u64 * 40);
            assert!((0..6).all(|step| cuts.look(at(step), Picture::new(&layout, &bytes).unwrap()).is_none()));
        }
    }
}
