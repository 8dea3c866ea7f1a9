//! The engine over HTTP, from a client's side, against the bare decoder and sessions.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use image::{ImageFormat, RgbImage};

use super::Bench;
use super::figure::{Aim, Figure, median, millis, quantile};
use super::models::{PATIENCE, failed, thresholds};
use crate::cli::SAMPLE;
use crate::cli::daemon::{Daemon, End, Origin};
use crate::config::{self, Written};
use crate::detect::{Detector, View, still};
use crate::fault::Fault;
use crate::infer::{Input, Model, Outputs};
use crate::pipeline::Recognition;
use crate::recognise::gallery::synthetic;
use crate::recognise::{Embedder, People, Strangers};
use crate::supervisor::Engine;

mod beside;
mod client;
mod many;

use client::Client;

/// References of the gallery that is searched.
const REFERENCES: usize = 10_000;

/// A client that enrols sends a picture so often: about as many as are looked at meanwhile.
const ENROLMENTS: Duration = Duration::from_millis(20);

/// How long a server that refuses most of them is asked, beyond its time.
const ENROLLING: Duration = Duration::from_secs(20);

/// How long the gallery's folder, of which there is none, may take.
const SETTLING: Duration = Duration::from_secs(10);

/// The answers to pictures and searches, one client and many.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let detector = bench.models.detector()?;
    let picture = picture()?;
    let name = &detector.manifest().name;
    let (folder, library) = (bench.models.config().folder(), bench.models.config().library());
    let text = format!(
        "[models]\ndetector = \"{name}\"\nfolder = {folder:?}\nlibrary = {library:?}\n[http]\nlisten = \"127.0.0.1:0\"\nrate = 0\n"
    );
    let written = Written::of(text);
    let settings = written.resolve().map_err(|problems| config::fault(Path::new("bench"), &problems))?;
    let daemon = Daemon::start(settings, Origin { written, file: None }, |_| Ok(()))?;
    let measured = know_many(daemon.engine()).and_then(|recognition| {
        // as whoever can wait: pictures would give way to anybody else
        let detector = Arc::new(daemon.engine().detector().load().deferred());
        let embedder = Arc::new(recognition.models.embedder.deferred());
        let bare = Bare { detector, embedder, picture: &picture };
        let mut figures =
            vec![one(&bare, daemon.http_address(), bench.time)?, search(daemon.http_address(), bench.time)?];
        figures.extend(many::measure(&bare, daemon.http_address(), bench.time)?);
        figures.extend(beside::cameras(bench, &daemon, &picture)?);
        figures.push(enrol(&picture, daemon.http_address(), bench.time)?);
        Ok(figures)
    });
    daemon.shut_down(End::Asked);
    measured
}

/// A 1080p JPEG with one face, about 300 pixels high.
fn picture() -> Result<Vec<u8>, Fault> {
    let people = Path::new(SAMPLE).with_file_name("people");
    let missing = |e: &dyn std::fmt::Display| {
        Fault::unavailable(format!("{}: {e}", people.display()))
            .remedy("make the sample with scripts/setup in a checkout")
    };
    let first = |folder: &Path| std::fs::read_dir(folder)?.next().transpose();
    let person = first(&people).map_err(|e| missing(&e))?.ok_or_else(|| missing(&"is empty"))?;
    let portrait = first(&person.path()).map_err(|e| missing(&e))?.ok_or_else(|| missing(&"is empty"))?;
    let portrait = image::open(portrait.path()).map_err(|e| missing(&e))?.to_rgb8();
    let mut canvas =
        RgbImage::from_fn(1920, 1080, |x, y| image::Rgb([(x / 9) as u8, (y / 5) as u8, 128 ^ (x / 64 * 7) as u8]));
    image::imageops::overlay(&mut canvas, &portrait, 700, 240);
    let mut jpeg = std::io::Cursor::new(Vec::new());
    canvas.write_to(&mut jpeg, ImageFormat::Jpeg).map_err(|e| missing(&e))?;
    Ok(jpeg.into_inner())
}

/// Has the engine know as many as are to be searched, once its own gallery is there.
fn know_many(engine: &Engine) -> Result<Arc<Recognition>, Fault> {
    let begun = Instant::now();
    let models = loop {
        if let Some(recognition) = engine.recognition().load_full() {
            break recognition.models.clone();
        }
        if begun.elapsed() > SETTLING {
            return Err(Fault::unavailable("there is no embedder").remedy("visor models pull"));
        }
        sleep(Duration::from_millis(10));
    };
    let dimension = models.embedder.manifest().embedding.as_ref().map_or(0, |spec| spec.dimension);
    let gallery = synthetic::gallery(dimension, synthetic::faces(dimension, REFERENCES, 1))
        .map_err(|rejection| Fault::internal(rejection.to_string()))?;
    let strangers = Strangers::new(Duration::from_secs(60), gallery.settings().calibration);
    let recognition = Arc::new(Recognition { models, people: People { gallery, strangers } });
    engine.recognise_with(Some(Arc::clone(&recognition)));
    Ok(recognition)
}

