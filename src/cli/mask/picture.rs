//! One still picture. It is written anew from its pixels alone, so that no metadata goes along.

use std::io::BufWriter;
use std::path::Path;
use std::time::Instant;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat};

use super::engine::{Engine, PATIENCE};
use super::{Done, Unfinished};
use crate::detect::still::Still;
use crate::detect::{Detection, View};
use crate::fault::Fault;
use crate::mask::{Exemptions, Painter, Settings, Sighting, Who, still_regions};

/// Quality of a JPEG, 1 to 100.
const QUALITY: u8 = 92;

pub(super) fn mask(engine: &Engine, settings: &Settings, still: &Still, output: &Path) -> Result<Done, Fault> {
    let format = ImageFormat::from_path(output).map_err(|_| {
        Fault::usage(format!("{}: not the name of a picture", output.display()))
            .remedy("end it in .jpg, .png, .webp or .bmp")
    })?;
    let View::Rgb { size, bytes } = still.view() else {
        return Err(Fault::internal("a still picture without colours"));
    };
    let mut detector = engine.detector()?;
    let found = detector.detect(still.view(), Instant::now() + PATIENCE).map_err(|e| Fault::internal(e.to_string()))?;
    let mut sightings = Sighting::all(found, &[], engine.settings().score, &[]);
    for face in exempt(engine, settings, still.view(), found)? {
        (sightings[face].exempt, sightings[face].verified) = (true, true);
    }
    let faces = sightings.iter().filter(|sighting| sighting.firm).count() as u64;
    let regions = if settings.who == Who::Nobody { Vec::new() } else { still_regions(&sightings, settings.margins) };
    let masked = Painter::new("file", settings)?
        .paint_still(size, bytes, &regions)
        .map_err(|e| Fault::internal(e.to_string()))?;
    let unfinished = Unfinished::new(output);
    let mut file = BufWriter::new(unfinished.create()?);
    let (width, height) = (size.width, size.height);
    let written = match format {
        ImageFormat::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
            encoder.encode(masked.rgb(), width, height, ExtendedColorType::Rgb8)
        }
        _ => image::write_buffer_with_format(&mut file, masked.rgb(), width, height, ExtendedColorType::Rgb8, format),
    };
    written.map_err(|e| unfinished.fault(&e))?;
    file.into_inner().map_err(|e| unfinished.fault(&e))?;
    unfinished.finish()?;
    Ok(Done { frames: 1, faces, covered: 0 })
}

/// Places among the `faces` of those that go unmasked.
fn exempt(engine: &Engine, settings: &Settings, view: View<'_>, faces: &[Detection]) -> Result<Vec<usize>, Fault> {
    let Some(mut onlooker) = engine.onlooker()? else { return Ok(Vec::new()) };
    let verdicts = onlooker.verdicts(view, faces, Instant::now() + PATIENCE);
    let verdicts = verdicts.map_err(|e| Fault::internal(e.to_string()))?;
    Ok(Exemptions::new(settings.who, &settings.exempt).judge_still(faces, &verdicts))
}
