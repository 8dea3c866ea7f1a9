//! Separable scaling of 8-bit planes in integers: area averaging when shrinking, bilinear when enlarging.
//!
//! First down, to rows of bytes, then across. Weights are 8-bit and add up to exactly 256, hence nothing overflows and flat areas
//! stay exact. Four output rows travel together, which both ways of computing them like: with AVX2, and packed
//! into wide integers everywhere else. Both give the same.

use std::array::from_fn;

use super::packed::Packed;
use crate::simd::channels;
use crate::simd::scale::{Avx2, Columns, GROUP};

/// Output rows that are scaled together.
pub(super) const LANES: usize = 4;

/// As many output rows, times 256.
pub(super) type Rows = [Vec<u16>; LANES];

/// What the weights of one output sample add up to.
const ONE: f64 = 256.0;

/// Which source samples make each output sample along one axis, and with what weights.
#[derive(Debug, Default)]
pub(super) struct Axis {
    /// First source sample of each output sample.
    start: Vec<u32>,
    /// `taps` weights for each output sample.
    weights: Vec<u16>,
    taps: usize,
}

impl Axis {
    /// Maps `out` samples onto `len` source samples that are `step` apart on the source's scale. The source may be
    /// shorter than `out * step` (a chroma plane of an odd size): it is extended by its last sample.
    pub(super) fn new(len: usize, out: usize, step: f64) -> Self {
        let windows: Vec<(usize, Vec<f64>)> = (0..out).map(|i| window(i, len, step)).collect();
        let taps = windows.iter().map(|(_, shares)| shares.len()).max().unwrap_or(1);
        let mut axis = Self { start: Vec::with_capacity(out), weights: Vec::with_capacity(out * taps), taps };
        for (first, shares) in &windows {
            let start = (*first).min(len - taps);
            let row = axis.weights.len() + first - start;
            axis.start.push(start as u32);
            axis.weights.resize(axis.weights.len() + taps, 0);
            quantise(shares, &mut axis.weights[row..]);
        }
        axis
    }

    /// Number of output samples.
    pub(super) fn len(&self) -> usize {
        self.start.len()
    }

    /// First source sample of each output sample.
    pub(super) fn starts(&self) -> &[u32] {
        &self.start
    }

    /// The weights of all output samples, [`Axis::taps`] each.
    pub(super) fn weights(&self) -> &[u16] {
        &self.weights
    }

    /// Weights of each output sample.
    pub(super) fn taps(&self) -> usize {
        self.taps
    }

    /// First source sample and weights of output sample `i`.
    pub(super) fn window(&self, i: usize) -> (usize, &[u16]) {
        (self.start[i] as usize, &self.weights[i * self.taps..][..self.taps])
    }
}

/// First source sample of output sample `i`, and the share of each source sample in it.
fn window(i: usize, len: usize, step: f64) -> (usize, Vec<f64>) {
    const TOUCH: f64 = 1e-6;
    let last = len - 1;
    if step < 1.0 {
        let centre = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, last as f64);
        let first = centre.floor() as usize;
        let beyond = centre - first as f64;
        return if first == last || beyond < TOUCH { (first, vec![1.0]) } else { (first, vec![1.0 - beyond, beyond]) };
    }
    let (from, to) = (i as f64 * step, (i as f64 + 1.0) * step);
    let first = ((from + TOUCH) as usize).min(last);
    let end = ((to - TOUCH).ceil() as usize).clamp(first + 1, len);
    let share = |s: usize| {
        let right = if s == last { f64::INFINITY } else { s as f64 + 1.0 };
        ((to.min(right) - from.max(s as f64)) / step).clamp(0.0, 1.0)
    };
    (first, (first..end).map(share).collect())
}

/// Rounds shares to weights by their running sum, so that the weights add up to 256 however many they are.
fn quantise(shares: &[f64], weights: &mut [u16]) {
    let whole: f64 = shares.iter().sum();
    let (mut sum, mut given) = (0.0, 0);
    for (share, weight) in shares.iter().zip(weights) {
        sum += share;
        let due = (sum / whole * ONE).round() as u16;
        *weight = due - given;
        given = due;
    }
}

