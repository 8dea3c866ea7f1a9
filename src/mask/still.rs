//! A still picture masked: found, judged and painted in one go.

use std::io::{Seek, Write};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat, ImageResult};

use super::{MaskedStill, Painter, Settings, Sighting, Who, still_regions};
use crate::detect::{Detection, View};
use crate::fault::Fault;

/// Quality of a JPEG where nobody asks for another, 1 to 100.
pub const JPEG_QUALITY: u8 = 92;

/// What masks the faces of stills.
pub struct StillMask<'a> {
    /// For whom the pictures are counted.
    pub counted_as: &'a str,
    /// How they are masked.
    pub settings: &'a Settings,
    /// The detector's least score of a face by itself: what is less sure is masked, too, but is not counted.
    pub score: f32,
}

impl StillMask<'_> {
    /// The picture with all that was `found` in it masked, but for the faces at these places, and how many faces it has.
    ///
    /// # Errors
    /// The picture of the kind `image` cannot be read, or this is not a picture with colours.
    pub fn apply(&self, view: View<'_>, found: &[Detection], exempt: &[usize]) -> Result<(MaskedStill, usize), Fault> {
        let View::Rgb { size, bytes } = view else {
            return Err(Fault::internal("a still picture without colours"));
        };
        let mut sightings = Sighting::all(found, &[], self.score, &[]);
        for &face in exempt {
            (sightings[face].exempt, sightings[face].verified) = (true, true);
        }
        let faces = sightings.iter().filter(|sighting| sighting.firm).count();
        let everybody = self.settings.who != Who::Nobody;
        let regions = if everybody { still_regions(&sightings, self.settings.margins) } else { Vec::new() };
        let masked = Painter::new(self.counted_as, self.settings)?.paint_still(size, bytes, &regions);
        Ok((masked.map_err(|e| Fault::internal(e.to_string()))?, faces))
    }
}

impl MaskedStill {
    /// The picture as a file, written anew from its pixels alone, so that no metadata goes along. `quality` is that of a
    /// JPEG; other formats lose nothing.
    ///
    /// # Errors
    /// It cannot be written, or the format cannot hold it.
    pub fn encode(&self, format: ImageFormat, quality: u8, out: &mut (impl Write + Seek)) -> ImageResult<()> {
        let (size, colours) = (self.size(), ExtendedColorType::Rgb8);
        match format {
            ImageFormat::Jpeg => {
                JpegEncoder::new_with_quality(out, quality).encode(self.rgb(), size.width, size.height, colours)
            }
            _ => image::write_buffer_with_format(out, self.rgb(), size.width, size.height, colours, format),
        }
    }
}
