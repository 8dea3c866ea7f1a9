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
            // SAFETY: the processor has the instructions, and the lengths are as the function needs them: both just checked.
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_shuffle_epi32,
        _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_extracti128_si256,
        _mm256_madd_epi16, _mm256_setzero_si256, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_reduce_add_epi32,
        _mm512_setzero_si512,
    };

    use super::CHUNK;

    /// Rows that are worked on together: the probe is loaded once for all, and their sums do not wait for each other.
    const ROWS: usize = 4;

    /// # Safety
    /// The processor has AVX-512 F, BW and VNNI; `probe` is as long as a multiple of [`CHUNK`], and `rows` `sums.len()` times
    /// as long as `probe`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn dots_vnni(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
        let length = probe.len();
        let mut blocks = sums.chunks_exact_mut(ROWS);
        let mut row = rows.as_ptr();
        for block in &mut blocks {
            let mut totals = [_mm512_setzero_si512(); ROWS];
            for at in (0..length).step_by(CHUNK) {
                // SAFETY: `at + CHUNK <= length`, and from `row` on `ROWS` rows of `length` bytes are there.
                let b = unsafe { _mm512_loadu_si512(probe.as_ptr().add(at).cast::<__m512i>()) };
                for (index, total) in totals.iter_mut().enumerate() {
                    // SAFETY: as above.
                    let a = unsafe { _mm512_loadu_si512(row.add(index * length + at).cast::<__m512i>()) };
                    *total = _mm512_dpbusd_epi32(*total, a, b);
                }
            }
            for (sum, total) in block.iter_mut().zip(totals) {
                *sum = _mm512_reduce_add_epi32(total);
            }
            // SAFETY: still within `rows`, or one past its end.
            row = unsafe { row.add(ROWS * length) };
        }
        for sum in blocks.into_remainder() {
            let mut total = _mm512_setzero_si512();
            for at in (0..length).step_by(CHUNK) {
                // SAFETY: `at + CHUNK <= length`, and from `row` on a row of `length` bytes is there.
                let (a, b) = unsafe {
                    let a = _mm512_loadu_si512(row.add(at).cast::<__m512i>());
                    (a, _mm512_loadu_si512(probe.as_ptr().add(at).cast::<__m512i>()))
                };
                total = _mm512_dpbusd_epi32(total, a, b);
            }
            *sum = _mm512_reduce_add_epi32(total);
            // SAFETY: still within `rows`, or one past its end.
            row = unsafe { row.add(length) };
        }
    }

    /// # Safety
    /// The processor has AVX2; lengths as for [`dots_vnni`].
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn dots_avx2(rows: &[u8], probe: &[i8], sums: &mut [i32]) {
        const STEP: usize = 16;
        let length = probe.len();
        for (index, sum) in sums.iter_mut().enumerate() {
            let mut totals = [_mm256_setzero_si256(); 2];
            for at in (0..length).step_by(2 * STEP) {
                for (half, total) in totals.iter_mut().enumerate() {
                    let at = at + half * STEP;
                    // SAFETY: `at + STEP <= length`, and row `index` of `length` bytes is there.
                    let (a, b) = unsafe {
                        let a = _mm_loadu_si128(rows.as_ptr().add(index * length + at).cast::<__m128i>());
                        (a, _mm_loadu_si128(probe.as_ptr().add(at).cast::<__m128i>()))
                    };
                    // Bytes as words: two products of an unsigned and a signed byte do not fit into a word.
                    let products = _mm256_madd_epi16(_mm256_cvtepu8_epi16(a), _mm256_cvtepi8_epi16(b));
                    *total = _mm256_add_epi32(*total, products);
                }
            }
            *sum = add_up(_mm256_add_epi32(totals[0], totals[1]));
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
