//! Scaling of 8-bit planes and their way to a model's channels, with AVX2.
//!
//! These are the inner loops of the detector's input. Whoever has no [`Avx2`] computes the same otherwise: sums are whole
//! numbers, and floats are multiplied and added in a given order, so that results are equal to the last bit.
#![allow(unsafe_code, reason = "vector instructions that only some processors have")]

/// Output samples that are gathered together: [`Avx2::gather`] writes whole groups.
pub const GROUP: usize = 8;

/// Bytes that a window on a row spans.
const WINDOW: usize = 16;

/// The proof that this processor has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

/// Three components to one channel: `clamp(a*f[0] + b*f[1] + c*f[2] + offset, 0, 255) * scale + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Of each component.
    pub factors: [f32; 3],
    /// Added before clamping.
    pub offset: f32,
    /// Of what was clamped.
    pub scale: f32,
    /// Added at the end.
    pub shift: f32,
}

/// Which bytes of a row make each output sample, as shuffles.
#[derive(Clone, Debug)]
pub struct Columns {
    parts: Vec<Part>,
    /// Whether two parts make a group: eight taps a sample instead of four.
    wide: bool,
    /// Bytes that a row must have.
    reach: usize,
}

/// Two windows, and what becomes of their bytes: eight sums of four products.
#[derive(Clone, Debug)]
struct Part {
    from: [u32; 2],
    /// The byte of the window for each product; none where the top bit is set.
    shuffle: [u8; 32],
    /// Weights of the first and third product of each sum.
    even: [i16; 16],
    /// Weights of the second and fourth.
    odd: [i16; 16],
}

/// One output sample's taps.
struct Taps<'a> {
    start: usize,
    weights: &'a [u16],
}

impl Columns {
    /// For output samples whose source begins at `starts` (in samples, ascending) with `weights.len() / starts.len()` weights of at
    /// most 256 each. Samples are `step` bytes apart in a row, the first at `offset`. `None` where a group's source is spread too
    /// far for it: then the plain way has to do.
    pub fn new(starts: &[u32], weights: &[u16], step: usize, offset: usize) -> Option<Self> {
        let count = weights.len().checked_div(starts.len()).filter(|taps| (1..=8).contains(taps))?;
        let taps = starts
            .iter()
            .zip(weights.chunks(count))
            .map(|(start, weights)| Taps { start: *start as usize * step + offset, weights });
        let taps: Vec<Taps<'_>> = taps.collect();
        let wide = count > 4;
        let mut parts = Vec::new();
        for group in taps.chunks(GROUP) {
            if wide {
                // in this order a horizontal addition of both parts' sums gives the samples in theirs
                let pair = |n: usize| group.get(2 * n..).map_or(&[][..], |rest| &rest[..rest.len().min(2)]);
                parts.push(Part::new([pair(0), pair(2)], step)?);
                parts.push(Part::new([pair(1), pair(3)], step)?);
            } else {
                let (low, high) = group.split_at(group.len().min(4));
                parts.push(Part::new([low, high], step)?);
            }
        }
        let reach = parts.iter().flat_map(|part| part.from).max().unwrap_or(0) as usize + WINDOW;
        Some(Self { parts, wide, reach })
    }

