//! `visor check`: name every problem of a configuration, and print what will be used.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::Outcome;
use crate::config::{self, Camera, DEFAULT_FILE, Resolved};
use crate::detect::Mode;
use crate::fault::{Fault, FaultKind};
use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use crate::geometry::Size;
use crate::infer::store::{self, State};
use crate::infer::{Manifest, Model, Runtime};
use crate::recognise::gallery::Calibration;
use crate::recognise::gallery::calibration::Own;
use crate::recognise::gallery::folder::{self, Contents};
use crate::ring;
use crate::sink::restream::SLOTS;

mod masking;

/// Until a camera was seen, its pictures are taken to be of this size.
const ASSUMED: Size = Size::new(1920, 1080);

/// Arguments of `visor check`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

/// Runs the command: exit status 78 where the configuration is wrong, 69 where it is sound but a model, the
/// library or the provider is not there.
pub fn run(args: &CheckArgs) -> Outcome {
    let resolved = config::load(&args.config).map_err(|problems| config::fault(&args.config, &problems))?;
    let (missing, detector) = examine(&resolved);
    let mut page = describe(&resolved);
    page.push_str(&masking::describe(&resolved, detector));
    for (kind, lines) in [("policy", resolved.policies()), ("note", resolved.notes())] {
        for line in lines {
            let _ = writeln!(page, "{kind:<9} {line}");
        }
    }
    super::print(&page)?;
    if missing.is_empty() {
        super::print(&format!("\n{} is sound\n", args.config.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    for what in missing {
        super::complain(&what);
    }
    Ok(ExitCode::from(FaultKind::Unavailable.exit_code()))
}

/// What the daemon could not start without; and the detector, where it could.
fn examine(resolved: &Resolved) -> (Vec<String>, Option<Arc<Model>>) {
    let folder = resolved.models.folder();
    let models = std::iter::once(&resolved.detector).chain(&resolved.embedder);
    let mut missing: Vec<String> = models.filter_map(|model| missing_model(&folder, model)).collect();
    let detector = runtime(resolved, missing.is_empty()).map_err(|fault| missing.push(fault.to_string()));
    (missing, detector.ok().flatten())
}

fn missing_model(folder: &Path, model: &Manifest) -> Option<String> {
    let file = folder.join(&model.file);
    match store::state(folder, model) {
        State::Ready => None,
        State::Missing => Some(format!("{} is not there; {}", file.display(), store::remedy(folder, model))),
        State::Wrong(what) => Some(format!("{}: {what}; {}", file.display(), store::remedy(folder, model))),
    }
}

/// Loads the library, and the models on their provider where their files are there, as the daemon will.
fn runtime(resolved: &Resolved, files_are_there: bool) -> Result<Option<Arc<Model>>, Fault> {
    let runtime = Runtime::load(&resolved.models)?;
    if !files_are_there {
        return runtime.provider().map(|_| None);
    }
    if let Some(embedder) = &resolved.embedder {
        runtime.open(embedder, 1, embedder.input.shape(1, embedder.size(None)?))?;
    }
    let detector = &resolved.detector;
    runtime.open(detector, 1, detector.input.shape(1, resolved.input)).map(Some)
}

fn describe(resolved: &Resolved) -> String {
    let mut page = String::new();
    let models = &resolved.models;
    let lines = [
        (
            "detector",
            format!(
                "{} at {}x{}, licence {}",
                resolved.detector.name, resolved.input.width, resolved.input.height, resolved.detector.licence
            ),
        ),
        ("embedder", embedder(resolved)),
        ("gallery", gallery(resolved)),
        ("provider", format!("{}, {} sessions", models.provider.name(), models.sessions())),
        ("models", models.folder().display().to_string()),
        ("library", models.library().display().to_string()),
        ("mqtt", broker(resolved)),
        ("http", http(resolved)),
    ];
    for (name, text) in lines {
        let _ = writeln!(page, "{name:<9} {text}");
    }
    for hook in &resolved.webhooks {
        let _ = writeln!(page, "webhook   {}", hook.display);
    }
    for (id, camera) in &resolved.cameras {
        let _ = writeln!(page, "camera    {id}: {}", describe_camera(camera));
    }
    let enabled = resolved.cameras.values().filter(|camera| camera.enabled);
    let bytes: u64 = enabled.map(frame_memory).sum();
    let _ = writeln!(
        page,
        "memory    {} for frames, if every camera is {}x{}",
        mebibytes(bytes),
        ASSUMED.width,
        ASSUMED.height
    );
    page
}

fn embedder(resolved: &Resolved) -> String {
    let off = "none, recognition is off".to_owned();
    resolved.embedder.as_ref().map_or(off, |model| format!("{}, licence {}", model.name, model.licence))
}

/// Who will be known if each picture can be used, and how sure Visor then must be.
fn gallery(resolved: &Resolved) -> String {
    let settings = &resolved.gallery;
    let Some(folder) = &settings.folder else { return "no folder, nobody is known at start".to_owned() };
    let Contents { people, pictures } = folder::contents(folder).unwrap_or(Contents { people: 0, pictures: 0 });
    let mut text = format!("{people} people with {pictures} pictures in {}", folder.display());
    if let Some(spec) = resolved.embedder.as_ref().and_then(|model| model.embedding.as_ref()) {
        let calibration = Calibration::of(spec);
        let threshold = settings.threshold.unwrap_or_else(|| calibration.threshold(pictures, Own::default()));
        let margin = settings.margin.unwrap_or_else(|| calibration.margin(people));
        let bytes = pictures * spec.dimension * (size_of::<f32>() + size_of::<i8>());
        let memory = mebibytes(bytes as u64);
        let _ = write!(text, ", threshold {threshold:.2}, margin {margin:.2}, {memory} in memory");
    }
    text
}

fn broker(resolved: &Resolved) -> String {
    let Some(broker) = &resolved.mqtt else { return "off".to_owned() };
    let written = &broker.written;
    let discovery = if written.home_assistant { ", announced to Home Assistant" } else { "" };
    format!(
        "{}, topics {}/…, qos {}, outbox of {} events{discovery}",
        written.url, written.prefix, written.qos, written.outbox
    )
}

fn http(resolved: &Resolved) -> String {
    let settings = &resolved.http;
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let mut text = format!("{scheme}://{}", settings.listen);
    if let Some(tokens) = &settings.tokens {
        let _ = write!(text, ", {tokens:?}");
    }
    if let Some(users) = &settings.users {
        let _ = write!(text, ", {users:?}");
    }
    if settings.is_local() {
        text.push_str(", this machine only");
    }
    text
}

fn describe_camera(camera: &Camera) -> String {
    if !camera.enabled {
        return format!("{}, switched off", camera.source.display);
    }
    let mode = match camera.detect.detect {
        Mode::Always => "",
        Mode::Motion => " while something moves",
    };
    format!(
        "{}, {} analyses/s{mode}, tracker {}, {} zones, {} frames of {} in memory",
        camera.source.display,
        (100.0 / camera.analysis_period.as_secs_f64()).round() / 100.0,
        camera.track.algorithm,
        camera.zones.len(),
        camera.source.slots + camera.restream.as_ref().map_or(0, |_| SLOTS),
        mebibytes(ring::bytes(&assumed_layout(), 1).unwrap_or_default()),
    )
}

/// Of the ring that its frames come in by, and of the one that masked ones go out by.
fn frame_memory(camera: &Camera) -> u64 {
    let out = camera.restream.as_ref().map_or(0, |_| SLOTS);
    ring::bytes(&assumed_layout(), camera.source.slots + out).unwrap_or_default()
}

fn assumed_layout() -> Layout {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    Layout::packed(ASSUMED, PixelFormat::I420, colour)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
