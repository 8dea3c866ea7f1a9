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
use crate::simd::ahead;

/// Columns of blocks in which a picture is compared.
pub(super) const COLUMNS: usize = 128;
/// Rows of them.
pub(super) const ROWS: usize = 72;
/// Samples of a block, across and down.
const SAMPLES: usize = 2;
/// So many blocks away what moved is looked for.
const REACH: usize = 2;
/// By so many levels a block differs by noise.
const SLACK: u8 = 8;
/// More levels than this are no more than this: a small part of the picture that goes from black to white is not much.
const MOST_LEVELS: u8 = 50;
/// So many rows of blocks further down are asked of memory while one is read.
const AHEAD: usize = 2;
/// Most blocks that are looked for, so that a picture that is new as a whole takes no longer than others.
const MOST_BLOCKS: usize = 2000;
/// So many blocks, side by side, are compared at once.
const LANES: usize = 16;
const _: () = assert!(COLUMNS.is_multiple_of(LANES), "no block is left out");
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
            let further = (row + AHEAD) * SAMPLES..(ROWS * SAMPLES).min((row + AHEAD + 1) * SAMPLES);
            further.for_each(|index| ahead::ask_for(line(index)));
            // whole lines: memory gives those far faster than one sample after the other
            for (copy, index) in grid.lines.iter_mut().zip(row * SAMPLES..) {
                copy.clear();
                copy.extend_from_slice(line(index));
            }
            let [upper, lower] = &grid.lines;
            let lower = &lower[..upper.len()];
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
    /// 1 for each block that has changed.
    changed: Vec<u8>,
    /// The former picture and the present one.
    near: [Surroundings; 2],
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
        let has_changed = |difference: &i16| u8::from((difference - light).unsigned_abs() > u16::from(SLACK));
        self.changed.clear();
        self.changed.extend(self.differences.iter().map(has_changed));
        self.levels.clear();
        let changed = count(&self.changed);
        if changed > 0 {
            self.near.iter_mut().zip([old, new]).for_each(|(near, blocks)| near.take(blocks));
            self.compare((old, new), light, changed.div_ceil(MOST_BLOCKS));
        }
    }

    /// Compares one in so many of the blocks that have changed.
    fn compare(&mut self, (old, new): (&[u8], &[u8]), light: i16, step: usize) {
        let groups = |blocks| <[u8]>::as_chunks::<LANES>(blocks).0.iter();
        let sides = groups(old).zip(groups(new));
        let mut passed = 0;
        for (place, (changed, (old, new))) in groups(&self.changed).zip(sides).enumerate() {
            // most are still, and told all at once
            if *changed == [0; LANES] {
                continue;
            }
            let first = place * LANES;
            let mut more = [0; LANES];
            for (near, (others, light)) in self.near.iter().zip([(new, -light), (old, light)]) {
                near.add_news(&mut more, (others, light), first);
            }
            more.iter_mut().zip(changed).for_each(|(more, changed)| *more *= changed);
            for (lane, more) in more.into_iter().enumerate() {
                if more > 0 && (step == 1 || (passed + count(&changed[..lane])).is_multiple_of(step)) {
                    // it stands for those that are left out
                    self.levels.push((first + lane, f32::from(more) * step as f32));
                }
            }
            passed += count(changed);
        }
    }
}

/// How many blocks have changed.
fn count(changed: &[u8]) -> usize {
    usize::from(changed.iter().map(|changed| u16::from(*changed)).sum::<u16>())
}

/// A picture's blocks with so many more around it as are [`REACH`]ed: the outermost again and again.
#[derive(Debug, Default)]
struct Surroundings {
    blocks: Vec<u8>,
}

impl Surroundings {
    const WIDTH: usize = COLUMNS + 2 * REACH;

    fn take(&mut self, blocks: &[u8]) {
        self.blocks.clear();
        self.blocks.reserve(Self::WIDTH * (ROWS + 2 * REACH));
        for row in 0..ROWS + 2 * REACH {
            let row = &blocks[row.saturating_sub(REACH).min(ROWS - 1) * COLUMNS..][..COLUMNS];
            self.blocks.extend_from_slice(&[row[0]; REACH]);
            self.blocks.extend_from_slice(row);
            self.blocks.extend_from_slice(&[row[COLUMNS - 1]; REACH]);
        }
    }

