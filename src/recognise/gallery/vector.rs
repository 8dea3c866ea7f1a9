//! An embedding as the gallery compares it: of length one, and once more in bytes.
//!
//! Bytes are a quarter of the memory that a search has to read. How far they are from the truth is known of each, so
//! that a comparison of bytes gives bounds of the true cosine. With `x` and `p` of length one, `x̂` and `p̂` what their
//! bytes stand for, and `e = ‖x − x̂‖` the error of each:
//!
//! `|x·p − x̂·p̂| = |(x − x̂)·p + x̂·(p − p̂)| ≤ e_x + (1 + e_x) · e_p`
//!
//! by Cauchy and Schwarz, since `‖p‖ = 1` and `‖x̂‖ ≤ 1 + e_x`. [`slack`] adds what rounding can do to the sums.

use zeroize::Zeroizing;

use crate::recognise::Embedding;
use crate::simd::bytes::CHUNK;

/// What a stored byte is more than the number that it stands for.
const OFFSET: u8 = 128;

/// Largest magnitude of a byte.
const LARGEST: f32 = 127.0;

/// The direction of an embedding.
pub(super) struct Vector {
    /// Of length one.
    pub(super) exact: Zeroizing<Vec<f32>>,
    /// The same in units of `scale`, plus [`OFFSET`]; as long as [`padded`] says.
    pub(super) coarse: Zeroizing<Vec<u8>>,
    pub(super) scale: f32,
    /// Distance of the bytes' vector from the exact one, at most.
    pub(super) error: f32,
}

/// Bytes of a row.
pub(super) fn padded(dimension: usize) -> usize {
    dimension.next_multiple_of(CHUNK)
}

/// How far rounding can move a computed cosine of `dimension` numbers, at most: `γ_n` of Higham's analysis for a sum of
/// products in any order, for the exact sum and once more for the scaled one of bytes.
pub(super) fn slack(dimension: usize) -> f32 {
    (dimension + 16) as f32 * f32::EPSILON
}

impl Vector {
    /// `None` where the embedding has another number of numbers, or no direction.
    pub(super) fn new(embedding: &Embedding, dimension: usize) -> Option<Self> {
        (embedding.values().len() == dimension).then(|| Self::of(embedding.values())).flatten()
    }

    /// `None` where the numbers give no direction.
    pub(super) fn of(values: &[f32]) -> Option<Self> {
        let squares: f64 = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        if !squares.is_finite() || squares <= 0.0 {
            return None;
        }
        let length = squares.sqrt();
        let exact: Zeroizing<Vec<f32>> =
            Zeroizing::new(values.iter().map(|v| (f64::from(*v) / length) as f32).collect());
        let largest = exact.iter().fold(0f32, |largest, v| largest.max(v.abs()));
        let scale = largest / LARGEST;
        let mut coarse = Zeroizing::new(vec![OFFSET; padded(values.len())]);
        let mut error = 0f64;
        for (byte, value) in coarse.iter_mut().zip(exact.iter()) {
            let steps = (value / scale).round().clamp(-LARGEST, LARGEST);
            *byte = (steps as i8 as u8).wrapping_add(OFFSET);
            error += (f64::from(*value) - f64::from(scale) * f64::from(steps)).powi(2);
        }
        let error = (error.sqrt() as f32).next_up();
        Some(Self { exact, coarse, scale, error })
    }

    /// As the one side of many comparisons.
    pub(super) fn probe(&self) -> Probe<'_> {
        let coarse: Zeroizing<Vec<i8>> =
            Zeroizing::new(self.coarse.iter().map(|byte| byte.wrapping_sub(OFFSET) as i8).collect());
        let sum: i32 = coarse.iter().map(|&byte| i32::from(byte)).sum();
        let offset = i32::from(OFFSET) * sum;
        Probe { exact: &self.exact, coarse, scale: self.scale, error: self.error, offset }
    }
}

/// What many rows are compared with.
pub(super) struct Probe<'a> {
    pub(super) exact: &'a [f32],
    pub(super) coarse: Zeroizing<Vec<i8>>,
    pub(super) scale: f32,
    pub(super) error: f32,
    /// What [`OFFSET`] adds to each sum of products.
    pub(super) offset: i32,
}

/// Of two vectors of length one. Sums in a fixed order, so that a score is the same on every machine.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0f32; LANES];
    for (a, b) in a.zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    (sums.iter().sum::<f32>() + rest).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_bound(a: &[f32], b: &[f32]) {
        let vector = |values: &[f32]| Vector::new(&Embedding::new(values), values.len());
        let (Some(a), Some(b)) = (vector(a), vector(b)) else { return };
        let (row, probe) = (&a, b.probe());
        let sum: i32 = row.coarse.iter().zip(probe.coarse.iter()).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        let estimate = row.scale * (probe.scale * (sum - probe.offset) as f32);
        let bound = row.error + (1.0 + row.error) * probe.error + slack(a.exact.len());
        let truth: f64 = a.exact.iter().zip(b.exact.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((f64::from(estimate) - truth).abs() <= f64::from(bound), "{estimate} {truth} {bound}");
        assert!((estimate - cosine(&a.exact, &b.exact)).abs() <= bound);
    }

    proptest! {
        #[test]
        fn the_bytes_are_as_near_as_they_say(length in 1usize..700, seed: u64, sparse in 0u8..4) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut value = || {
                let large = sparse > 0 && random.u8(..) < 3;
                (random.f32() - 0.5) * if large { 10f32.powi(random.i32(0..9)) } else { 1.0 }
            };
            let (a, b): (Vec<_>, Vec<_>) = (0..length).map(|_| (value(), value())).unzip();
            check_bound(&a, &b);
            check_bound(&a, &a);
            check_bound(&b, &a.iter().map(|v| -v).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        for values in [&[0.0, 0.0][..], &[f32::NAN, 1.0], &[f32::INFINITY, 1.0], &[1.0], &[1.0, 1.0, 1.0]] {
            assert!(Vector::new(&Embedding::new(values), 2).is_none(), "{values:?}");
        }
        let tiny = Vector::new(&Embedding::new(&[f32::MIN_POSITIVE, 0.0]), 2).unwrap();
        assert_eq!(*tiny.exact, [1.0, 0.0]);
    }
}
