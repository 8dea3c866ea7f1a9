//! One still picture. It is written anew from its pixels alone, so that no metadata goes along.

use std::io::BufWriter;
use std::path::Path;
use std::time::Instant;

use image::ImageFormat;

use super::engine::{Engine, PATIENCE};
use super::{Done, Unfinished};
use crate::detect::still::Still;
use crate::detect::{Detection, View};
use crate::fault::Fault;
use crate::mask::{Exemptions, JPEG_QUALITY, Settings, StillMask};

pub(super) fn mask(engine: &Engine, settings: &Settings, still: &Still, output: &Path) -> Result<Done, Fault> {
    let format = ImageFormat::from_path(output).map_err(|_| {
        Fault::usage(format!("{}: not the name of a picture", output.display()))
            .remedy("end it in .jpg, .png, .webp or .bmp")
    })?;
    let mut detector = engine.detector()?;
    let found = detector.detect(still.view(), Instant::now() + PATIENCE).map_err(|e| Fault::internal(e.to_string()))?;
    let exempt = exempt(engine, settings, still.view(), found)?;
    let mask = StillMask { counted_as: "file", settings, score: engine.settings().score };
    let (masked, faces) = mask.apply(still.view(), found, &exempt)?;
    let unfinished = Unfinished::new(output);
    let mut file = BufWriter::new(unfinished.create()?);
    masked.encode(format, JPEG_QUALITY, &mut file).map_err(|e| unfinished.fault(&e))?;
    file.into_inner().map_err(|e| unfinished.fault(&e))?;
    unfinished.finish()?;
    Ok(Done { frames: 1, faces: faces as u64, covered: 0 })
}

/// Places among the `faces` of those that go unmasked.
fn exempt(engine: &Engine, settings: &Settings, view: View<'_>, faces: &[Detection]) -> Result<Vec<usize>, Fault> {
    let Some(mut onlooker) = engine.onlooker()? else { return Ok(Vec::new()) };
    let verdicts = onlooker.verdicts(view, faces, Instant::now() + PATIENCE);
    let verdicts = verdicts.map_err(|e| Fault::internal(e.to_string()))?;
    Ok(Exemptions::new(settings.who, &settings.exempt).judge_still(faces, &verdicts))
}
