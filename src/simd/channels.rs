//! Rows of bytes to a model's channels in one go, with AVX-512: what makes each sample is picked from the row,
//! weighted, added up and converted without a visit to memory in between.
//!
//! The same numbers to the last bit as [`super::scale`] gives, which every other processor computes with.
#![allow(unsafe_code, reason = "vector instructions that only some processors have")]
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "what the kernel needs"))]

use super::scale::Affine;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Samples that are made together.
const GROUP: usize = 16;

/// Bytes that a window on a row spans.
const WINDOW: usize = 64;

/// Products that an instruction adds up.
const SLOTS: usize = WINDOW / GROUP;

/// What the weights of a sample add up to.
const ONE: u16 = 256;

/// The proof that this processor has AVX-512 with VBMI and VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

/// Which bytes of a row make each sample of a component.
#[derive(Clone, Debug)]
pub struct Columns {
    groups: Vec<Group>,
    /// What is done with the groups' windows: mostly the same with many of them.
    parts: Vec<Part>,
    /// Whether two parts make a group, both of the same two windows: eight products a sample instead of four.
    wide: bool,
    count: usize,
    /// The first groups, whose windows end within the row and which are not the rest of the samples.
    whole: usize,
    /// Bytes of a row.
    width: usize,
}

/// Where a group's windows begin, and which is its first part.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    from: [u32; 2],
    part: u32,
}

/// Up to four products of each sample of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
struct Part {
    /// The byte of the window for each product; the second window's are beyond the first's.
    picks: [u8; WINDOW],
    weights: [u8; WINDOW],
}

/// One sample's products: bytes of the row and their weights, of which none is more than 128 if it is the only one.
struct Sample {
    products: [(usize, u8); 2 * SLOTS],
    count: usize,
}

impl Columns {
    /// For samples whose source begins at `starts` (in samples, ascending) with `weights.len() / starts.len()`
    /// weights each, that add up to 256. Samples are `step` bytes apart in a row of `width` bytes, the first at
    /// `offset`. `None` where a group's source is spread too far for it, or a sample has too many: then another way
    /// has to do.
    pub fn new(starts: &[u32], weights: &[u16], step: usize, (width, offset): (usize, usize)) -> Option<Self> {
        let count = weights.len().checked_div(starts.len()).filter(|count| *count > 0)?;
        let samples = starts.iter().zip(weights.chunks(count));
        let samples: Vec<Sample> = samples
            .map(|(start, weights)| Sample::new(*start as usize * step + offset, weights, step))
            .collect::<Option<_>>()?;
        let inside = |sample: &Sample| sample.products().iter().all(|(byte, _)| *byte < width);
        samples.iter().all(inside).then_some(())?;
        let mut columns =
            Self { groups: Vec::new(), parts: Vec::new(), wide: false, count: starts.len(), whole: 0, width };
        if samples.chunks(GROUP).any(|group| columns.push::<1>(group).is_none()) {
            columns = Self { groups: Vec::new(), parts: Vec::new(), wide: true, ..columns };
            samples.chunks(GROUP).try_for_each(|group| columns.push::<2>(group))?;
        }
        let inside = |group: &Group| group.from.iter().all(|from| *from as usize + WINDOW <= width);
        columns.whole = columns.groups.iter().take(starts.len() / GROUP).take_while(|group| inside(group)).count();
        Some(columns)
    }

    /// Adds a group of up to four products a sample with one part, or of up to eight with two.
    fn push<const PARTS: usize>(&mut self, samples: &[Sample]) -> Option<()> {
        let (from, parts) = Part::of::<PARTS>(samples)?;
        let known = self.parts.as_chunks::<PARTS>().0.iter().position(|known| *known == parts);
        let part = known.map_or(self.parts.len(), |index| index * PARTS);
        if known.is_none() {
            self.parts.extend(parts);
        }
        self.groups.push(Group { from, part: part as u32 });
        Some(())
    }
}

