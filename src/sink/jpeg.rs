//! Small pictures as JPEG (ITU-T T.81, baseline, 4:2:0), straight from planes of luma and halved chroma.
//!
//! The image crate's encoder takes RGB and keeps chroma whole: of planes that is two conversions and twice the blocks. A wall of
//! cameras makes some eighty pictures a second, so that this matters; best shots and whole pictures stay with the crate.

use crate::geometry::Size;

/// Three packed planes; of the second and third half the rows and columns, rounded up. Full range, BT.601, as JFIF has it.
pub(super) type Planes = [Vec<u8>; 3];

/// Annex K's tables, in rows.
const LUMA: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99,
];
/// Where the coefficient that comes next is.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// How many codes of each length there are, 1 to 16 bits, and their symbols (Annex K.3).
struct Huffman {
    counts: [u8; 16],
    symbols: &'static [u8],
}

const DC_LUMA: Huffman = Huffman {
    counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    symbols: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
const DC_CHROMA: Huffman = Huffman {
    counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    symbols: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};
const AC_LUMA: Huffman = Huffman {
    counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
    symbols: &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
        0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
        0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
        0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
        0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
        0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
        0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
        0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
        0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};
const AC_CHROMA: Huffman = Huffman {
    counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
    symbols: &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
        0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
        0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
        0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
        0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
        0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
        0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
        0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
        0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
};

/// Code and length of each symbol.
type Codes = [(u16, u8); 256];

impl Huffman {
    fn codes(&self) -> Codes {
        let (mut codes, mut code, mut next) = ([(0, 0); 256], 0_u16, self.symbols.iter());
        for (length, count) in (1..=16).zip(self.counts) {
            for symbol in next.by_ref().take(usize::from(count)) {
                codes[usize::from(*symbol)] = (code, length);
                code = code.wrapping_add(1);
            }
            code <<= 1;
        }
        codes
    }
}

/// A kind of plane: how coarse its coefficients are, and their codes.
struct Component {
    steps: [u8; 64],
    /// Of the transform as it comes out of [`transform`]: what a coefficient is multiplied by.
    scales: [f32; 64],
    dc: Codes,
    ac: Codes,
}

impl Component {
    fn new(table: &[u8; 64], quality: u8, dc: &Huffman, ac: &Huffman) -> Self {
        let percent = match u32::from(quality.clamp(1, 100)) {
            quality @ ..50 => 5000 / quality,
            quality => 200 - 2 * quality,
        };
        let steps = table.map(|step| ((u32::from(step) * percent + 50) / 100).clamp(1, 255) as u8);
        // what is left out of the transform's rows and columns (Arai, Agui, Nakajima)
        let row = [1.0, 1.387_039_9, 1.306_563, 1.175_875_6, 1.0, 0.785_694_96, 0.541_196_1, 0.275_899_38_f32];
        let scale = |i: usize| 1.0 / (f32::from(steps[i]) * row[i / 8] * row[i % 8] * 8.0);
        Self { steps, scales: std::array::from_fn(scale), dc: dc.codes(), ac: ac.codes() }
    }
}

/// A JPEG of `size` in this quality, 1 to 100.
pub(super) fn encode(size: Size, planes: &Planes, quality: u8) -> Vec<u8> {
    let luma = Component::new(&LUMA, quality, &DC_LUMA, &AC_LUMA);
    let chroma = Component::new(&CHROMA, quality, &DC_CHROMA, &AC_CHROMA);
    let (width, height) = (size.width as usize, size.height as usize);
    let halved = (width.div_ceil(2), height.div_ceil(2));
    let mut bits = Bits { out: Vec::with_capacity(width * height / 4 + 1024), pending: 0, count: 0 };
    head(&mut bits.out, size, &luma, &chroma);
    let mut last = [0; 3];
    for y in (0..height).step_by(16) {
        for x in (0..width).step_by(16) {
            for (dx, dy) in [(0, 0), (8, 0), (0, 8), (8, 8)] {
                let block = block(&planes[0], (width, height), (x + dx, y + dy));
                last[0] = bits.block(block, &luma, last[0]);
            }
            for (plane, last) in planes[1..].iter().zip(&mut last[1..]) {
                *last = bits.block(block(plane, halved, (x / 2, y / 2)), &chroma, *last);
            }
        }
    }
    bits.finish()
}

fn head(out: &mut Vec<u8>, size: Size, luma: &Component, chroma: &Component) {
    let mut segment = |marker: u8, parts: &[&[u8]]| {
        let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>() as u16;
        out.extend([0xff, marker]);
        out.extend(length.to_be_bytes());
        parts.iter().for_each(|part| out.extend_from_slice(part));
    };
    let zigzag = |steps: &[u8; 64]| ZIGZAG.map(|at| steps[usize::from(at)]);
    let [w, h] = [size.width as u16, size.height as u16].map(u16::to_be_bytes);
    segment(0xe0, &[b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"]);
    segment(0xdb, &[&[0], &zigzag(&luma.steps), &[1], &zigzag(&chroma.steps)]);
    segment(0xc0, &[&[8], &h, &w, &[3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]]);
    for (class, table) in [(0x00, &DC_LUMA), (0x10, &AC_LUMA), (0x01, &DC_CHROMA), (0x11, &AC_CHROMA)] {
        segment(0xc4, &[&[class], &table.counts, table.symbols]);
    }
    segment(0xda, &[&[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]]);
    out.splice(0..0, [0xff, 0xd8]);
}

/// Eight by eight samples from (x, y) on, around zero; beyond the edge its last ones are repeated.
fn block(plane: &[u8], (width, height): (usize, usize), (x, y): (usize, usize)) -> [f32; 64] {
    let mut block = [0.0; 64];
    for (row, out) in block.chunks_exact_mut(8).enumerate() {
        let line = &plane[(y + row).min(height - 1) * width..][..width];
        match line.get(x..x + 8) {
            Some(samples) => out.iter_mut().zip(samples).for_each(|(out, sample)| *out = f32::from(*sample) - 128.0),
            None => out
                .iter_mut()
                .enumerate()
                .for_each(|(column, out)| *out = f32::from(line[(x + column).min(width - 1)]) - 128.0),
        }
    }
    block
}

/// The discrete cosine transform of eight values in place, but for factors that [`Component::scales`] holds (Arai, Agui, Nakajima 1988).
#[inline(always)]
fn transform(v: &mut [f32; 64], first: usize, step: usize) {
    let at = |i: usize| first + i * step;
    let pair = |v: &[f32; 64], i: usize| (v[at(i)] + v[at(7 - i)], v[at(i)] - v[at(7 - i)]);
    let ((s0, d0), (s1, d1), (s2, d2), (s3, d3)) = (pair(v, 0), pair(v, 1), pair(v, 2), pair(v, 3));
    let (e0, e3, e1, e2) = (s0 + s3, s0 - s3, s1 + s2, s1 - s2);
    v[at(0)] = e0 + e1;
    v[at(4)] = e0 - e1;
    let z = (e2 + e3) * std::f32::consts::FRAC_1_SQRT_2;
    v[at(2)] = e3 + z;
    v[at(6)] = e3 - z;
    let (o0, o1, o2) = (d3 + d2, d2 + d1, d1 + d0);
    let z5 = (o0 - o2) * 0.382_683_43;
    let (z2, z4) = (0.541_196_1 * o0 + z5, 1.306_563 * o2 + z5);
    let z3 = o1 * std::f32::consts::FRAC_1_SQRT_2;
    let (z11, z13) = (d0 + z3, d0 - z3);
    v[at(5)] = z13 + z2;
    v[at(3)] = z13 - z2;
    v[at(1)] = z11 + z4;
    v[at(7)] = z11 - z4;
}

/// Bits on their way out.
struct Bits {
    out: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, (code, length): (u16, u8)) {
        self.pending = self.pending << length | u64::from(code);
        self.count += u32::from(length);
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.pending >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xff {
                self.out.push(0);
            }
        }
    }

    /// Code of a value's size with its value behind.
    fn value(&mut self, codes: &Codes, run: u8, value: i32) {
        let length = (32 - value.unsigned_abs().leading_zeros()) as u8;
        self.put(codes[usize::from(run << 4 | length)]);
        let bits = if value < 0 { value - 1 } else { value };
        self.put(((bits as u16) & ((1 << length) - 1), length));
    }

    /// Writes a block; `last` is the mean of the one before, and what is returned that of this one.
    fn block(&mut self, mut block: [f32; 64], component: &Component, last: i32) -> i32 {
        (0..8).for_each(|row| transform(&mut block, row * 8, 1));
        (0..8).for_each(|column| transform(&mut block, column, 8));
        let coefficients: [i32; 64] =
            std::array::from_fn(|i| (block[i] * component.scales[i]).round_ties_even() as i32);
        self.value(&component.dc, 0, coefficients[0] - last);
        let mut run = 0;
        for at in &ZIGZAG[1..] {
            let value = coefficients[usize::from(*at)].clamp(-1023, 1023);
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                self.put(component.ac[0xf0]);
                run -= 16;
            }
            self.value(&component.ac, run, value);
            run = 0;
        }
        if run > 0 {
            self.put(component.ac[0]);
        }
        coefficients[0]
    }

    fn finish(mut self) -> Vec<u8> {
        self.put((0x7f, 7));
        self.out.extend([0xff, 0xd9]);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with soft and hard edges and some colour.
    fn planes(size: Size) -> Planes {
        let (w, h) = (size.width as usize, size.height as usize);
        let luma = (0..w * h).map(|i| {
            let (x, y) = (i % w, i / w);
            if (x / 20 + y / 20) % 3 == 0 { 200 } else { (60 + (x + y) % 120) as u8 }
        });
        let chroma = |mean: u8| {
            let (w, h) = (w.div_ceil(2), h.div_ceil(2));
            (0..w * h).map(move |i| mean + (i % w / 16) as u8).collect()
        };
        [luma.collect(), chroma(115), chroma(125)]
    }

    /// Mean squared error of what `image` decodes from the JPEG, against the luma that went in.
    fn error(size: Size, quality: u8) -> f64 {
        let planes = planes(size);
        let jpeg = encode(size, &planes, quality);
        let decoded = image::load_from_memory(&jpeg).unwrap().into_rgb8();
        assert_eq!(decoded.dimensions(), (size.width, size.height));
        let luma = |p: &image::Rgb<u8>| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
        let squares = decoded.pixels().zip(&planes[0]).map(|(p, y)| (luma(p) - f64::from(*y)).powi(2));
        squares.sum::<f64>() / f64::from(size.width * size.height)
    }

    #[test]
    fn what_is_decoded_is_what_went_in_whatever_its_size() {
        for (w, h) in [(64, 48), (480, 270), (1, 1), (17, 9), (33, 50)] {
            let error = error(Size::new(w, h), 90);
            assert!(error < 60.0, "{w}x{h}: {error}");
        }
        assert!(error(Size::new(480, 270), 95) < error(Size::new(480, 270), 50));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let size = Size::new(32, 32);
        let luma: Vec<u8> = (0..32 * 32).map(|i| if (i ^ (i / 32)) & 1 == 0 { 0 } else { 255 }).collect();
        for quality in [1, 50, 100] {
            let jpeg = encode(size, &[luma.clone(), vec![0; 256], vec![255; 256]], quality);
            assert!(image::load_from_memory(&jpeg).is_ok());
        }
    }
}
