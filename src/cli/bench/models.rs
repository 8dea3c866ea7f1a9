//! The detector's input, and the detector against the bare session.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Bench;
use super::figure::{Aim, Figure, Watch, median};
use crate::cli::settings;
use crate::detect::{self, Detector, Sampler};
use crate::fault::Fault;
use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, Picture, PixelFormat};
use crate::geometry::Size;
use crate::infer::store;
use crate::infer::{Config, InferError, Input, InputSize, Model, Outputs, Provider, Runtime};

/// How long one call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The detector, loaded when it is first needed.
pub(super) struct Models {
    config: Config,
    model: Option<Arc<Model>>,
}

impl Models {
    /// The detector of a configuration; without one the best that is here.
    pub(super) fn new(file: Option<&Path>) -> Result<Self, Fault> {
        Ok(Self { config: settings::models(file)?, model: None })
    }

    /// The models' settings.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The detector, with as many sessions as the daemon has.
    pub(super) fn detector(&mut self) -> Result<Arc<Model>, Fault> {
        if let Some(model) = &self.model {
            return Ok(Arc::clone(model));
        }
        let runtime = Runtime::load(&self.config)?;
        // a folder says where models are, not which
        let unnamed = Config { folder: self.config.folder.clone(), ..Config::default() };
        if self.config == unnamed {
            let (manifest, size) = store::best_detector(&self.config.folder())?;
            (self.config.detector, self.config.input) = (manifest.name, Some(InputSize(size)));
        }
        let manifest = runtime.manifest(&self.config.detector)?;
        let size = manifest.size(self.config.input.map(|input| input.0))?;
        let model = runtime.open(&manifest, self.config.sessions(), manifest.input.shape(1, size))?;
        self.model = Some(Arc::clone(&model));
        Ok(model)
    }
}

/// The model's own thresholds.
pub(super) fn thresholds(model: &Model) -> Result<detect::Settings, Fault> {
    detect::Settings::new(&detect::Config::default(), model.manifest())
}

/// The layout of a 1080p camera's pictures.
pub(super) fn full_hd(pixel: PixelFormat) -> Layout {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    Layout::packed(Size::new(1920, 1080), pixel, colour)
}

/// A 1080p picture without faces.
pub(super) struct Screen {
    layout: Layout,
    bytes: Vec<u8>,
}

impl Screen {
    pub(super) fn new(pixel: PixelFormat) -> Self {
        let layout = full_hd(pixel);
        let bytes = (0..layout.end().unwrap_or(0)).map(|n| (n / 7 % 200) as u8 + 16).collect();
        Self { layout, bytes }
    }

    /// The next picture: written just now and lying in caches that processors share, as one that comes out of a decoder does.
    fn next(&mut self) {
        self.bytes.iter_mut().for_each(|byte| *byte ^= 1);
    }

    pub(super) fn picture(&self) -> Result<Picture<'_>, Fault> {
        Picture::new(&self.layout, &self.bytes).ok_or_else(|| Fault::internal("a picture shorter than its layout"))
    }
}

/// From the planes to the model's input.
pub(super) fn input(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let model = bench.models.detector()?;
    let mut screens = [PixelFormat::I420, PixelFormat::Nv12].map(Screen::new);
    let mut samplers = [(); 2].map(|()| Sampler::new(&model.manifest().input, model.input_shape()));
    let mut times = [Vec::new(), Vec::new()];
    let began = Instant::now();
    while began.elapsed() < bench.time / 4 {
        for ((screen, sampler), times) in screens.iter_mut().zip(&mut samplers).zip(&mut times) {
            screen.next();
            let picture = screen.picture()?;
            let watch = Watch::of_this_thread();
            sampler.fill(picture);
            times.push(watch.millis());
        }
    }
    let Size { width, height } = samplers[0].size();
    let figure = |(name, times): (_, &mut Vec<f64>)| Figure {
        name,
        value: median(times),
        unit: "ms",
        baseline: None,
        aim: Aim::Value(0.0..=0.7),
        what: format!("1080p planes to the model's {width}x{height}"),
    };
    Ok(["input-i420", "input-nv12"].into_iter().zip(&mut times).map(figure).collect())
}

/// From the planes to boxes, against ONNX Runtime alone on the same input.
pub(super) fn detect(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let model = bench.models.detector()?;
    let mut detector = Detector::new(Arc::clone(&model), thresholds(&model)?)?;
    let mut screen = Screen::new(PixelFormat::I420);
    let mut sampler = Sampler::new(&model.manifest().input, model.input_shape());
    let (input, _) = sampler.fill(screen.picture()?);
    let mut outputs = Outputs::new();
    let (mut times, mut calls, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < bench.time || times.len() < 5 {
        let watch = start(&model);
        time_bare(&model, input)?;
        bare.push(watch.millis());
        let watch = start(&model);
        model.run(input, Instant::now() + PATIENCE, &mut outputs).map_err(failed)?;
        calls.push(watch.millis());
        screen.next();
        let watch = start(&model);
        detector.detect(screen.picture()?, Instant::now() + PATIENCE).map_err(failed)?;
        times.push(watch.millis());
    }
    // A model's first calls are its slowest.
    let warm = |times: &mut Vec<f64>| median(times.get_mut(2..).unwrap_or_default());
    let baseline = Some(warm(&mut bare));
    let figure = |name, times: &mut Vec<f64>, what: &str| Figure {
        name,
        value: warm(times),
        unit: "ms",
        baseline,
        aim: Aim::Ratio(0.0..=1.05),
        what: format!("{what}; bare: a session of {}", model.manifest().name),
    };
    Ok(vec![
        figure("detect", &mut times, "1080p planes to boxes"),
        figure("detect-model", &mut calls, "input ready, outputs copied"),
    ])
}

/// A session on the processor has one thread, the caller's; a device works while that waits.
pub(super) fn start(model: &Model) -> Watch {
    match model.provider() {
        Provider::Cpu => Watch::of_this_thread(),
        _ => Watch::of_the_wall(),
    }
}

/// One call of the session alone.
pub(super) fn time_bare(model: &Model, input: &Input) -> Result<Duration, Fault> {
    model.time_bare(input, Instant::now() + PATIENCE).map_err(failed)
}

pub(super) fn failed(error: InferError) -> Fault {
    Fault::unavailable(error.to_string())
}
