//! Scaling of 8-bit planes and their way to a model's channels, with AVX2.
//!
//! These are the inner loops of the detector's input. Whoever has no [`Avx2`] computes the same otherwise: sums are whole
//! numbers, and floats are multiplied and added in a given order, so that results are equal to the last bit.
#![allow(unsafe_code, reason = "vector instructions that only some processors have")]

#[cfg(target_arch = "x86_64")]
mod x86;

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

    /// Asks memory for a row further down, as [`Avx2::blend`] does for those that it reads: for whoever reads the first
    /// row as it is. There need be none.
    pub fn foresee(self, rows: &[u8], stride: usize, width: usize) {
        // SAFETY: the processor has the instructions, as `self` proves.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            x86::foresee(rows, stride, width);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (rows, stride, width);
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

    /// Parts a row of pixels of three bytes by component.
    ///
    /// # Panics
    /// The outputs are not a third of the row each.
    pub fn part(self, row: &[u8], outs: [&mut [u8]; 3]) {
        assert!(outs.iter().all(|out| 3 * out.len() == row.len()), "parts of another length");
        // SAFETY: the processor has the instructions, as `self` proves.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            x86::part(row, outs);
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

/// What three channels have in common, so that kernels may leave it out: not a bit is different then.
#[cfg(target_arch = "x86_64")]
pub(super) struct Mix {
    /// Luma's factor is the same everywhere, the first channel has none of the third component, and the third none of
    /// the second.
    pub(super) video: bool,
    /// Nothing is scaled or shifted.
    pub(super) unit: bool,
}

#[cfg(target_arch = "x86_64")]
impl Mix {
    /// That of `channels`; they and their outputs change places where that makes a video's of them.
    pub(super) fn of<T>(channels: [Affine; 3], outs: [T; 3]) -> (Self, [Affine; 3], [T; 3]) {
        let [a, b, c] = channels;
        let factor = |channel: Affine, n: usize| channel.factors[n];
        let luma = factor(a, 0) == factor(b, 0) && factor(b, 0) == factor(c, 0);
        let video = |first, third| luma && factor(first, 2) == 0.0 && factor(third, 1) == 0.0;
        let unit = channels.iter().all(|channel| channel.scale == 1.0 && channel.shift == 0.0);
        if video(c, a) {
            let [x, y, z] = outs;
            return (Self { video: true, unit }, [c, b, a], [z, y, x]);
        }
        (Self { video: video(a, c), unit }, channels, outs)
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
            let weights = if random.bool() && taps == 2 { vec![128; 2] } else { weights(taps, &mut random) };
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
        fn pixels_are_parted_by_component(row in prop::collection::vec(any::<[u8; 3]>(), 0..200)) {
            let Some(avx2) = avx2() else { return Ok(()) };
            let mut parts = [(); 3].map(|()| vec![0; row.len()]);
            avx2.part(row.as_flattened(), parts.each_mut().map(Vec::as_mut_slice));
            for (component, part) in parts.iter().enumerate() {
                prop_assert!(part.iter().eq(row.iter().map(|pixel| &pixel[component])));
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