/// Bytes from one sample to the next in pictures that never were video. Three samples and more of these are spread too far for
/// vectors, so that scaled rows are first parted by component.
const PARTED: usize = 3;

/// Rows of one plane: `width` bytes each, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    pub(super) width: usize,
    /// Bytes from one sample to the next of the same component: 2 for interleaved chroma, 3 for RGB.
    pub(super) step: usize,
}

impl<'a> Plane<'a> {
    pub(super) fn row(self, i: usize) -> &'a [u8] {
        &self.bytes[i * self.stride..][..self.width]
    }
}

/// How a row becomes one component's samples.
#[derive(Debug)]
pub(super) struct Across {
    pub(super) axis: Axis,
    /// Bytes from one sample to the next: the plane's.
    pub(super) step: usize,
    /// The first sample.
    pub(super) offset: usize,
    columns: Option<Columns>,
}

impl Across {
    pub(super) fn new(axis: Axis, step: usize, offset: usize) -> Self {
        let (apart, first) = if step == PARTED { (1, 0) } else { (step, offset) };
        let columns = Columns::new(axis.starts(), axis.weights(), apart, first);
        Self { axis, step, offset, columns }
    }

    /// Memory for the samples.
    pub(super) fn rows(&self) -> Rows {
        from_fn(|_| vec![0; self.axis.len().next_multiple_of(GROUP)])
    }

    /// The same for rows of `width` bytes that become a model's channels at once; `None` where that cannot be.
    pub(super) fn windows(&self, width: usize) -> Option<channels::Columns> {
        channels::Columns::new(self.axis.starts(), self.axis.weights(), self.step, (width, self.offset))
    }

    /// One row, where the windows are too wide for vectors.
    fn gather(&self, row: &[u8], out: &mut [u16]) {
        let (step, offset) = if self.step == PARTED { (1, 0) } else { (self.step, self.offset) };
        for (i, out) in out.iter_mut().enumerate().take(self.axis.len()) {
            let (start, weights) = self.axis.window(i);
            let near = row[start * step + offset..].iter().step_by(step);
            *out = near.zip(weights).map(|(sample, weight)| u16::from(*sample) * weight).sum();
        }
    }
}

/// Scales planes of up to a width, four output rows at a time.
#[derive(Debug)]
pub(super) struct Scaler(Way);

#[derive(Debug)]
enum Way {
    Avx2(Avx2, Lines),
    Plain(Packed),
}

/// Rows scaled down, with room for vectors to read past their end.
#[derive(Debug)]
struct Lines {
    rows: [Vec<u8>; LANES],
    /// Where each component begins, once the rows are parted.
    part: usize,
    /// A row that is not parted yet.
    whole: Vec<u8>,
}

impl Lines {
    fn new(width: usize) -> Self {
        const BEYOND: usize = 32;
        let part = width.div_ceil(PARTED) + BEYOND;
        Self { rows: from_fn(|_| vec![0; PARTED * part]), part, whole: vec![0; width] }
    }

    fn down(&mut self, avx2: Avx2, plane: Plane<'_>, rows: &Axis, first: usize) {
        let Self { rows: lines, part, whole } = self;
        for (lane, line) in lines.iter_mut().enumerate() {
            let (start, weights) = rows.window((first + lane).min(rows.len() - 1));
            let blend = |out: &mut [u8]| avx2.blend(&plane.bytes[start * plane.stride..], plane.stride, weights, out);
            if plane.step != PARTED {
                blend(&mut line[..plane.width]);
                continue;
            }
            let whole = &mut whole[..plane.width];
            blend(whole);
            let (a, rest) = line.split_at_mut(*part);
            let (b, c) = rest.split_at_mut(*part);
            avx2.part(whole, [a, b, c].map(|part| &mut part[..plane.width / PARTED]));
        }
    }

    fn across(&self, avx2: Avx2, across: &Across, out: &mut Rows) {
        let begin = if across.step == PARTED { across.offset * self.part } else { 0 };
        let rows = self.rows.each_ref().map(|row| &row[begin..]);
        match &across.columns {
            Some(columns) => avx2.gather(columns, rows, out.each_mut().map(Vec::as_mut_slice)),
            None => rows.iter().zip(out).for_each(|(row, out)| across.gather(row, out)),
        }
    }
}

