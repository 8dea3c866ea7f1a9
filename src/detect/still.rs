//! A picture file, decoded within limits.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::input::View;
use crate::fault::Fault;
use crate::geometry::Size;

/// Pictures with more pixels are refused before they are decoded.
const MOST_PIXELS: u64 = 100_000_000;

/// Memory that decoding one picture may take, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// Scans of a JPEG: each takes a decoder through the whole picture, however short it is. Programs write ten or so.
const MOST_SCANS: usize = 100;

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

fn decode<R: BufRead + Seek>(reader: ImageReader<R>, most_pixels: u64) -> Result<Still, Unreadable> {
    let Some(format) = reader.format() else { return Err(Unreadable::NoPicture) };
    let mut bytes = reader.into_inner();
    if format == ImageFormat::Jpeg {
        match scans(&mut bytes).map_err(|e| Unreadable::Broken(e.to_string()))? {
            // its decoder makes the rest grey and says nothing; those of the other formats say so
            None => {
                return Err(Unreadable::Broken("the JPEG is cut off before its end; copy or record it again".into()));
            }
            Some(count) if count > MOST_SCANS => {
                return Err(Unreadable::TooLarge(format!("a JPEG of {count} scans, the limit is {MOST_SCANS}")));
            }
            Some(_) => {}
        }
    }
    bytes.rewind().map_err(|e| Unreadable::Broken(e.to_string()))?;
    let mut reader = ImageReader::with_format(bytes, format);
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

/// In how many scans a JPEG is coded; `None` where it lacks the marker of its end (ITU-T T.81, B.1): not one in a preview
/// inside it, and whatever follows it.
fn scans(jpeg: &mut impl BufRead) -> io::Result<Option<usize>> {
    const SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    let mut count = 0;
    loop {
        // coded pictures hold no other markers than those of restarts, and a stuffed zero after each 0xff
        if jpeg.skip_until(0xff)? == 0 {
            return Ok(None);
        }
        let marker = match next(jpeg)? {
            Some(0xff) => skip_fill(jpeg)?,
            other => other,
        };
        match marker {
            None => return Ok(None),
            Some(END) => return Ok(Some(count)),
            // a stuffed zero, 0x01, restarts and the begin stand alone
            Some(0..=0x01 | 0xd0..=0xd8) => {}
            Some(segment) => {
                count += usize::from(segment == SCAN);
                let (Some(high), Some(low)) = (next(jpeg)?, next(jpeg)?) else { return Ok(None) };
                let length = u64::from(u16::from_be_bytes([high, low])).saturating_sub(2);
                io::copy(&mut jpeg.take(length), &mut io::sink())?;
            }
        }
    }
}

fn next(bytes: &mut impl BufRead) -> io::Result<Option<u8>> {
    let first = bytes.fill_buf()?.first().copied();
    bytes.consume(usize::from(first.is_some()));
    Ok(first)
}

/// The marker behind fill bytes.
fn skip_fill(bytes: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        match next(bytes)? {
            Some(0xff) => {}
            other => return Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG with a preview (and so another end) in its first segment.
    fn jpeg() -> Vec<u8> {
        let mut picture = Vec::new();
        let noise: Vec<u8> = (0..64 * 64 * 3).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut picture, 95);
        encoder.encode(&noise, 64, 64, image::ExtendedColorType::Rgb8).unwrap();
        let preview = [0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 0, 0];
        picture.splice(2..2, preview);
        picture
    }

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn a_jpeg_that_is_cut_off_is_refused_wherever_it_ends() {
        let whole = jpeg();
        assert!(open(written(&whole).path()).unwrap().is_some());
        for end in [13, 200, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
            let fault = open(written(&whole[..end]).path()).err().unwrap();
            assert!(fault.what.contains("cut off"), "{end} of {}: {fault}", whole.len());
        }
    }

    #[test]
    fn a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() {
        let mut many = jpeg();
        let end = many.len() - 2;
        let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0];
        many.splice(end..end, scan.repeat(MOST_SCANS));
        assert!(matches!(read(&many, MOST_PIXELS), Err(Unreadable::TooLarge(what)) if what.contains("101 scans")));
    }

    #[test]
    fn what_follows_a_jpegs_end_does_not_matter() {
        let mut trailed = jpeg();
        trailed.extend([0xff, 0xe1, 0, 200, 1, 2, 3]);
        assert!(open(written(&trailed).path()).unwrap().is_some());
    }
}
