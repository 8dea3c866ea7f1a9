//! The kernels themselves: AVX2, one register at a time.

use std::arch::x86_64::*;

use super::{Affine, Columns, GROUP, Part};

/// Bytes of a register.
const BYTES: usize = 32;
/// Rounds a sum whose upper byte is kept.
const HALF: i16 = 128;
/// A weight of which two are the whole.
const HALVES: u16 = 128;
/// Bytes that come from memory at once.
const LINE: usize = 64;
/// So many rows further down are asked of memory while a row is read. A frame was written by another process, so it is in no
/// cache of this processor, and the processor's own foresight ends with each page: every other row of 1080p.
const ROWS_AHEAD: usize = 36;

/// # Safety
/// The processor has AVX2; `rows` has as many rows as there are weights, each as long as `out`, `stride` apart.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn blend(rows: &[u8], stride: usize, weights: &[u16], out: &mut [u8]) {
    let whole = out.len() - out.len() % BYTES;
    // SAFETY: as the caller says.
    unsafe {
        match *weights {
            [a] => blend_whole([a], rows, stride, &mut out[..whole]),
            [HALVES, HALVES] => blend_halves(rows, stride, &mut out[..whole]),
            [a, b] => blend_whole([a, b], rows, stride, &mut out[..whole]),
            [a, b, c] => blend_whole([a, b, c], rows, stride, &mut out[..whole]),
            [a, b, c, d] => blend_whole([a, b, c, d], rows, stride, &mut out[..whole]),
            _ => blend_many(weights, rows, stride, &mut out[..whole]),
        }
    }
    for (x, out) in out.iter_mut().enumerate().skip(whole) {
        let products =
            weights.iter().enumerate().map(|(n, weight)| u16::from(rows[n * stride + x]).wrapping_mul(*weight));
        *out = (products.fold(HALF as u16, u16::wrapping_add) >> 8) as u8;
    }
}

/// # Safety
/// As for [`blend`]; `out` is as long as a multiple of [`BYTES`].
#[target_feature(enable = "avx2")]
unsafe fn blend_whole<const N: usize>(weights: [u16; N], rows: &[u8], stride: usize, out: &mut [u8]) {
    let factors = weights.map(|weight| _mm256_set1_epi16(weight as i16));
    for (x, out) in out.chunks_exact_mut(BYTES).enumerate() {
        let mut sums = [_mm256_set1_epi16(HALF); 2];
        for (n, factor) in factors.iter().enumerate() {
            // SAFETY: within row `n`, as the caller says.
            let samples = unsafe { load(rows.as_ptr().add(n * stride + x * BYTES)) };
            look_ahead(rows, (n + ROWS_AHEAD) * stride, x);
            sums = add_products(sums, samples, *factor);
        }
        store_upper(sums, out);
    }
}

/// # Safety
/// As for [`blend_whole`], of two rows that weigh the same.
#[target_feature(enable = "avx2")]
unsafe fn blend_halves(rows: &[u8], stride: usize, out: &mut [u8]) {
    for (x, out) in out.chunks_exact_mut(BYTES).enumerate() {
        // SAFETY: within both rows, as the caller says; there is room for as many bytes.
        unsafe {
            let [first, second] = [0, stride].map(|row| load(rows.as_ptr().add(row + x * BYTES)));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_avg_epu8(first, second));
        }
        look_ahead(rows, ROWS_AHEAD * stride, x);
        look_ahead(rows, (1 + ROWS_AHEAD) * stride, x);
    }
}

/// # Safety
/// As for [`blend_whole`].
#[target_feature(enable = "avx2")]
unsafe fn blend_many(weights: &[u16], rows: &[u8], stride: usize, out: &mut [u8]) {
    for (x, out) in out.chunks_exact_mut(BYTES).enumerate() {
        let mut sums = [_mm256_set1_epi16(HALF); 2];
        for (n, weight) in weights.iter().enumerate() {
            // SAFETY: within row `n`, as the caller says.
            let samples = unsafe { load(rows.as_ptr().add(n * stride + x * BYTES)) };
            look_ahead(rows, (n + ROWS_AHEAD) * stride, x);
            sums = add_products(sums, samples, _mm256_set1_epi16(*weight as i16));
        }
        store_upper(sums, out);
    }
}

