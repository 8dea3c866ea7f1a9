//! One video: decoded by a capture child, analysed, released by the delay line with look-ahead in both directions, encoded
//! by a child that sees masked frames alone.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use crossbeam_channel::{Receiver, Sender, bounded, never};
use indicatif::{ProgressBar, ProgressStyle};

use super::encoder::{self, Encoder};
use super::engine::{Engine, Loading, PATIENCE};
use super::eyes::{Eyes, Seen, look};
use super::looks::{Looks, Next};
use super::{Done, LOOKAHEAD_MS, Unfinished};
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::geometry::Size;
use crate::mask::{Cuts, Evidence, Line, Lookahead, Outcome, Painter, Policy, Release, Settings, Who};
use crate::pipeline::{Analysed, Faces, Names, Recall, Sightings, THUMBNAIL};
use crate::recognise::Vigil;
use crate::ring;
use crate::ring::out::Container;
use crate::source::{Config, FilePace, Frames, Source, SourceEvent, SourceState, Spawner, Uri};
use crate::track::{self, Thumbnail, TrackState, Tracker};

/// How far a frame's masks look ahead: as far as a face is masked back from where it is first found.
const LOOKAHEAD: Duration = Duration::from_millis(LOOKAHEAD_MS);

/// Who goes unmasked is verified this often: a file is in no hurry.
const VERIFIED_EVERY: Duration = Duration::from_millis(110);

/// Frames that are held at most, and the bytes they may take up.
const MOST_HELD: usize = 90;
const MOST_BYTES: u64 = 512 << 20;

/// What writes MP4 takes no picture with a shorter side, once that is made even.
const LEAST_MP4_SIDE: u32 = 16;

/// How often a wait looks up.
const TICK: Duration = Duration::from_millis(500);

/// What the source gives.
enum Read {
    Frame(Box<Frame>),
    /// Its nominal rate.
    Rate(Option<f64>),
}

pub(super) fn mask(
    engine: &Loading<'_>,
    settings: &Settings,
    (input, output): (&Path, &Path),
    keep_audio: bool,
) -> Result<Done, Fault> {
    let container = container(output)?;
    let unfinished = Unfinished::new(output);
    let job = Job { engine, settings, input, container };
    let done = job.run(unfinished.create()?)?;
    if !keep_audio {
        unfinished.finish()?;
        return Ok(done);
    }
    let joined = Unfinished::new(&output.with_extension("joined"));
    encoder::join(&unfinished.path, input, container == Container::Mkv, joined.create()?)?;
    std::fs::rename(&joined.path, output).map_err(|e| unfinished.fault(&e))?;
    Ok(done)
}

fn container(output: &Path) -> Result<Container, Fault> {
    let extension = output.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "mp4" | "m4v" | "mov" => Ok(Container::Mp4),
        "mkv" => Ok(Container::Mkv),
        _ => Err(Fault::usage(format!("{}: not the name of a video that can be written", output.display()))
            .remedy("end it in .mp4 or .mkv")),
    }
}

struct Job<'a> {
    engine: &'a Loading<'a>,
    settings: &'a Settings,
    input: &'a Path,
    container: Container,
}

impl Job<'_> {
    fn fault(&self, what: &str) -> Fault {
        Fault::input(format!("{}: {what}", self.input.display()))
    }

    fn run(&self, file: std::fs::File) -> Result<Done, Fault> {
        let length = self.input.metadata().map_err(|e| self.fault(&e.to_string()))?.len();
        if length == 0 {
            return Err(self.fault("the file is empty"));
        }
        let sessions = self.engine.sessions();
        let (frames, inbox) = bounded(sessions);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (job, halt) = (self, &stop);
            // reading begins, and the encoder starts, while the models are loaded
            let reader = scope.spawn(move || job.read(&frames, halt));
            let done = Encoder::start(self.container, file).and_then(|encoder| {
                let engine = self.engine.engine()?;
                let eyes = (0..sessions).map(|_| Eyes::new(engine)).collect::<Result<Vec<_>, _>>()?;
                let (to_see, jobs) = bounded(unseen(self.engine));
                let (tell, seen) = bounded(unseen(self.engine));
                scope.spawn(move || look(&jobs, eyes, &tell));
                Hand::new(self, engine, encoder)?.work(&inbox, &to_see, &seen)
            });
            stop.store(true, Ordering::Relaxed);
            // whoever waits to say something ends
            drop(inbox);
            let read = reader.join().map_err(|_| Fault::internal("the reading thread panicked"))?;
            read.and(done)
        })
    }

    /// Takes frames from the source and hands each over.
    fn read(&self, frames: &Sender<Read>, stop: &AtomicBool) -> Result<(), Fault> {
        let uri = Uri::from_argument(&self.input.to_string_lossy());
        let slots = u32::try_from(MOST_HELD + in_flight(self.engine)).unwrap_or(u32::MAX);
        let settings = Config { pace: FilePace::Fast, ..Config::new(uri) }.resolve(slots).map_err(|problems| {
            let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
            self.fault(&texts.join("; "))
        })?;
        let spawner = Spawner::start().map_err(|e| Fault::internal(format!("no thread for children: {e}")))?;
        let mut source = Source::new("mask", settings, &spawner);
        let mut any = false;
        while !stop.load(Ordering::Relaxed) {
            match source.next(Monotonic::now().plus(TICK)) {
                SourceEvent::Frame(frame) => {
                    any = true;
                    if frames.send(Read::Frame(Box::new(frame))).is_err() {
                        return Ok(());
                    }
                }
                SourceEvent::Opened(info) => {
                    let _ = frames.send(Read::Rate(info.fps));
                }
                SourceEvent::Changed(SourceState::Offline { reason, .. } | SourceState::Stalled { reason }) => {
                    return Err(self.fault(&reason));
                }
                SourceEvent::Ended if !any => return Err(self.fault("there are no pictures in it")),
                SourceEvent::Ended => return Ok(()),
                SourceEvent::Changed(_) | SourceEvent::Idle => {}
            }
        }
        Ok(())
    }
}