impl Scaler {
    /// Memory for planes of up to `width` bytes a row.
    pub(super) fn new(width: usize) -> Self {
        match Avx2::detect() {
            Some(avx2) => Self(Way::Avx2(avx2, Lines::new(width))),
            None => Self::plain(width),
        }
    }

    fn plain(width: usize) -> Self {
        Self(Way::Plain(Packed::new(width)))
    }

    /// Scales `plane` to the output rows `first..first + LANES` (the last one repeated past the end) and keeps them for
    /// [`Scaler::across`].
    pub(super) fn down(&mut self, plane: Plane<'_>, rows: &Axis, first: usize) {
        match &mut self.0 {
            Way::Plain(packed) => packed.down(plane, rows, first),
            Way::Avx2(avx2, lines) => lines.down(*avx2, plane, rows, first),
        }
    }

    /// Scales the rows of the last [`Scaler::down`] across to `out`, made by [`Across::rows`] for samples as far apart as the
    /// plane's.
    pub(super) fn across(&mut self, across: &Across, out: &mut Rows) {
        match &mut self.0 {
            Way::Plain(packed) => packed.across(across, out),
            Way::Avx2(avx2, lines) => lines.across(*avx2, across, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_third_has_three_nearly_equal_weights() {
        let axis = Axis::new(9, 3, 3.0);
        assert_eq!((axis.start.as_slice(), axis.taps), ([0, 3, 6].as_slice(), 3));
        assert_eq!(axis.window(1).1, [85, 86, 85]);
    }

    #[test]
    fn doubling_blends_neighbours() {
        let axis = Axis::new(4, 8, 0.5);
        assert_eq!(axis.window(0), (0, [256, 0].as_slice()));
        assert_eq!(axis.window(1), (0, [192, 64].as_slice()));
        assert_eq!(axis.window(7), (2, [0, 256].as_slice()));
    }

    /// The bytes of the output rows from `first` on, scaled to `size` from a plane of noise.
    fn scaled(mut scaler: Scaler, plane: Plane<'_>, (rows, across): (&Axis, &Across), first: usize) -> Vec<u16> {
        let mut out = across.rows();
        scaler.down(plane, rows, first);
        scaler.across(across, &mut out);
        out.iter().flat_map(|row| row[..across.axis.len()].iter().copied()).collect()
    }

    proptest! {
        #[test]
        fn both_ways_give_the_same(
            (width, height) in (1usize..500, 1usize..60),
            (columns, lines) in (1usize..200, 1usize..40),
            step in 1usize..=3,
            pad in 0usize..20,
            seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let stride = width * step + pad;
            let bytes: Vec<u8> = (0..stride * height).map(|_| random.u8(..)).collect();
            let plane = Plane { bytes: &bytes, stride, width: width * step, step };
            let rows = Axis::new(height, lines, height as f64 / lines as f64);
            let axis = Axis::new(width, columns, width as f64 / columns as f64);
            let across = Across::new(axis, step, random.usize(..step));
            let first = random.usize(..lines);
            let plain = scaled(Scaler::plain(plane.width), plane, (&rows, &across), first);
            prop_assert_eq!(scaled(Scaler::new(plane.width), plane, (&rows, &across), first), plain);
        }

        #[test]
        fn weights_are_whole_and_inside(len in 1usize..3000, out in 1usize..700) {
            let axis = Axis::new(len, out, len as f64 / out as f64);
            prop_assert_eq!(axis.len(), out);
            for i in 0..out {
                let (start, weights) = axis.window(i);
                prop_assert!(start + weights.len() <= len);
                prop_assert_eq!(weights.iter().sum::<u16>(), 256);
            }
        }

        #[test]
        fn chroma_of_odd_sizes_stays_inside(luma in 1usize..3000, out in 1usize..700) {
            let len = luma.div_ceil(2);
            let axis = Axis::new(len, out, luma as f64 / out as f64 / 2.0);
            for i in 0..out {
                let (start, weights) = axis.window(i);
                prop_assert!(start + weights.len() <= len);
                prop_assert_eq!(weights.iter().sum::<u16>(), 256);
            }
        }
    }
}