impl Sample {
    fn new(first: usize, weights: &[u16], step: usize) -> Option<Self> {
        let mut sample = Self { products: [(0, 0); 2 * SLOTS], count: 0 };
        (weights.iter().sum::<u16>() == ONE).then_some(())?;
        for (tap, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0) {
            // a weight is a byte: all of it is two halves
            let shares = if *weight == ONE { [128, 128] } else { [*weight as u8, 0] };
            for share in shares.into_iter().filter(|share| *share > 0) {
                *sample.products.get_mut(sample.count)? = (first + tap * step, share);
                sample.count += 1;
            }
        }
        Some(sample)
    }

    fn products(&self) -> &[(usize, u8)] {
        &self.products[..self.count]
    }
}

impl Part {
    /// The parts of a group, each sample's products spread over them, and where as many windows begin.
    fn of<const PARTS: usize>(group: &[Sample]) -> Option<([u32; 2], [Self; PARTS])> {
        let per_window = GROUP / PARTS;
        let (mut from, mut parts) = ([0; 2], [Self { picks: [0; WINDOW], weights: [0; WINDOW] }; PARTS]);
        for (window, samples) in group.chunks(per_window).enumerate() {
            let begin = samples.iter().flat_map(Sample::products).map(|(byte, _)| *byte).min()?;
            from[window] = begin as u32;
            for (index, sample) in samples.iter().enumerate() {
                for (n, (byte, weight)) in sample.products().iter().enumerate() {
                    let part = parts.get_mut(n / SLOTS)?;
                    let place = (window * per_window + index) * SLOTS + n % SLOTS;
                    let near = Some(byte - begin).filter(|near| *near < WINDOW)?;
                    (part.picks[place], part.weights[place]) = ((window * WINDOW + near) as u8, *weight);
                }
            }
        }
        Some((from, parts))
    }
}