/// Frames of which it is not known yet what they show, at most: the delay line holds those that are looked ahead to as well.
fn unseen(engine: &Loading<'_>) -> usize {
    (8 * engine.sessions()).min(MOST_HELD / 3)
}

/// Frames that are being analysed or may have to be, are on their way, or in the decoder's hands.
fn in_flight(engine: &Loading<'_>) -> usize {
    unseen(engine) + engine.sessions() + 8
}

/// Owns the delay line and everything behind it.
struct Hand<'a> {
    job: &'a Job<'a>,
    engine: &'a Engine,
    line: Line,
    evidence: Evidence,
    cuts: Cuts,
    painter: Painter,
    encoder: Encoder,
    tracker: Box<dyn Tracker>,
    names: Box<dyn Names>,
    sightings: Sightings,
    progress: ProgressBar,
    looks: Looks,
    confirmed: u64,
    done: Done,
}

impl<'a> Hand<'a> {
    fn new(job: &'a Job<'a>, engine: &'a Engine, encoder: Encoder) -> Result<Self, Fault> {
        let settings = job.settings;
        let policy = Policy {
            lookahead: Lookahead::File(LOOKAHEAD),
            capacity: MOST_HELD,
            margins: settings.margins,
            nobody: settings.who == Who::Nobody,
        };
        Ok(Self {
            job,
            engine,
            line: Line::new(policy),
            evidence: Evidence::new("file"),
            cuts: Cuts::default(),
            painter: Painter::new("file", settings)?,
            encoder,
            tracker: track::Config::default().for_detector(engine.settings().score).build(),
            names: names(engine, settings),
            sightings: Sightings::new(settings),
            progress: progress(job.input),
            looks: Looks::new(engine.settings().score, engine.recognition().is_some()),
            confirmed: 0,
            done: Done { frames: 0, faces: 0, covered: 0 },
        })
    }

    fn work(mut self, inbox: &Receiver<Read>, jobs: &Sender<Frame>, seen: &Receiver<Seen>) -> Result<Done, Fault> {
        let nothing = never();
        let mut reading = true;
        loop {
            self.settle(jobs)?;
            if !reading && self.looks.unseen() == 0 {
                break;
            }
            let full = self.line.is_full();
            // no frame comes then by which those after the last analysis could be proven
            if full && self.looks.ask_last() {
                continue;
            }
            let room = reading && !full && self.looks.unseen() < unseen(self.job.engine);
            crossbeam_channel::select! {
                recv(if room { inbox } else { &nothing }) -> read => match read {
                    Ok(Read::Rate(fps)) => self.encoder.expect(fps),
                    Ok(Read::Frame(frame)) => self.take(*frame)?,
                    Err(_) => {
                        reading = false;
                        // an end of what lies before it
                        self.looks.ask_last();
                    }
                },
                recv(seen) -> seen => {
                    self.looks.seen(seen.map_err(|_| Fault::internal("nobody looks at the frames any more"))?);
                }
            }
        }
        self.line.end();
        self.release()?;
        if self.done.frames > 0 {
            self.encoder.finish()?;
        }
        self.progress.finish_and_clear();
        Ok(self.done)
    }