/// What the engine is made of, without what is between.
struct Bare<'a> {
    detector: Arc<Model>,
    embedder: Arc<Model>,
    picture: &'a [u8],
}

/// The bare parts as one thread uses them.
struct Worker<'a> {
    bare: &'a Bare<'a>,
    detector: Arc<Model>,
    embedder: Arc<Model>,
    seen: Input,
    face: Input,
    outputs: Outputs,
}

impl<'a> Worker<'a> {
    fn new(bare: &'a Bare<'a>) -> Result<Self, Fault> {
        let (detector, embedder) = (Arc::clone(&bare.detector), Arc::clone(&bare.embedder));
        let still = still::read(bare.picture, u64::MAX).map_err(|e| Fault::internal(format!("{e:?}")))?;
        let mut sampler = crate::detect::Sampler::new(&detector.manifest().input, detector.input_shape());
        let seen = sampler.fill(still.view()).0.clone();
        let face = aligned(&detector, &embedder, still.view())?;
        Ok(Self { bare, detector, embedder, seen, face, outputs: Outputs::new() })
    }

    /// Decodes the picture and runs each session once on what is ready.
    fn work(&mut self) -> Result<(), Fault> {
        image::load_from_memory(self.bare.picture).map_err(|e| Fault::internal(e.to_string()))?;
        for (model, input) in [(&self.detector, &self.seen), (&self.embedder, &self.face)] {
            model.run(input, Instant::now() + PATIENCE, &mut self.outputs).map_err(failed)?;
        }
        Ok(())
    }
}

/// The embedder's input for the picture's face.
fn aligned(detector: &Arc<Model>, embedder: &Arc<Model>, view: View<'_>) -> Result<Input, Fault> {
    let mut finder = Detector::new(Arc::clone(detector), thresholds(detector)?)?;
    let found = finder.detect(view, Instant::now() + PATIENCE).map_err(failed)?;
    let landmarks = found.first().and_then(|face| face.landmarks);
    let landmarks =
        landmarks.ok_or_else(|| Fault::unavailable("the detector finds no face with landmarks in the sample"))?;
    Ok(Embedder::new(Arc::clone(embedder))?.fill(view, &[landmarks]).clone())
}

/// One client, in turns with the bare parts.
fn one(bare: &Bare<'_>, address: SocketAddr, time: Duration) -> Result<Figure, Fault> {
    let (mut worker, mut client) = (Worker::new(bare)?, Client::connect(address)?);
    let (mut times, mut alone) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < time || times.len() < 5 {
        let watch = Instant::now();
        worker.work()?;
        alone.push(millis(watch.elapsed()));
        let watch = Instant::now();
        client.recognise(bare.picture)?.expect(200)?;
        times.push(millis(watch.elapsed()));
    }
    let warm = |times: &mut Vec<f64>| median(times.get_mut(2..).unwrap_or_default());
    Ok(Figure {
        name: "http-recognize",
        value: warm(&mut times),
        unit: "ms",
        baseline: Some(warm(&mut alone)),
        aim: Aim::Ratio(0.0..=1.25),
        what: "a 1080p JPEG with a face, sent to its answer, p50; bare: decoder and sessions".to_owned(),
    })
}

fn search(address: SocketAddr, time: Duration) -> Result<Figure, Fault> {
    let mut client = Client::connect(address)?;
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < time / 4 || times.len() < 100 {
        let watch = Instant::now();
        client.search(times.len() % REFERENCES)?.expect(200)?;
        times.push(millis(watch.elapsed()));
    }
    Ok(Figure {
        name: "http-search",
        value: quantile(&mut times, 0.99),
        unit: "ms",
        baseline: None,
        aim: Aim::Value(0.0..=5.0),
        what: format!("a ready face among {REFERENCES} references, asked to answered, p99"),
    })
}

/// How soon a picture that is enrolled later is accepted. Comes last: it makes the gallery another one.
fn enrol(picture: &[u8], address: SocketAddr, time: Duration) -> Result<Figure, Fault> {
    let mut client = Client::connect(address)?;
    let (mut times, mut refused) = (Vec::new(), 0);
    let began = Instant::now();
    while began.elapsed() < time / 2 || times.len() < 100 {
        if began.elapsed() > time / 2 + ENROLLING {
            break;
        }
        let watch = Instant::now();
        match client.enrol_later(picture)?.expect_either(202, 503)? {
            true => times.push(millis(watch.elapsed())),
            false => refused += 1,
        }
        sleep(ENROLMENTS);
    }
    if times.is_empty() {
        return Err(Fault::internal(format!("none of {refused} pictures to be enrolled later was accepted")));
    }
    Ok(Figure {
        name: "http-enroll-async",
        value: quantile(&mut times, 0.99),
        unit: "ms",
        baseline: None,
        aim: Aim::Value(0.0..=5.0),
        what: format!(
            "such a picture to be enrolled later, sent to 202, p99 of {} while earlier ones are looked at; {refused} were too many",
            times.len()
        ),
    })
}