/// Asks memory for what is as far down as [`blend`] looks ahead.
#[target_feature(enable = "avx2")]
pub(super) fn foresee(rows: &[u8], stride: usize, width: usize) {
    for x in (0..width.div_ceil(BYTES)).step_by(LINE / BYTES) {
        look_ahead(rows, ROWS_AHEAD * stride, x);
    }
}

/// Asks memory for the bytes of a register's place `x` on the row that begins at `row`, once a line. There need be none.
#[allow(unused_unsafe, reason = "younger compilers know that a hint is safe")]
#[target_feature(enable = "avx2")]
#[inline]
fn look_ahead(rows: &[u8], row: usize, x: usize) {
    if x.is_multiple_of(LINE / BYTES) {
        // SAFETY: a hint reads nothing, and an address that is not there makes none fault.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(rows.as_ptr().wrapping_add(row + x * BYTES).cast()) };
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn add_products([low, high]: [__m256i; 2], samples: __m256i, factor: __m256i) -> [__m256i; 2] {
    let zero = _mm256_setzero_si256();
    let product = |half| _mm256_mullo_epi16(half, factor);
    [
        _mm256_add_epi16(low, product(_mm256_unpacklo_epi8(samples, zero))),
        _mm256_add_epi16(high, product(_mm256_unpackhi_epi8(samples, zero))),
    ]
}

/// Writes the upper bytes of the sums, which [`add_products`] has parted within each half of the register.
#[target_feature(enable = "avx2")]
#[inline]
fn store_upper([low, high]: [__m256i; 2], out: &mut [u8]) {
    let bytes = _mm256_packus_epi16(_mm256_srli_epi16::<8>(low), _mm256_srli_epi16::<8>(high));
    assert!(out.len() == BYTES);
    // SAFETY: there is room for them, as was just checked.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) };
}

/// # Safety
/// The processor has AVX2; each row has `columns.reach` bytes, each output room for `columns.len()` samples.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn gather<const N: usize>(columns: &Columns, rows: [&[u8]; N], mut outs: [&mut [u16]; N]) {
    for (group, part) in columns.parts.iter().enumerate() {
        let kernel = Kernel::new(part);
        for (row, out) in rows.iter().zip(&mut outs) {
            // SAFETY: windows end within the columns' reach, and groups within their length.
            unsafe { store_words(kernel.sums(row), out.as_mut_ptr().add(group * GROUP)) };
        }
    }
}

/// # Safety
/// As for [`gather`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn gather_wide<const N: usize>(columns: &Columns, rows: [&[u8]; N], mut outs: [&mut [u16]; N]) {
    let (pairs, _) = columns.parts.as_chunks::<2>();
    for (group, [first, second]) in pairs.iter().enumerate() {
        let kernels = [Kernel::new(first), Kernel::new(second)];
        for (row, out) in rows.iter().zip(&mut outs) {
            // SAFETY: as in `gather`.
            unsafe {
                let sums = _mm256_hadd_epi32(kernels[0].sums(row), kernels[1].sums(row));
                store_words(sums, out.as_mut_ptr().add(group * GROUP));
            }
        }
    }
}

/// A part in registers.
struct Kernel {
    from: [usize; 2],
    shuffle: __m256i,
    even: __m256i,
    odd: __m256i,
}

impl Kernel {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(part: &Part) -> Self {
        // SAFETY: each array is as large as a register.
        let (shuffle, even, odd) =
            unsafe { (load(part.shuffle.as_ptr()), load(part.even.as_ptr().cast()), load(part.odd.as_ptr().cast())) };
        Self { from: part.from.map(|from| from as usize), shuffle, even, odd }
    }