    fn take(&mut self, frame: Frame) -> Result<(), Fault> {
        let Size { width, height } = frame.size();
        if self.job.container == Container::Mp4 && self.done.frames == 0 && width.min(height) < LEAST_MP4_SIDE {
            let what = format!("its pictures have sides of less than {LEAST_MP4_SIDE} pixels, too few for an MP4 file");
            return Err(self.job.fault(&what).remedy("write it to a file that ends in .mkv"));
        }
        self.line.limit(room(&frame, self.job.engine));
        let cut = self.cuts.look(frame.stamp.pts, frame.picture()).is_some();
        if cut {
            self.line.cut(frame.number);
            self.evidence.cut();
        }
        self.evidence.frame(&frame);
        let forced = self.line.push(frame.clone());
        let signature = self.cuts.last().cloned().unwrap_or_default();
        self.looks.take(frame, signature, self.line.generation(), cut);
        forced.map_or(Ok(()), |release| self.write(&release))
    }

    /// Asks for what has to be looked at, takes in what has been, and lets go of what is proven.
    fn settle(&mut self, jobs: &Sender<Frame>) -> Result<(), Fault> {
        loop {
            while let Some(frame) = self.looks.wanted() {
                jobs.send(frame).map_err(|_| Fault::internal("nobody looks at the frames any more"))?;
            }
            match self.looks.next() {
                Next::Seen(seen, generation) => self.follow(*seen, generation)?,
                Next::Asked => {}
                Next::Nothing => return self.release(),
            }
        }
    }

    fn follow(&mut self, seen: Seen, generation: u64) -> Result<(), Fault> {
        // there is time to look again, and half a file masked is none
        let detections = seen.found.map_err(|error| self.job.fault(&error))?;
        self.tracker.update(track::Analysis {
            at: seen.frame.stamp.pts,
            frame_size: seen.frame.size(),
            detections: &detections,
            thumbnail: Some(Thumbnail { size: THUMBNAIL, luma: &seen.thumbnail }),
        });
        let named = self.names.name(&seen.frame, &*self.tracker, Instant::now() + PATIENCE);
        let (tracks, score) = (self.tracker.tracks(), self.engine.settings().score);
        let analysed = Analysed { number: seen.frame.number, at: seen.frame.stamp.pts, generation };
        let analysis = self.sightings.analysis(analysed, Faces { detections: &detections, tracks, score, named });
        self.count();
        self.evidence.analysed(&analysis);
        self.line.analysed(&analysis, Duration::ZERO);
        Ok(())
    }

    /// Counts tracks once they are confirmed: ids count up, and a track is confirmed before younger ones as a rule.
    fn count(&mut self) {
        let confirmed = self.tracker.tracks().iter().filter(|track| track.state == TrackState::Confirmed);
        let new = confirmed.filter(|track| track.id > self.confirmed).map(|track| track.id);
        let new: Vec<u64> = new.collect();
        self.done.faces += new.len() as u64;
        self.confirmed = new.into_iter().max().unwrap_or(self.confirmed);
    }

    fn release(&mut self) -> Result<(), Fault> {
        while let Some(release) = self.line.poll(Monotonic::now()) {
            self.write(&release)?;
        }
        Ok(())
    }

    fn write(&mut self, Release { frame, ruling }: &Release) -> Result<(), Fault> {
        let outcome = self.encoder.write(&mut self.painter, frame, &self.evidence.check(frame, ruling))?;
        self.done.frames += 1;
        self.done.covered += u64::from(matches!(outcome, Outcome::Covered(_)));
        self.progress.inc(1);
        Ok(())
    }
}

/// Who says who people are, where that matters.
fn names(engine: &Engine, settings: &Settings) -> Box<dyn Names> {
    match engine.recognition() {
        Some(recognition) => {
            let current = Arc::new(ArcSwapOption::new(Some(Arc::clone(recognition))));
            let vigil = Sightings::vigil(settings).map(|vigil| Vigil { every: VERIFIED_EVERY, ..vigil });
            Box::new(Recall::new("file", current).watching(vigil))
        }
        None => Box::new(()),
    }
}

/// How many frames of this size the delay line may hold beside those under way.
fn room(frame: &Frame, engine: &Loading<'_>) -> usize {
    let slot = ring::slot_bytes(frame.layout()).unwrap_or(MOST_BYTES).max(1);
    let fitting = ring::slots_that_fit(frame.layout()).unwrap_or(1) as usize;
    let room = fitting.saturating_sub(in_flight(engine)).min((MOST_BYTES / slot) as usize);
    // All frames that are analysed, or wait for it, are held too; the ring must not be full before the line is.
    room.max(in_flight(engine)).min(fitting.saturating_sub(1)).clamp(1, MOST_HELD)
}

fn progress(input: &Path) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg}: {pos} frames, {per_sec}, {elapsed}");
    let name = input.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())).with_message(name)
}
