//! A picture file, decoded within limits.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use super::input::View;
use crate::fault::Fault;
use crate::geometry::Size;

/// Pictures with more pixels are refused before they are decoded.
const MOST_PIXELS: u64 = 100_000_000;

/// Memory that decoding one picture may take, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// A decoded picture, upright.
pub struct Still(RgbImage);

impl Still {
    /// The picture, for a detector.
    pub fn view(&self) -> View<'_> {
        let (width, height) = self.0.dimensions();
        View::Rgb { size: Size::new(width, height), bytes: self.0.as_raw() }
    }
}

/// Reads a JPEG, PNG, WebP, BMP or GIF file (of an animation the first frame), told by its content, not its name. EXIF
/// orientation is applied; transparency is dropped. `None`: not a picture at all.
pub fn open(path: &Path) -> Result<Option<Still>, Fault> {
    let fault = |what: &dyn std::fmt::Display| Fault::input(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|e| fault(&e))?;
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|e| fault(&e))?;
    if reader.format().is_none() {
        return Ok(None);
    }
    decode(reader).map(Some).map_err(|e| fault(&e.trim_end()))
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
    Ok(Still(picture.into_rgb8()))
}
