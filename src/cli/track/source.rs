//! Tracks of a file or URI: the daemon's own loops, with lines on standard output in the place of events.

use std::io::{BufWriter, Stdout, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use serde::Serialize;

use super::{Format, TrackArgs};
use crate::cli::{Outcome, people, settings};
use crate::config::Resolved;
use crate::detect;
use crate::event::{Identity, Observation};
use crate::fault::{Fault, Problem};
use crate::frame::Frame;
use crate::geometry::Size;
use crate::infer::Manifest;
use crate::infer::manifest;
use crate::pipeline::{self, Cam, CamNews, Control, Eyes, Follower, Names, Observer, Recall, WhenBusy};
use crate::source::{Config, FilePace, Scheme, Source, SourceState, Spawner, Uri};
use crate::supervisor::Engine;
use crate::track::{Track, TrackState, mot};

/// Prints the tracks of every frame of `source`. Of a live one, of those that there is time for, until it is interrupted.
pub(super) fn run(source: &str, args: &TrackArgs) -> Outcome {
    let resolved = settings::resolved(args.config.as_deref())?;
    let (manifest, input) = detector(args, &resolved)?;
    let engine = Engine::load(&resolved.models, &manifest, input)?;
    let sessions = engine.detector().load().sessions();
    let settings = detect::Settings::new(&detect::Config::default(), &manifest)?;
    let eyes = || Eyes::new(Arc::clone(engine.detector()), detect::Config::default());
    let eyes = (0..sessions).map(|_| eyes()).collect::<Result<Vec<_>, _>>()?;

    let recognition = args
        .gallery
        .as_deref()
        .map(|folder| people::recognition(folder, &resolved, &engine.detector().load_full()))
        .transpose()?;
    let names: Box<dyn Names> = match recognition {
        Some(recognition) => Box::new(Recall::new("track", Arc::new(ArcSwapOption::from_pointee(recognition)))),
        None => Box::new(()),
    };

    let config = Config { pace: FilePace::Fast, ..Config::new(Uri::from_argument(source)) };
    let held = u32::try_from(3 * sessions + 2).unwrap_or(u32::MAX);
    let camera = config.resolve(held).map_err(|problems| unusable(source, &problems))?;
    let scheme = camera.scheme;
    let spawner = Spawner::start().map_err(|e| Fault::internal(format!("no thread for children: {e}")))?;

    let control = Control::new("track");
    let tracking =
        crate::track::Config { algorithm: args.algorithm(), ..Default::default() }.for_detector(settings.score);
    let printer =
        Printer { format: args.format, out: BufWriter::new(std::io::stdout()), control: Arc::clone(&control) };
    let follower = Follower::new(Box::new(move || tracking.build()), names, printer, Arc::clone(&control));
    let (to_see, jobs) = pipeline::channel(sessions);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        let see = scope.spawn(move || pipeline::run_see_all(&jobs, eyes, follower));
        let frames = Box::new(Source::new("track", camera, &spawner));
        let cam = Cam { frames, to_see, when_busy: WhenBusy::Wait, masking: None };
        pipeline::run_cam(cam, &control, |news| {
            // Nobody waits here for a camera to come back.
            if let CamNews::State(SourceState::Offline { reason, .. } | SourceState::Stalled { reason }) = news {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
                control.stop();
            }
        });
        see.join().map_err(|_| Fault::internal("the analysis has panicked"))
    })?;
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(reason) => Err(lost(scheme, format!("{}: {reason}", crate::telemetry::redact(source)))),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn detector(args: &TrackArgs, resolved: &Resolved) -> Result<(Manifest, Size), Fault> {
    let manifest = match &args.model {
        Some(name) => manifest::find(Some(&resolved.models.folder()), name).map_err(Fault::from_command_line)?,
        None => resolved.detector.clone(),
    };
    let size = settings::input_size(&manifest, args.input, args.model.is_none().then_some(resolved.input))?;
    Ok((manifest, size))
}

fn unusable(source: &str, problems: &[Problem]) -> Fault {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Fault::usage(format!("{}: {}", crate::telemetry::redact(source), texts.join("; ")))
}

/// A camera that gives nothing is something needed that is not there; a file that gives nothing is a bad input.
fn lost(scheme: Scheme, what: String) -> Fault {
    match scheme {
        Scheme::File | Scheme::Test => Fault::input(what),
        Scheme::Rtsp | Scheme::Rtsps | Scheme::Http | Scheme::Https | Scheme::V4l2 => Fault::unavailable(what),
    }
}

/// Prints what is observed.
struct Printer {
    format: Format,
    out: BufWriter<Stdout>,
    control: Arc<Control>,
}

/// A line of `--format json`.
#[derive(Serialize)]
struct Line {
    /// From 1.
    frame: u64,
    /// Seconds since the stream began.
    time: f64,
    tracks: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    id: u64,
    r#box: [f32; 4],
    score: f32,
    state: TrackState,
    /// As in events; null without a gallery.
    identity: Option<Identity>,
}

impl Entry {
    fn of(track: &Track, observation: &Observation<'_>) -> Self {
        let rect = track.rect;
        let r#box = [rect.x, rect.y, rect.w, rect.h];
        let verdict = observation.identities.iter().find(|verdict| verdict.track == track.id);
        let identity = verdict.map(|verdict| (&verdict.identity).into());
        Self { id: track.id, r#box, score: track.score, state: track.state, identity }
    }
}

impl Printer {
    fn print(&mut self, observation: &Observation<'_>) -> std::io::Result<()> {
        if self.format == Format::Mot {
            let mut lines = String::new();
            mot::write_frame(&mut lines, observation.number + 1, observation.tracks);
            return self.out.write_all(lines.as_bytes());
        }
        let line = Line {
            frame: observation.number + 1,
            time: observation.stamp.pts.as_secs_f64(),
            tracks: observation.tracks.iter().map(|track| Entry::of(track, observation)).collect(),
        };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }
}

impl Observer for Printer {
    fn look(&mut self, _: &Frame, _: &[Track]) {}

    fn observe(&mut self, observation: &Observation<'_>) {
        if self.print(observation).is_err() {
            // The reader has read enough.
            self.control.stop();
        }
    }

    fn lost(&mut self) {
        let _ = self.out.flush();
    }

    fn idle(&mut self) {}
}