    /// Bytes that a row must have; those past the last sample may be anything.
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// Samples that are written: whole groups.
    pub fn len(&self) -> usize {
        self.parts.len() * GROUP / if self.wide { 2 } else { 1 }
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Part {
    /// Each window holds four samples of up to four taps, or two of up to eight.
    fn new(windows: [&[Taps<'_>]; 2], step: usize) -> Option<Self> {
        let mut part = Self { from: [0; 2], shuffle: [0x80; 32], even: [0; 16], odd: [0; 16] };
        for (half, samples) in windows.into_iter().enumerate() {
            let from = samples.first().map_or(0, |first| first.start);
            part.from[half] = u32::try_from(from).ok()?;
            for (index, sample) in samples.iter().enumerate() {
                let room = if sample.weights.len() > 4 { 8 } else { 4 };
                for (tap, weight) in sample.weights.iter().enumerate().filter(|(_, weight)| **weight > 0) {
                    let byte = (sample.start + tap * step).checked_sub(from).filter(|byte| *byte < WINDOW)?;
                    let place = half * WINDOW + index * room + tap;
                    part.shuffle[place] = byte as u8;
                    let weights = if place.is_multiple_of(2) { &mut part.even } else { &mut part.odd };
                    weights[place / 2] = *weight as i16;
                }
            }
        }
        Some(part)
    }
}

impl Avx2 {
    /// Whether this processor has it; costs nothing after the first time.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        let there = is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let there = false;
        there.then_some(Self(()))
    }

    /// The weighted sum of as many successive rows as there are weights, which add up to 256: `out` is a 256th of it, rounded. Row
    /// `n` is as long as `out` and begins at `n * stride`.
    ///
    /// # Panics
    /// There are no weights, or the rows end too early.
    pub fn blend(self, rows: &[u8], stride: usize, weights: &[u16], out: &mut [u8]) {
        let end = weights.len().checked_sub(1).and_then(|last| last.checked_mul(stride)?.checked_add(out.len()));
        assert!(end.is_some_and(|end| end <= rows.len()), "rows that end too early");
        // SAFETY: the processor has the instructions, as `self` proves; the rows are as long as was just checked.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            x86::blend(rows, stride, weights, out);
        }
    }

    /// The weighted sums of samples along each row, as `columns` says.
    ///
    /// # Panics
    /// A row is shorter than [`Columns::reach`], or an output than [`Columns::len`].
    pub fn gather<const N: usize>(self, columns: &Columns, rows: [&[u8]; N], outs: [&mut [u16]; N]) {
        assert!(rows.iter().all(|row| row.len() >= columns.reach), "a row that ends too early");
        assert!(outs.iter().all(|out| out.len() >= columns.len()), "no room for all groups");
        // SAFETY: the processor has the instructions, as `self` proves; rows and outputs are as long as was just checked.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            if columns.wide {
                x86::gather_wide(columns, rows, outs);
            } else {
                x86::gather(columns, rows, outs);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        drop(outs);
    }

    /// Makes three channels of three components.
    ///
    /// # Panics
    /// The slices are not equally long.
    pub fn convert(self, channels: &[Affine; 3], samples: [&[u16]; 3], outs: [&mut [f32]; 3]) {
        let length = samples[0].len();
        assert!(
            samples.iter().all(|row| row.len() == length) && outs.iter().all(|row| row.len() == length),
            "rows of different lengths"
        );
        // SAFETY: the processor has the instructions, as `self` proves; all rows are equally long, as was just checked.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            x86::convert(channels, samples, outs);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (channels, outs);
    }
}

impl Affine {
    /// The channel's value of one sample of each component.
    #[inline(always)]
    pub fn of(&self, [a, b, c]: [u16; 3]) -> f32 {
        let [k, l, m] = self.factors;
        let value = f32::from(a) * k + f32::from(b) * l + f32::from(c) * m + self.offset;
        value.clamp(0.0, 255.0) * self.scale + self.shift
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Affine, Columns, GROUP, Part};

    /// Bytes of a register.
    const BYTES: usize = 32;
    /// Rounds a sum whose upper byte is kept.
    const HALF: i16 = 128;

    /// # Safety
    /// The processor has AVX2; `rows` has as many rows as there are weights, each as long as `out`, `stride` apart.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn blend(rows: &[u8], stride: usize, weights: &[u16], out: &mut [u8]) {
        let whole = out.len() - out.len() % BYTES;
        // SAFETY: as the caller says.
        unsafe {
            match *weights {
                [a] => blend_whole([a], rows, stride, &mut out[..whole]),
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
                sums = add_products(sums, samples, *factor);
            }
            store_upper(sums, out);
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
                sums = add_products(sums, samples, _mm256_set1_epi16(*weight as i16));
            }
            store_upper(sums, out);
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
            let (shuffle, even, odd) = unsafe {
                (load(part.shuffle.as_ptr()), load(part.even.as_ptr().cast()), load(part.odd.as_ptr().cast()))
            };
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
            let components = unsafe {
                [load_floats(a.as_ptr().add(x)), load_floats(b.as_ptr().add(x)), load_floats(c.as_ptr().add(x))]
            };
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn avx2() -> Option<Avx2> {
        let avx2 = Avx2::detect();
        if avx2.is_none() {
            eprintln!("skipped: this processor has no AVX2");
        }
        avx2
    }

    /// Weights that add up to 256.
    fn weights(taps: usize, random: &mut fastrand::Rng) -> Vec<u16> {
        let mut cuts: Vec<u16> = (1..taps).map(|_| random.u16(..=256)).collect();
        cuts.extend([0, 256]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    proptest! {
        #[test]
        fn rows_are_blended_exactly(taps in 1usize..14, width in 0usize..200, pad in 0usize..40, seed: u64) {
            let Some(avx2) = avx2() else { return Ok(()) };
            let mut random = fastrand::Rng::with_seed(seed);
            let stride = width + pad;
            let rows: Vec<u8> = (0..stride * taps).map(|_| random.u8(..)).collect();
            let weights = weights(taps, &mut random);
            let mut out = vec![0; width];
            avx2.blend(&rows, stride, &weights, &mut out);
            for (x, out) in out.into_iter().enumerate() {
                let sum: u32 = weights.iter().enumerate().map(|(n, w)| u32::from(rows[n * stride + x]) * u32::from(*w)).sum();
                prop_assert_eq!(u32::from(out), (sum + 128) >> 8);
            }
        }

        #[test]
        fn columns_are_gathered_exactly(
            taps in 1usize..=8, outputs in 1usize..60, stride in 0.1f64..4.0, step in 1usize..=3, seed: u64,
        ) {
            let Some(avx2) = avx2() else { return Ok(()) };
            let mut random = fastrand::Rng::with_seed(seed);
            let offset = random.usize(..step);
            let starts: Vec<u32> = (0..outputs).map(|n| (n as f64 * stride) as u32).collect();
            let weights: Vec<u16> = starts.iter().flat_map(|_| weights(taps, &mut random)).collect();
            let Some(columns) = Columns::new(&starts, &weights, step, offset) else { return Ok(()) };
            let rows = [(); 3].map(|()| (0..columns.reach()).map(|_| random.u8(..)).collect::<Vec<u8>>());
            let mut outs = [(); 3].map(|()| vec![0; columns.len()]);
            let slices = rows.each_ref().map(Vec::as_slice);
            avx2.gather(&columns, slices, outs.each_mut().map(Vec::as_mut_slice));
            prop_assert_eq!(columns.len(), outputs.next_multiple_of(GROUP));
            for (row, out) in rows.iter().zip(outs) {
                for (n, start) in starts.iter().enumerate() {
                    let tap = |k: usize| {
                        let weight = u32::from(weights[n * taps + k]);
                        // beyond the row lies what has no weight
                        let byte = row.get((*start as usize + k) * step + offset).copied();
                        weight * u32::from(if weight > 0 { byte.unwrap() } else { 0 })
                    };
                    prop_assert_eq!(u32::from(out[n]), (0..taps).map(tap).sum::<u32>());
                }
            }
        }

        #[test]
        fn channels_are_equal_to_the_last_bit(width in 0usize..50, seed: u64) {
            let Some(avx2) = avx2() else { return Ok(()) };
            let mut random = fastrand::Rng::with_seed(seed);
            let mut float = |span: f32| (random.f32() - 0.5) * span;
            let channels = [(); 3].map(|()| Affine {
                factors: [(); 3].map(|()| float(0.02)),
                offset: float(300.0),
                scale: float(4.0),
                shift: float(300.0),
            });
            let samples = [(); 3].map(|()| (0..width).map(|_| fastrand::u16(..=255 * 256)).collect::<Vec<u16>>());
            let mut outs = [(); 3].map(|()| vec![0.0; width]);
            avx2.convert(&channels, samples.each_ref().map(Vec::as_slice), outs.each_mut().map(Vec::as_mut_slice));
            for (channel, out) in channels.iter().zip(&outs) {
                for (x, value) in out.iter().enumerate() {
                    prop_assert_eq!(*value, channel.of(samples.each_ref().map(|row| row[x])));
                }
            }
        }
    }

    #[test]
    fn what_cameras_need_is_gathered_in_registers() {
        // 1080p, 720p, 1440p and 4K to 640 columns, chroma at half of it; NV12's chroma, two bytes apart
        for (len, step) in [(1920, 1), (960, 1), (1280, 1), (640, 1), (2560, 1), (3840, 1), (960, 2)] {
            let ratio = f64::from(len) / 640.0;
            let taps = ratio.ceil() as usize + usize::from(ratio.fract() > 0.0);
            let starts: Vec<u32> = (0..640).map(|n| (f64::from(n) * ratio) as u32).collect();
            assert!(Columns::new(&starts, &vec![1; taps * 640], step, 0).is_some(), "{len} columns, {step} bytes");
        }
    }

    #[test]
    fn what_is_spread_too_far_is_refused() {
        assert!(Columns::new(&[0, 20], &[128; 4], 1, 0).is_none());
        assert!(Columns::new(&[0], &[28; 9], 1, 0).is_none());
        assert!(Columns::new(&[], &[], 1, 0).is_none());
    }
}
