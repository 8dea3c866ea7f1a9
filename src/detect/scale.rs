//! Separable scaling of 8-bit planes in integers: area averaging when shrinking, bilinear when enlarging.
//!
//! Four output rows travel together. Their vertical sums are packed as four 16-bit fields of one `u64`, so that the
//! horizontal pass, which cannot be vectorised for arbitrary ratios, does four rows with one multiplication. Weights
//! are 8-bit and add up to exactly 256, hence no field overflows and flat areas stay exact.

use std::array::from_fn;

/// Output rows that are scaled together.
pub(super) const LANES: usize = 4;

/// What the weights of one output sample add up to.
const ONE: f64 = 256.0;

/// Rounding of the vertical sums, which keep their upper 8 bits.
const HALF: u16 = 128;

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

    /// First source sample and weights of output sample `i`.
    fn window(&self, i: usize) -> (usize, &[u16]) {
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

/// Rows of one plane: `width` bytes each, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Plane<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
    pub(super) width: usize,
}

impl<'a> Plane<'a> {
    fn row(self, i: usize) -> &'a [u8] {
        &self.bytes[i * self.stride..][..self.width]
    }
}

/// Scratch memory for planes up to a width.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    rows: [Vec<u16>; LANES],
    pairs: [Vec<u32>; 2],
    packed: Vec<u64>,
}

impl Scratch {
    /// Memory for planes of up to `width` bytes a row.
    pub(super) fn new(width: usize) -> Self {
        Self { rows: from_fn(|_| vec![0; width]), pairs: from_fn(|_| vec![0; width]), packed: vec![0; width] }
    }

    /// Scales `plane` vertically to the output rows `first..first + LANES` (the last one repeated past the end) and
    /// keeps them packed for [`Scratch::across`].
    #[inline(always)]
    pub(super) fn down(&mut self, plane: Plane<'_>, rows: &Axis, first: usize) {
        for (lane, sums) in self.rows.iter_mut().enumerate() {
            let (start, weights) = rows.window((first + lane).min(rows.len() - 1));
            add_rows(plane, start, weights, &mut sums[..plane.width]);
        }
        let n = plane.width;
        let [a, b, c, d] = self.rows.each_ref().map(|row| &row[..n]);
        let [low, high] = self.pairs.each_mut().map(|pair| &mut pair[..n]);
        pair(a, b, low);
        pair(c, d, high);
        for ((packed, low), high) in self.packed[..n].iter_mut().zip(&*low).zip(&*high) {
            *packed = u64::from(*low) | u64::from(*high) << 32;
        }
    }

    /// Scales the packed rows horizontally, taking every `STEP`-th sample from `offset` on (2 for interleaved chroma).
    /// Each field of `out` is a value times 256.
    #[inline(always)]
    pub(super) fn across<const STEP: usize>(&self, columns: &Axis, offset: usize, out: &mut [u64]) {
        let source = &self.packed[offset..];
        match columns.taps {
            1 => taps::<STEP, 1>(source, columns, out),
            2 => taps::<STEP, 2>(source, columns, out),
            3 => taps::<STEP, 3>(source, columns, out),
            4 => taps::<STEP, 4>(source, columns, out),
            _ => many_taps::<STEP>(source, columns, out),
        }
    }
}

/// The weighted sum of successive rows, times 256, rounded.
#[inline(always)]
fn add_rows(plane: Plane<'_>, start: usize, weights: &[u16], sums: &mut [u16]) {
    let product = |sample: u8, weight: u16| u16::from(sample).wrapping_mul(weight);
    match *weights {
        [u] => {
            for (sum, a) in sums.iter_mut().zip(plane.row(start)) {
                *sum = product(*a, u).wrapping_add(HALF);
            }
        }
        [u, v] => {
            let rows = plane.row(start).iter().zip(plane.row(start + 1));
            for (sum, (a, b)) in sums.iter_mut().zip(rows) {
                *sum = product(*a, u).wrapping_add(product(*b, v)).wrapping_add(HALF);
            }
        }
        [u, v, w, ref more @ ..] => {
            let rows = plane.row(start).iter().zip(plane.row(start + 1)).zip(plane.row(start + 2));
            for (sum, ((a, b), c)) in sums.iter_mut().zip(rows) {
                *sum = product(*a, u).wrapping_add(product(*b, v)).wrapping_add(product(*c, w)).wrapping_add(HALF);
            }
            for (i, weight) in more.iter().enumerate() {
                for (sum, sample) in sums.iter_mut().zip(plane.row(start + 3 + i)) {
                    *sum = sum.wrapping_add(product(*sample, *weight));
                }
            }
        }
        [] => sums.fill(HALF),
    }
}

/// Packs the upper bytes of two rows of sums as 16-bit fields.
#[inline(always)]
fn pair(a: &[u16], b: &[u16], out: &mut [u32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = u32::from(a >> 8) | u32::from(b >> 8) << 16;
    }
}

#[inline(always)]
fn taps<const STEP: usize, const N: usize>(source: &[u64], columns: &Axis, out: &mut [u64]) {
    let (weights, _) = columns.weights.as_chunks::<N>();
    for ((out, start), weights) in out.iter_mut().zip(&columns.start).zip(weights) {
        let near = &source[*start as usize * STEP..][..(N - 1) * STEP + 1];
        let mut sum = 0;
        for k in 0..N {
            sum += near[k * STEP] * u64::from(weights[k]);
        }
        *out = sum;
    }
}

#[inline(always)]
fn many_taps<const STEP: usize>(source: &[u64], columns: &Axis, out: &mut [u64]) {
    for (i, out) in out.iter_mut().enumerate().take(columns.len()) {
        let (start, weights) = columns.window(i);
        let near = source[start * STEP..].iter().step_by(STEP);
        *out = near.zip(weights).map(|(packed, weight)| packed * u64::from(*weight)).sum();
    }
}

/// Field `lane` of packed rows.
#[inline(always)]
pub(super) fn unpack(packed: &[u64], lane: usize, out: &mut [u16]) {
    let shift = 16 * lane as u32;
    for (out, packed) in out.iter_mut().zip(packed) {
        *out = (packed >> shift) as u16;
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

    proptest! {
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
