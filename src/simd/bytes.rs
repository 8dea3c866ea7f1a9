//! Dot products of one row of signed bytes with many rows of unsigned ones.
//!
//! Sums are whole numbers, so every variant gives exactly the same. Unsigned rows, since that is how the instructions
//! have it: `vpdpbusd` multiplies unsigned by signed bytes and adds four products at once, without saturation.
#![allow(unsafe_code, reason = "vector instructions that only some processors have")]

/// Rows are as long as a multiple of this, in bytes: one AVX-512 register. What is not needed is zero in the probe.
pub const CHUNK: usize = 64;

/// No sum of this many products of bytes leaves an `i32`.
pub const LONGEST: usize = 1 << 16;

/// A way to compute, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// AVX-512 with VNNI: 64 products an instruction.
    Vnni,
    /// AVX2: 16 products an instruction.
    Avx2,
    /// Whatever the compiler makes of plain Rust.
    Plain,
}

impl Kernel {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Vnni, Self::Avx2, Self::Plain];

    /// The best that this processor has.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|kernel| kernel.is_available()).unwrap_or(Self::Plain)
    }

    /// Whether this processor has it; costs nothing after the first time.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Vnni | Self::Avx2 => false,
            Self::Plain => true,
        }
    }

    /// The sum of the products of `probe` with each row of `rows`, which lie one after the other. An unavailable kernel
    /// counts as [`Kernel::Plain`].
    ///
    /// # Panics
    /// The probe's length is no multiple of [`CHUNK`] or more than [`LONGEST`], or `rows` is not `sums.len()` times as long.
    pub fn dots(self, rows: &[u8], probe: &[i8], sums: &mut [i32]) {
        assert!(
            !probe.is_empty() && probe.len().is_multiple_of(CHUNK) && probe.len() <= LONGEST,
            "a probe of that length"
        );
        assert_eq!(rows.len(), probe.len() * sums.len(), "rows of another length than the probe");
        match self {
            // SAFETY: the processor has the instructions, as was just checked.
            #[cfg(target_arch = "x86_64")]
            Self::Vnni if self.is_available() => unsafe { x86::dots_vnni(rows, probe, sums) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 if self.is_available() => unsafe { x86::dots_avx2(rows, probe, sums) },
            _ => dots_plain(rows, probe, sums),
        }
    }
}

fn dots_plain(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
    for (row, sum) in rows.chunks_exact(probe.len()).zip(sums) {
        *sum = row.iter().zip(probe).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
    }
}

/// One row after the other: memory is read in order, which is what its prefetchers want, and rows do not wait for each
/// other. Several at a time take twice as long once they are not in a cache.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_shuffle_epi32,
        _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_extracti128_si256,
        _mm256_madd_epi16, _mm256_setzero_si256, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_reduce_add_epi32,
        _mm512_setzero_si512,
    };

    use super::CHUNK;

    /// The rest of a row or probe that is no whole [`CHUNK`] does not count.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn dots_vnni(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
        for (row, sum) in rows.chunks_exact(probe.len()).zip(sums) {
            let mut total = _mm512_setzero_si512();
            for (a, b) in row.as_chunks::<CHUNK>().0.iter().zip(probe.as_chunks::<CHUNK>().0) {
                // SAFETY: both are 64 bytes, and nothing is asked of their alignment.
                let (a, b) = unsafe {
                    (_mm512_loadu_si512(a.as_ptr().cast::<__m512i>()), _mm512_loadu_si512(b.as_ptr().cast::<__m512i>()))
                };
                total = _mm512_dpbusd_epi32(total, a, b);
            }
            *sum = _mm512_reduce_add_epi32(total);
        }
    }

    /// The rest of a row or probe that is no whole [`CHUNK`] does not count.
    #[target_feature(enable = "avx2")]
    pub(super) fn dots_avx2(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
        const PART: usize = 16;
        for (row, sum) in rows.chunks_exact(probe.len()).zip(sums) {
            let mut totals = [_mm256_setzero_si256(); CHUNK / PART];
            for (a, b) in row.as_chunks::<CHUNK>().0.iter().zip(probe.as_chunks::<CHUNK>().0) {
                let parts = a.as_chunks::<PART>().0.iter().zip(b.as_chunks::<PART>().0);
                for (total, (a, b)) in totals.iter_mut().zip(parts) {
                    // SAFETY: both are 16 bytes, and nothing is asked of their alignment.
                    let (a, b) = unsafe {
                        (_mm_loadu_si128(a.as_ptr().cast::<__m128i>()), _mm_loadu_si128(b.as_ptr().cast::<__m128i>()))
                    };
                    // Bytes as words: two products of an unsigned and a signed byte do not fit into a word.
                    let products = _mm256_madd_epi16(_mm256_cvtepu8_epi16(a), _mm256_cvtepi8_epi16(b));
                    *total = _mm256_add_epi32(*total, products);
                }
            }
            let [a, b, c, d] = totals;
            *sum = add_up(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)));
        }
    }

    #[target_feature(enable = "avx2")]
    fn add_up(total: __m256i) -> i32 {
        let four = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256::<1>(total));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b0100_1110>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b1011_0001>(two)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_kernels(rows: &[u8], probe: &[i8]) {
        let count = rows.len() / probe.len();
        let expected: Vec<i32> = rows
            .chunks(probe.len())
            .map(|row| row.iter().zip(probe).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum::<i64>() as i32)
            .collect();
        for kernel in Kernel::ALL {
            if !kernel.is_available() {
                eprintln!("skipped: this processor has no {kernel:?}");
                continue;
            }
            let mut sums = vec![i32::MIN; count];
            kernel.dots(rows, probe, &mut sums);
            assert_eq!(sums, expected, "{kernel:?}");
        }
    }

    proptest! {
        #[test]
        fn every_kernel_gives_the_same(chunks in 1usize..9, count in 0usize..11, seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let probe: Vec<i8> = (0..chunks * CHUNK).map(|_| random.i8(..)).collect();
            let rows: Vec<u8> = (0..count * probe.len()).map(|_| random.u8(..)).collect();
            check_kernels(&rows, &probe);
        }
    }

    #[test]
    fn the_largest_sums_do_not_saturate() {
        for (row, probe) in [(255, -128), (255, 127), (0, -128), (128, -1)] {
            check_kernels(&[row; 5 * 512], &[probe; 512]);
        }
        check_kernels(&vec![255; LONGEST], &vec![-128; LONGEST]);
    }

    #[test]
    #[should_panic(expected = "rows of another length")]
    fn rows_that_are_too_short_are_refused() {
        Kernel::best().dots(&[0; 127], &[0; 64], &mut [0; 2]);
    }
}
