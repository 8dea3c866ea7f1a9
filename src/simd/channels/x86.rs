//! The kernel itself: AVX-512, sixteen samples of each component at a time.

use std::arch::x86_64::*;

use super::super::scale::Mix;
use super::{Affine, Columns, GROUP, Group, ONE, Part, WINDOW};

/// # Safety
/// The processor has these parts of AVX-512; rows and outputs are as long as the columns have them.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
pub(super) unsafe fn channels(channels: &[Affine; 3], columns: [&Columns; 3], rows: [&[u8]; 3], outs: [&mut [f32]; 3]) {
    let (mix, channels, outs) = Mix::of(*channels, outs);
    let steady = columns.iter().all(|columns| columns.parts.len() == 1);
    // SAFETY: as the caller says.
    unsafe {
        match (mix.video, mix.unit, steady) {
            (true, true, true) => mixed::<true, true, true>(channels, columns, rows, outs),
            (true, true, false) => mixed::<true, true, false>(channels, columns, rows, outs),
            (true, false, true) => mixed::<true, false, true>(channels, columns, rows, outs),
            (true, false, false) => mixed::<true, false, false>(channels, columns, rows, outs),
            (false, ..) => mixed::<false, false, false>(channels, columns, rows, outs),
        }
    }
}

/// # Safety
/// As for [`channels`]; the channels are such a mix, and where all is steady each component has but one part.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
unsafe fn mixed<const VIDEO: bool, const UNIT: bool, const STEADY: bool>(
    channels: [Affine; 3],
    columns: [&Columns; 3],
    rows: [&[u8]; 3],
    outs: [&mut [f32]; 3],
) {
    let kernels = [Channel::new(channels[0]), Channel::new(channels[1]), Channel::new(channels[2])];
    let [a, b, c] =
        [Source::new(columns[0], rows[0]), Source::new(columns[1], rows[1]), Source::new(columns[2], rows[2])];
    let outs = outs.map(<[f32]>::as_mut_ptr);
    let count = columns[0].count;
    let whole = columns.map(|columns| columns.whole).into_iter().min().unwrap_or(0);
    for group in 0..whole {
        // SAFETY: there are as many groups in each component, and one part in each that is steady; no more is written
        // than there is room for.
        unsafe {
            let components =
                [a.samples::<STEADY, true>(group), b.samples::<STEADY, true>(group), c.samples::<STEADY, true>(group)];
            let values = values::<VIDEO, UNIT>(&kernels, components);
            (0..3).for_each(|n| _mm512_storeu_ps(outs[n].add(group * GROUP), values[n]));
        }
    }
    for group in whole..count.div_ceil(GROUP) {
        let there = u16::MAX >> GROUP.saturating_sub(count - group * GROUP);
        // SAFETY: as above.
        unsafe {
            let components = [
                a.samples::<STEADY, false>(group),
                b.samples::<STEADY, false>(group),
                c.samples::<STEADY, false>(group),
            ];
            let values = values::<VIDEO, UNIT>(&kernels, components);
            (0..3).for_each(|n| _mm512_mask_storeu_ps(outs[n].add(group * GROUP), there, values[n]));
        }
    }
}

/// A group of each channel, computed in the order of [`Affine::of`].
#[target_feature(enable = "avx512f")]
#[inline]
fn values<const VIDEO: bool, const UNIT: bool>(channels: &[Channel; 3], [a, b, c]: [__m512; 3]) -> [__m512; 3] {
    let [first, second, third] = channels;
    let product = |channel: &Channel, n: usize| _mm512_mul_ps([a, b, c][n], channel.factors[n]);
    let sum = |channel| _mm512_add_ps(_mm512_add_ps(product(channel, 0), product(channel, 1)), product(channel, 2));
    let sums = if VIDEO {
        let luma = product(second, 0);
        let middle = _mm512_add_ps(_mm512_add_ps(luma, product(second, 1)), product(second, 2));
        [_mm512_add_ps(luma, product(first, 1)), middle, _mm512_add_ps(luma, product(third, 2))]
    } else {
        [sum(first), sum(second), sum(third)]
    };
    let last = |channel: &Channel, sum| {
        let value = _mm512_add_ps(sum, channel.offset);
        let clamped = _mm512_min_ps(_mm512_max_ps(value, _mm512_setzero_ps()), _mm512_set1_ps(255.0));
        if UNIT { clamped } else { _mm512_add_ps(_mm512_mul_ps(clamped, channel.scale), channel.shift) }
    };
    [last(first, sums[0]), last(second, sums[1]), last(third, sums[2])]
}

