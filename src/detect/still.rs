//! A picture file, decoded within limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
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

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing that is known as a picture.
    NoPicture,
    /// More pixels than are decoded, or more memory.
    TooLarge(String),
    /// A picture that is broken, or of a kind that cannot be decoded.
    Broken(String),
}

/// Reads a JPEG, PNG, WebP, BMP, PNM or GIF file (of an animation the first frame), told by its content, not its name. EXIF
/// orientation is applied; transparency is dropped. `None`: not a picture at all.
pub fn open(path: &Path) -> Result<Option<Still>, Fault> {
    let fault = |what: &dyn std::fmt::Display| Fault::input(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|e| fault(&e))?;
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(|e| fault(&e))?;
    match decode(reader, MOST_PIXELS) {
        Ok(still) => Ok(Some(still)),
        Err(Unreadable::NoPicture) => Ok(None),
        Err(Unreadable::TooLarge(what) | Unreadable::Broken(what)) => Err(fault(&what.trim_end())),
    }
}

/// [`open`] for a file's bytes, with a limit of its own.
///
/// # Errors
/// There is no picture of at most `most_pixels` in `bytes`.
pub fn read(bytes: &[u8], most_pixels: u64) -> Result<Still, Unreadable> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    decode(reader.map_err(|e| Unreadable::Broken(e.to_string()))?, most_pixels)
}

fn decode<R: BufRead + Seek>(mut reader: ImageReader<R>, most_pixels: u64) -> Result<Still, Unreadable> {
    if reader.format().is_none() {
        return Err(Unreadable::NoPicture);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let broken = |e: image::ImageError| match e {
        image::ImageError::Limits(_) => Unreadable::TooLarge(e.to_string()),
        _ => Unreadable::Broken(e.to_string()),
    };
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let size = Size::new(width, height);
    if size.pixels() > most_pixels {
        let most = most_pixels / 1_000_000;
        return Err(Unreadable::TooLarge(format!("{width}x{height} pixels are too many, the limit is {most} million")));
    }
    if size.pixels() == 0 {
        return Err(Unreadable::Broken("the picture is empty".into()));
    }
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(Still(picture.into_rgb8()))
}