impl Avx512 {
    /// Whether this processor has it; costs nothing after the first time.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni");
        #[cfg(not(target_arch = "x86_64"))]
        let there = false;
        there.then_some(Self(()))
    }

    /// Makes a row of each channel of three components, whose samples are picked from `rows` as `columns` says.
    ///
    /// # Panics
    /// A row is not as long as its columns have it, or an output has not as many values as each component has samples.
    pub fn channels(self, channels: &[Affine; 3], columns: [&Columns; 3], rows: [&[u8]; 3], outs: [&mut [f32]; 3]) {
        let count = columns[0].count;
        assert!(rows.iter().zip(columns).all(|(row, columns)| row.len() == columns.width), "a row of another length");
        assert!(
            columns.iter().all(|columns| columns.count == count) && outs.iter().all(|out| out.len() == count),
            "components and channels of different lengths"
        );
        // SAFETY: the processor has the instructions, as `self` proves; the lengths were just checked.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            x86::channels(channels, columns, rows, outs);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (channels, outs);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Weights that add up to 256, one of which may be all of it.
    fn weights(taps: usize, random: &mut fastrand::Rng) -> Vec<u16> {
        let mut cuts: Vec<u16> = (1..taps).map(|_| random.u16(..=80) * 4).map(|cut| cut.min(ONE)).collect();
        cuts.extend([0, ONE]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Any channels, or such as video has, in either order; scaled and shifted or not.
    fn channels(random: &mut fastrand::Rng) -> [Affine; 3] {
        let [video, turned, unit] = [(); 3].map(|()| random.bool());
        let mut float = |span: f32| (random.f32() - 0.5) * span;
        let mut channels = [(); 3].map(|()| Affine {
            factors: [(); 3].map(|()| float(0.02)),
            offset: float(300.0),
            scale: if unit { 1.0 } else { float(4.0) },
            shift: if unit { -0.0 } else { float(300.0) },
        });
        if video {
            channels.iter_mut().for_each(|channel| channel.factors[0] = 1.0 / 256.0);
            (channels[0].factors[2], channels[2].factors[1]) = (0.0, 0.0);
        }
        if turned {
            channels.reverse();
        }
        channels
    }

    proptest! {
        #[test]
        fn rows_become_channels_exactly(
            taps in 1usize..=8,
            count in 1usize..80,
            step in 1usize..=3,
            stride in prop_oneof![0.1f64..6.0, Just(3.0), Just(6.0), Just(9.0)],
            steady in any::<bool>(),
            seed: u64,
        ) {
            let Some(avx512) = Avx512::detect() else {
                eprintln!("skipped: this processor has no AVX-512");
                return Ok(());
            };
            let mut random = fastrand::Rng::with_seed(seed);
            let starts: Vec<u32> = (0..count).map(|n| (n as f64 * stride / step as f64) as u32).collect();
            let width = (starts[count - 1] as usize + taps) * step;
            let components = [(); 3].map(|()| {
                let same = weights(taps, &mut random);
                let any = |_: &u32| if steady { same.clone() } else { weights(taps, &mut random) };
                let weights: Vec<u16> = starts.iter().flat_map(any).collect();
                let row: Vec<u8> = (0..width).map(|_| random.u8(..)).collect();
                (weights, row, random.usize(..step))
            });
            let columns = components.each_ref().map(|(weights, row, offset)| {
                Columns::new(&starts, weights, step, (row.len(), *offset))
            });
            prop_assume!(columns.iter().all(Option::is_some));
            let [Some(a), Some(b), Some(c)] = &columns else { return Ok(()) };
            let channels = channels(&mut random);
            let mut outs = [(); 3].map(|()| vec![0.0; count]);
            let rows = components.each_ref().map(|(_, row, _)| row.as_slice());
            avx512.channels(&channels, [a, b, c], rows, outs.each_mut().map(Vec::as_mut_slice));
            for (x, start) in starts.iter().enumerate() {
                let samples = components.each_ref().map(|(weights, row, offset)| {
                    let near = row[*start as usize * step + offset..].iter().step_by(step);
                    near.zip(&weights[x * taps..][..taps]).map(|(byte, weight)| u16::from(*byte) * weight).sum::<u16>()
                });
                for (channel, out) in channels.iter().zip(&outs) {
                    prop_assert_eq!(out[x].to_bits(), channel.of(samples).to_bits());
                }
            }
        }
    }

    #[test]
    fn what_cameras_need_is_picked_in_registers() {
        // 720p, 1080p, 1440p and 4K to 640 columns, chroma at half of it; NV12's chroma, two bytes apart
        for (len, step) in [(640, 1), (1280, 1), (960, 1), (1920, 1), (2560, 1), (3840, 1), (960, 2), (1920, 2)] {
            let ratio = len / 640;
            let taps = if len % 640 > 0 { 3 } else { ratio };
            let starts: Vec<u32> = (0..640).map(|n| n * len as u32 / 640).collect();
            let mut weights = vec![0; taps];
            (weights[0], weights[taps - 1]) = if taps == 1 { (ONE, ONE) } else { (100, 156) };
            let columns = Columns::new(&starts, &weights.repeat(640), step, (len * step + step, 0));
            assert!(columns.is_some(), "{len} columns, {step} bytes");
        }
    }

    #[test]
    fn what_is_spread_too_far_or_outside_is_refused() {
        let new = |starts: &[u32], weights: &[u16], width| Columns::new(starts, weights, 1, (width, 0)).is_some();
        assert!(new(&[0, 60], &[128; 4], 62) && !new(&[0, 60], &[128; 4], 61), "outside");
        assert!(!new(&[0, 100, 200], &[128; 6], 300), "spread");
        assert!(!new(&[0], &[32, 32, 32, 32, 32, 32, 32, 16, 16], 300), "too many");
        assert!(!new(&[0], &[100, 100], 300), "no whole");
        assert!(!new(&[], &[], 300), "nothing");
    }
}
