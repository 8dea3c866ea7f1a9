//! Scaling without vector instructions to rely on: four rows in one integer.
//!
//! The vertical sums of four output rows are packed as four 16-bit fields of one `u64`, so that the horizontal pass, which
//! compilers cannot vectorise for arbitrary ratios, does four rows with one multiplication.

use std::array::from_fn;

use super::scale::{Across, Axis, LANES, Plane, Rows};

/// Rounding of the vertical sums, which keep their upper 8 bits.
const HALF: u16 = 128;

/// Scratch memory for planes up to a width.
#[derive(Debug)]
pub(super) struct Packed {
    rows: [Vec<u16>; LANES],
    pairs: [Vec<u32>; 2],
    packed: Vec<u64>,
    sums: Vec<u64>,
}

impl Packed {
    /// Memory for planes of up to `width` bytes a row.
    pub(super) fn new(width: usize) -> Self {
        let (packed, sums) = (vec![0; width], Vec::new());
        Self { rows: from_fn(|_| vec![0; width]), pairs: from_fn(|_| vec![0; width]), packed, sums }
    }

    /// Scales `plane` to the output rows `first..first + LANES` (the last one repeated past the end) and keeps them packed for
    /// [`Packed::across`].
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

    /// Scales the packed rows across.
    pub(super) fn across(&mut self, across: &Across, out: &mut Rows) {
        let Across { axis, step, offset, .. } = across;
        self.sums.resize(axis.len(), 0);
        let (source, sums) = (&self.packed[*offset..], &mut self.sums[..]);
        match axis.taps() {
            1 => taps::<1>(source, *step, axis, sums),
            2 => taps::<2>(source, *step, axis, sums),
            3 => taps::<3>(source, *step, axis, sums),
            4 => taps::<4>(source, *step, axis, sums),
            _ => many_taps(source, *step, axis, sums),
        }
        for (lane, out) in out.iter_mut().enumerate() {
            let shift = 16 * lane as u32;
            out.iter_mut().zip(&*sums).for_each(|(out, sums)| *out = (sums >> shift) as u16);
        }
    }
}

/// The weighted sum of successive rows, times 256, rounded.
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
fn pair(a: &[u16], b: &[u16], out: &mut [u32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = u32::from(a >> 8) | u32::from(b >> 8) << 16;
    }
}

fn taps<const N: usize>(source: &[u64], step: usize, columns: &Axis, out: &mut [u64]) {
    let (weights, _) = columns.weights().as_chunks::<N>();
    for ((out, start), weights) in out.iter_mut().zip(columns.starts()).zip(weights) {
        let near = &source[*start as usize * step..][..(N - 1) * step + 1];
        *out = (0..N).map(|k| near[k * step] * u64::from(weights[k])).sum();
    }
}

fn many_taps(source: &[u64], step: usize, columns: &Axis, out: &mut [u64]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (start, weights) = columns.window(i);
        let near = source[start * step..].iter().step_by(step);
        *out = near.zip(weights).map(|(packed, weight)| packed * u64::from(*weight)).sum();
    }
}