/// A component's row, and what is picked from it.
struct Source<'a> {
    columns: &'a Columns,
    row: &'a [u8],
    /// The first part, which is the only one where all is steady.
    picks: __m512i,
    weights: __m512i,
}

impl<'a> Source<'a> {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(columns: &'a Columns, row: &'a [u8]) -> Self {
        let part = &columns.parts[0];
        Self { columns, row, picks: load(&part.picks), weights: load(&part.weights) }
    }

    /// The samples of a group, times 256, as floats.
    ///
    /// # Safety
    /// The columns have such a group, which is whole if it is said to be, and a single part if they are said to be
    /// steady; the row is as long as they have it.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
    #[inline]
    unsafe fn samples<const STEADY: bool, const WHOLE: bool>(&self, group: usize) -> __m512 {
        // SAFETY: as the caller says; groups name parts that are there.
        let sum = unsafe {
            let Group { from: [first, second], part } = *self.columns.groups.get_unchecked(group);
            let near = self.window::<WHOLE>(first);
            if STEADY {
                let sum = add_products(start(), self.weights, _mm512_permutexvar_epi8(self.picks, near));
                return _mm512_cvtepi32_ps(sum);
            }
            let parts = self.columns.parts.get_unchecked(part as usize..);
            let part = parts.get_unchecked(0);
            if self.columns.wide {
                let (far, other) = (self.window::<WHOLE>(second), parts.get_unchecked(1));
                let pick = |part: &Part| _mm512_permutex2var_epi8(near, load(&part.picks), far);
                let sum = add_products(start(), load(&part.weights), pick(part));
                add_products(sum, load(&other.weights), pick(other))
            } else {
                add_products(start(), load(&part.weights), _mm512_permutexvar_epi8(load(&part.picks), near))
            }
        };
        _mm512_cvtepi32_ps(sum)
    }

    /// The bytes from `from` on, as far as the row goes.
    ///
    /// # Safety
    /// The row goes further than that, by all of a window if that is said to be whole.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn window<const WHOLE: bool>(&self, from: u32) -> __m512i {
        let from = from as usize;
        // SAFETY: as the caller says; what is not there is not read.
        unsafe {
            let bytes = self.row.as_ptr().add(from).cast();
            if WHOLE {
                return _mm512_loadu_epi8(bytes);
            }
            let there = u64::MAX >> WINDOW.saturating_sub(self.row.len() - from);
            _mm512_maskz_loadu_epi8(there, bytes)
        }
    }
}

/// Only one of a product's factors may be unsigned. The bytes become signed by taking away 128, of which a sum has 256.
#[target_feature(enable = "avx512f")]
#[inline]
fn start() -> __m512i {
    _mm512_set1_epi32(128 * i32::from(ONE))
}

#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn add_products(sum: __m512i, weights: __m512i, bytes: __m512i) -> __m512i {
    _mm512_dpbusd_epi32(sum, weights, _mm512_xor_si512(bytes, _mm512_set1_epi8(i8::MIN)))
}

/// A channel in registers.
struct Channel {
    factors: [__m512; 3],
    offset: __m512,
    scale: __m512,
    shift: __m512,
}

impl Channel {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn new(channel: Affine) -> Self {
        let Affine { factors: [k, l, m], offset, scale, shift } = channel;
        Self {
            factors: [_mm512_set1_ps(k), _mm512_set1_ps(l), _mm512_set1_ps(m)],
            offset: _mm512_set1_ps(offset),
            scale: _mm512_set1_ps(scale),
            shift: _mm512_set1_ps(shift),
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(bytes: &[u8; WINDOW]) -> __m512i {
    // SAFETY: they are as many as a register has, and nothing is asked of their alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
