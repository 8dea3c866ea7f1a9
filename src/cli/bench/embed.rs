//! The embedder, from a 1080p frame's planes, against the bare session.

use std::time::Instant;

use super::Bench;
use super::figure::{Aim, Figure, median};
use super::models::{PATIENCE, Screen, failed, start, time_bare};
use crate::detect::{Landmarks, View};
use crate::fault::Fault;
use crate::frame::PixelFormat;
use crate::geometry::Point;
use crate::infer::{Runtime, store};
use crate::recognise::Embedder;

/// Figures, and the distance between the eyes in pixels of the frame: a face some steps away, and one that fills half of
/// the picture's height.
const FACES: [(&str, f32); 2] = [("embed", 90.0), ("embed-large", 240.0)];

/// Aligned, converted and embedded, one face a call.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let config = bench.models.config();
    let runtime = Runtime::load(config)?;
    let manifest = match &config.embedder {
        Some(name) => runtime.manifest(name)?,
        None => store::best_embedder(&config.folder())?.ok_or_else(|| {
            Fault::unavailable(format!("no embedder in {}", config.folder().display())).remedy("visor models pull")
        })?,
    };
    let model = runtime.open(&manifest, 1, manifest.input.shape(1, manifest.size(None)?))?;
    let (mut embedder, mut prepared) = (Embedder::new(model.clone())?, Embedder::new(model.clone())?);
    let screen = Screen::new(PixelFormat::I420);
    let faces = FACES.map(|(_, eyes)| [face(eyes)]);
    let input = prepared.fill(View::Frame(screen.picture()?), &faces[0]);
    let (mut times, mut bare) = ([Vec::new(), Vec::new()], Vec::new());
    let began = Instant::now();
    while began.elapsed() < bench.time / 2 || bare.len() < 5 {
        let watch = start(&model);
        time_bare(&model, input)?;
        bare.push(watch.millis());
        for (face, times) in faces.iter().zip(&mut times) {
            let watch = start(&model);
            embedder.embed(screen.picture()?, face, Instant::now() + PATIENCE).map_err(failed)?;
            times.push(watch.millis());
        }
    }
    let warm = |times: &mut Vec<f64>| median(times.get_mut(2..).unwrap_or_default());
    let baseline = Some(warm(&mut bare));
    let figure = |((name, eyes), times): ((_, f32), &mut Vec<f64>)| Figure {
        name,
        value: warm(times),
        unit: "ms",
        baseline,
        aim: Aim::Ratio(0.0..=1.10),
        what: format!(
            "a face of 1080p planes, eyes {eyes} px apart, to its embedding; bare: a session of {}",
            manifest.name
        ),
    };
    Ok(FACES.into_iter().zip(&mut times).map(figure).collect())
}

/// A face in the middle of the frame, its head a little tilted.
fn face(eyes: f32) -> Landmarks {
    [(-0.5, -0.5), (0.5, -0.4), (0.02, 0.05), (-0.45, 0.5), (0.38, 0.58)]
        .map(|(x, y)| Point::new(960.0 + x * eyes, 540.0 + y * eyes))
}