    /// Adds up to `more` by how many levels more than noise each of some blocks of the other picture, made lighter by `light`,
    /// differs from all blocks near it. Not inlined: the compiler compares many at once only where they are in memory.
    #[inline(never)]
    fn add_news(&self, more: &mut [u8; LANES], (others, light): (&[u8; LANES], i16), first: usize) {
        let (lighter, darker) = (light.clamp(0, 255) as u8, (-light).clamp(0, 255) as u8);
        let levels = others.map(|level| level.saturating_add(lighter).saturating_sub(darker));
        let mut least = [u8::MAX; LANES];
        let corner = first / COLUMNS * Self::WIDTH + first % COLUMNS;
        for row in 0..=2 * REACH {
            let near = &self.blocks[corner + row * Self::WIDTH..][..LANES + 2 * REACH];
            for start in 0..=2 * REACH {
                for lane in 0..LANES {
                    let (level, near) = (levels[lane], near[start + lane]);
                    least[lane] = least[lane].min(level.max(near) - level.min(near));
                }
            }
        }
        for lane in 0..LANES {
            // from what is lighter than white all differ by that, too; likewise from what is darker than black
            let beyond = others[lane].saturating_sub(u8::MAX - lighter) + darker.saturating_sub(others[lane]);
            more[lane] += least[lane].saturating_add(beyond).min(SLACK + MOST_LEVELS).saturating_sub(SLACK);
        }
    }
}

/// By how many levels half of the blocks have become lighter at least.
fn light(differences: &[i16]) -> i16 {
    let lighter_by_most = |level: i16| differences.iter().map(|lighter| u16::from(*lighter <= level)).sum::<u16>();
    let is_it = |level: i16| usize::from(lighter_by_most(level)) > differences.len() / 2;
    // it is nothing nearly always, and else next to nothing
    if is_it(0) && !is_it(-1) {
        return 0;
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// The same as [`News::find`], block by block.
    fn plain_news(old: &[u8], new: &[u8]) -> Vec<(usize, f32)> {
        let differences: Vec<i16> = new.iter().zip(old).map(|(new, old)| i16::from(*new) - i16::from(*old)).collect();
        let mut sorted = differences.clone();
        sorted.sort_unstable();
        let light = sorted[sorted.len() / 2];
        let near = |index: usize| {
            let (row, column) = (index / COLUMNS, index % COLUMNS);
            let columns = column.saturating_sub(REACH)..(column + REACH + 1).min(COLUMNS);
            let rows = row.saturating_sub(REACH)..(row + REACH + 1).min(ROWS);
            rows.flat_map(move |row| columns.clone().map(move |column| row * COLUMNS + column))
        };
        let levels = |blocks: &[u8], level: i16, index: usize| {
            let least = near(index).map(|near| (i16::from(blocks[near]) - level).abs()).min().unwrap();
            (least - i16::from(SLACK)).clamp(0, i16::from(MOST_LEVELS))
        };
        let has_changed = |index: &usize| (differences[*index] - light).abs() > i16::from(SLACK);
        let changed: Vec<usize> = (0..COLUMNS * ROWS).filter(has_changed).collect();
        let step = changed.len().div_ceil(MOST_BLOCKS).max(1);
        let more = |index: usize| {
            levels(old, i16::from(new[index]) - light, index) + levels(new, i16::from(old[index]) + light, index)
        };
        let news = changed.iter().step_by(step).map(|index| (*index, more(*index)));
        news.filter(|(_, more)| *more > 0).map(|(index, more)| (index, f32::from(more) * step as f32)).collect()
    }

    proptest! {
        #[test]
        fn what_is_new_is_found_as_block_by_block(
            contrast in 1u8..=255, moved in 0usize..400, (share, light) in (0.0f32..1.0, -255i16..=255), seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let dark = random.u8(..=255 - contrast);
            let light = if random.bool() { light } else { light % 8 };
            let old: Vec<u8> = (0..COLUMNS * ROWS).map(|_| dark + random.u8(..contrast)).collect();
            let mut new = |index: usize| {
                let from = old[(index + moved) % old.len()];
                let level = if random.f32() < share.powi(4) { random.u8(..) } else { from };
                (i16::from(level) + light).clamp(0, 255) as u8
            };
            let new = (0..old.len()).map(&mut new).collect();
            let (old, new) = (Signature::from_blocks(old), Signature::from_blocks(new));
            let mut news = News::default();
            for (old, new) in [(&old, &new), (&new, &old), (&new, &new)] {
                news.find(old, new);
                prop_assert_eq!(&news.levels, &plain_news(old.blocks(), new.blocks()));
            }
        }
    }
}