    /// # Safety
    /// The row has a window's bytes from both beginnings on.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn sums(&self, row: &[u8]) -> __m256i {
        // SAFETY: as the caller says.
        let (low, high) = unsafe {
            let window = |from| _mm_loadu_si128(row.as_ptr().add(from).cast());
            (window(self.from[0]), window(self.from[1]))
        };
        let bytes = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), self.shuffle);
        let even = _mm256_and_si256(bytes, _mm256_set1_epi16(0xFF));
        let odd = _mm256_srli_epi16::<8>(bytes);
        _mm256_add_epi32(_mm256_madd_epi16(even, self.even), _mm256_madd_epi16(odd, self.odd))
    }
}

/// # Safety
/// There is room for eight words.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store_words(sums: __m256i, out: *mut u16) {
    let words = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(sums, sums));
    // SAFETY: as the caller says.
    unsafe { _mm_storeu_si128(out.cast(), _mm256_castsi256_si128(words)) };
}

/// Compilers know this loop: it needs the instructions, not to be written in them.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn part(row: &[u8], [a, b, c]: [&mut [u8]; 3]) {
    for ((pixel, a), (b, c)) in row.as_chunks::<3>().0.iter().zip(a).zip(b.iter_mut().zip(c)) {
        [*a, *b, *c] = *pixel;
    }
}

/// # Safety
/// The processor has AVX2; all rows are equally long.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn convert(channels: &[Affine; 3], samples: [&[u16]; 3], outs: [&mut [f32]; 3]) {
    let length = samples[0].len();
    let whole = length - length % GROUP;
    let [a, b, c] = samples;
    let kernels = [Channel::new(channels[0]), Channel::new(channels[1]), Channel::new(channels[2])];
    for x in (0..whole).step_by(GROUP) {
        // SAFETY: `x + GROUP <= length`.
        let components =
            unsafe { [load_floats(a.as_ptr().add(x)), load_floats(b.as_ptr().add(x)), load_floats(c.as_ptr().add(x))] };
        for (kernel, out) in kernels.iter().zip(&outs) {
            // SAFETY: as above; the pointer comes of a slice that is borrowed mutably by this function alone.
            unsafe { _mm256_storeu_ps(out.as_ptr().cast_mut().add(x), kernel.of(components)) };
        }
    }
    for (channel, out) in channels.iter().zip(outs) {
        for x in whole..length {
            out[x] = channel.of(samples.map(|row| row[x]));
        }
    }
}

/// A channel in registers.
struct Channel {
    factors: [__m256; 3],
    offset: __m256,
    scale: __m256,
    shift: __m256,
}

impl Channel {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(channel: Affine) -> Self {
        let Affine { factors: [k, l, m], offset, scale, shift } = channel;
        Self {
            factors: [_mm256_set1_ps(k), _mm256_set1_ps(l), _mm256_set1_ps(m)],
            offset: _mm256_set1_ps(offset),
            scale: _mm256_set1_ps(scale),
            shift: _mm256_set1_ps(shift),
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn of(&self, [a, b, c]: [__m256; 3]) -> __m256 {
        let [k, l, m] = self.factors;
        let two = _mm256_add_ps(_mm256_mul_ps(a, k), _mm256_mul_ps(b, l));
        let value = _mm256_add_ps(_mm256_add_ps(two, _mm256_mul_ps(c, m)), self.offset);
        let clamped = _mm256_min_ps(_mm256_max_ps(value, _mm256_setzero_ps()), _mm256_set1_ps(255.0));
        _mm256_add_ps(_mm256_mul_ps(clamped, self.scale), self.shift)
    }
}

/// # Safety
/// There are eight words.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load_floats(words: *const u16) -> __m256 {
    // SAFETY: as the caller says.
    let words = unsafe { _mm_loadu_si128(words.cast()) };
    _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(words))
}

/// # Safety
/// There are as many bytes as a register has.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load(bytes: *const u8) -> __m256i {
    // SAFETY: as the caller says.
    unsafe { _mm256_loadu_si256(bytes.cast()) }
}
