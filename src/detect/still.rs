//! A picture file as a frame.
//!
//! The picture becomes full-range BT.601 4:2:0, as JPEG itself stores most photographs: stills then take the very
//! path that video takes.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use crate::fault::Fault;
use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, Picture, PixelFormat};
use crate::geometry::Size;

/// Pictures with more pixels are refused before they are decoded.
const MOST_PIXELS: u64 = 100_000_000;

/// Memory that decoding one picture may take, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// A decoded picture, upright.
pub struct Still {
    layout: Layout,
    bytes: Vec<u8>,
}

impl Still {
    /// Size, format and planes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The layout and the planes.
    pub fn into_parts(self) -> (Layout, Vec<u8>) {
        (self.layout, self.bytes)
    }

    /// The picture, or a fault of this program's.
    pub fn picture(&self) -> Result<Picture<'_>, Fault> {
        Picture::new(&self.layout, &self.bytes).ok_or_else(|| Fault::internal("a still picture's layout is wrong"))
    }
}

/// Reads a JPEG, PNG, WebP, BMP or GIF file (of an animation the first frame), told by its content, not its name. EXIF
/// orientation is applied; transparency is dropped.
pub fn open(path: &Path) -> Result<Still, Fault> {
    let fault = |what: &dyn std::fmt::Display| Fault::input(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|e| fault(&e))?;
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|e| fault(&e))?;
    if reader.format().is_none() {
        return Err(fault(&"not a picture").remedy("pictures are JPEG, PNG, WebP, BMP or GIF"));
    }
    decode(reader).map_err(|e| fault(&e))
}

fn decode(mut reader: ImageReader<BufReader<File>>) -> Result<Still, String> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    if size.pixels() > MOST_PIXELS {
        return Err(format!("{width}x{height} pixels are too many, the limit is {} million", MOST_PIXELS / 1_000_000));
    }
    if size.pixels() == 0 {
        return Err("the picture is empty".into());
    }
    let orientation = decoder.orientation().map_err(|e| e.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    picture.apply_orientation(orientation);
    Ok(from_rgb(&picture.into_rgb8()))
}

/// Splits RGB into full-range BT.601 planes; each chroma sample is the mean of its two by two pixels.
fn from_rgb(rgb: &RgbImage) -> Still {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let (width, height) = rgb.dimensions();
    let layout = Layout::packed(Size::new(width, height), PixelFormat::I420, colour);
    let mut bytes = vec![0; layout.end().unwrap_or(0)];
    let (width, pixels) = (width as usize, width as usize * height as usize);
    let (luma, chroma) = bytes.split_at_mut(pixels);
    let (blue, red) = chroma.split_at_mut(chroma.len() / 2);
    let half = width.div_ceil(2);
    for (i, pair) in rgb.as_raw().chunks(2 * width * 3).enumerate() {
        let (top, bottom) = pair.split_at(width * 3);
        let bottom = if bottom.is_empty() { top } else { bottom };
        let lines = &mut luma[2 * i * width..pixels.min((2 * i + 2) * width)];
        for (line, source) in lines.chunks_mut(width).zip([top, bottom]) {
            luma_row(source, line);
        }
        chroma_row(top, bottom, &mut blue[i * half..][..half], &mut red[i * half..][..half]);
    }
    Still { layout, bytes }
}

fn luma_row(rgb: &[u8], out: &mut [u8]) {
    for (out, [r, g, b]) in out.iter_mut().zip(rgb.as_chunks::<3>().0) {
        let sum = 19_595 * u32::from(*r) + 38_470 * u32::from(*g) + 7_471 * u32::from(*b);
        *out = ((sum + 32_768) >> 16) as u8;
    }
}

fn chroma_row(top: &[u8], bottom: &[u8], blue: &mut [u8], red: &mut [u8]) {
    let pixel = |row: &[u8], i: usize| [row[3 * i], row[3 * i + 1], row[3 * i + 2]].map(f32::from);
    let last = top.len() / 3 - 1;
    for (i, (blue, red)) in blue.iter_mut().zip(red).enumerate() {
        let (left, right) = (2 * i, (2 * i + 1).min(last));
        let four = [pixel(top, left), pixel(top, right), pixel(bottom, left), pixel(bottom, right)];
        let [r, g, b] = std::array::from_fn(|c| four.iter().map(|p| p[c]).sum::<f32>() / 4.0);
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        *blue = ((b - y) / 1.772 + 128.0).round() as u8;
        *red = ((r - y) / 1.402 + 128.0).round() as u8;
    }
}
