//! Who each track is, from the video's frames on: detector, tracker and recogniser as a camera has them, against the
//! clips' truth.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use visor::clock::Monotonic;
use visor::detect::{self, Detection, Detector, Landmarks, Thumbnailer};
use visor::frame::{Frame, Picture, Stamp};
use visor::geometry::Rect;
use visor::infer::{self, InferError, Runtime};
use visor::recognise::gallery::{self, Enroller, Profile, Who};
use visor::recognise::recogniser::{self, Embed};
use visor::recognise::{
    Change, Embedder, Embedding, Gallery, Identity, People, Recogniser, Strangers, Verdict, quality,
};
use visor::source::{Config, FilePace, Frames, Source, SourceEvent, Spawner, Uri};
use visor::track::{self, Analysis, Thumbnail, Track, TrackState, Tracker};

use crate::detect::media;

const DEADLINE: Duration = Duration::from_secs(30);
const EMBEDDER: &str = "face-reid-0095";
const TTL: Duration = Duration::from_secs(3600);

/// Smallest true box, in pixels of its smaller side, and least visible share of a face that must be recognised.
const USABLE: (f32, f32) = (40.0, 0.8);

/// Whose face could be used for so long without a break must have an alias.
const STRANGER: Duration = Duration::from_millis(2500);

/// Frames further apart are not one look at a face.
const GAP: Duration = Duration::from_millis(500);

/// What cameras see, and the truth about it.
pub struct Clip {
    /// Videos, and which of their frames; one after the other.
    pub parts: Vec<(PathBuf, Range<u64>)>,
    /// Pictures of people who may be enrolled.
    pub pictures: Vec<(String, PathBuf)>,
    pub truth: Truth,
}

/// Who is to be seen.
pub enum Truth {
    /// Boxes with person and visible share, by frame from 0.
    Boxes(BTreeMap<u64, Vec<(String, Rect, f32)>>),
    /// One person alone, from the given frame on.
    Alone(BTreeMap<u64, String>),
}

/// Whether a face with this true box, of which this share is visible, must be recognised.
fn is_usable(rect: Rect, visible: f32) -> bool {
    rect.w.min(rect.h) >= USABLE.0 && visible >= USABLE.1
}

/// A composed sequence with two pictures of each person.
pub fn sequence(name: &str) -> Option<Clip> {
    let folder = media(&format!("tracking/{name}"))?;
    let json = std::fs::read_to_string(folder.join("identities.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let person = |id: &str| json["ids"][id].as_str().unwrap().to_owned();
    let mut boxes: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for line in std::fs::read_to_string(folder.join("gt/gt.txt")).unwrap().lines() {
        let id = line.split(',').nth(1).unwrap();
        let fields: Vec<f32> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let rect = Rect::new(fields[2], fields[3], fields[4], fields[5]);
        boxes.entry(fields[0] as u64 - 1).or_default().push((person(id), rect, fields[8]));
    }
    let people = json["ids"].as_object().unwrap().keys().map(|id| person(id));
    let pictures = people
        .flat_map(|person| [0, 1].map(|n| (person.clone(), folder.join("gallery").join(format!("{person}_{n}.jpg")))));
    let (pictures, video) = (pictures.collect(), folder.join(format!("{name}.mp4")));
    Some(Clip { parts: vec![(video, 0..u64::MAX)], pictures, truth: Truth::Boxes(boxes) })
}

impl Clip {
    /// Everybody, as enrolled.
    pub fn everybody(&self) -> Vec<BTreeSet<String>> {
        vec![self.people()]
    }

    /// Every choice of half of the people, as enrolled.
    pub fn halves(&self) -> Vec<BTreeSet<String>> {
        let people = self.people();
        let choices = (0..1u32 << people.len()).filter(|choice| {
            let chosen = choice.count_ones() as usize;
            chosen == people.len() / 2 || chosen == people.len().div_ceil(2)
        });
        let choose = |choice: u32| {
            let chosen = people.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1);
            chosen.map(|(_, person)| person.clone()).collect()
        };
        choices.map(choose).collect()
    }

    /// Puts the pictures of those who are enrolled into a gallery's folder.
    pub fn enrol(&self, enrolled: &BTreeSet<String>, gallery: &Path) {
        for (person, picture) in self.pictures.iter().filter(|(person, _)| enrolled.contains(person)) {
            std::fs::create_dir_all(gallery.join(person)).unwrap();
            std::fs::copy(picture, gallery.join(person).join(picture.file_name().unwrap())).unwrap();
        }
    }

    pub fn people(&self) -> BTreeSet<String> {
        self.pictures.iter().map(|(person, _)| person.clone()).collect()
    }

    /// Whom a track's box shows, and whether the face can be used.
    pub fn shown(&self, frame: u64, rect: Rect) -> Option<(&str, bool)> {
        match &self.truth {
            Truth::Boxes(boxes) => {
                let boxes = boxes.get(&frame)?;
                let best = boxes.iter().max_by(|a, b| a.1.iou(rect).total_cmp(&b.1.iou(rect)))?;
                let usable = is_usable(best.1, best.2);
                (best.1.iou(rect) > 0.3).then_some((best.0.as_str(), usable))
            }
            Truth::Alone(people) => people.range(..=frame).next_back().map(|(_, person)| (person.as_str(), true)),
        }
    }

    /// How many frames have a truth.
    pub fn length(&self) -> u64 {
        match &self.truth {
            Truth::Boxes(boxes) => boxes.last_key_value().map_or(0, |(last, _)| last + 1),
            Truth::Alone(_) => 0,
        }
    }

    /// The overlap (IoU) of a box with the nearest true one.
    pub fn overlap(&self, frame: u64, rect: Rect) -> f32 {
        let boxes = match &self.truth {
            Truth::Boxes(boxes) => boxes.get(&frame).map(Vec::as_slice).unwrap_or_default(),
            Truth::Alone(_) => return 0.0,
        };
        boxes.iter().map(|(_, truth, _)| truth.iou(rect)).fold(0.0, f32::max)
    }

    /// Whose face can be used in this frame.
    pub fn usable(&self, frame: u64) -> Vec<&str> {
        let boxes = match &self.truth {
            Truth::Boxes(boxes) => boxes.get(&frame).map(Vec::as_slice).unwrap_or_default(),
            Truth::Alone(_) => {
                return self.shown(frame, Rect::default()).map(|(person, _)| person).into_iter().collect();
            }
        };
        boxes.iter().filter(|(_, rect, visible)| is_usable(*rect, *visible)).map(|(person, ..)| &**person).collect()
    }

    /// Shows each frame at 25 a second, numbered from 0.
    fn each_frame(&self, mut see: impl FnMut(&Frame)) {
        let mut number = 0;
        for (video, frames) in &self.parts {
            each_frame(video, |frame| {
                if frames.contains(&frame.number) {
                    let mut frame = frame.clone();
                    frame.number = number;
                    frame.stamp.pts = Duration::from_millis(40 * number);
                    see(&frame);
                    number += 1;
                }
            });
        }
    }
}

/// The models, each with one session.
struct Models {
    detector: Arc<infer::Model>,
    embedder: Arc<infer::Model>,
}

fn models() -> Option<Models> {
    let config = infer::Config::default();
    let runtime = Runtime::load(&config).unwrap();
    let open = |name: &str| {
        let manifest = runtime.manifest(name).unwrap();
        if !config.folder().join(&manifest.file).exists() {
            eprintln!("skipped: {} is not in models/store", manifest.file);
            return None;
        }
        let size = manifest.size(None).unwrap();
        Some(runtime.open(&manifest, 1, manifest.input.shape(1, size)).unwrap())
    };
    Some(Models { detector: open("yunet-n")?, embedder: open(EMBEDDER)? })
}

impl Models {
    fn detector(&self) -> Detector {
        let settings = detect::Settings::new(&detect::Config::default(), self.detector.manifest()).unwrap();
        Detector::new(Arc::clone(&self.detector), settings).unwrap()
    }

    fn embedder(&self) -> Embedder {
        Embedder::new(Arc::clone(&self.embedder)).unwrap()
    }

    /// A gallery of those of the clip's people whom `enrols` names.
    fn people(&self, clip: &Clip, enrolled: &BTreeSet<String>) -> People {
        let settings = gallery::Settings::of(&self.embedder());
        let calibration = settings.calibration;
        let gallery = Gallery::new(settings);
        let mut enroller = Enroller::new(self.detector(), None, self.embedder(), gallery.clone()).unwrap();
        for (person, picture) in clip.pictures.iter().filter(|(person, _)| enrolled.contains(person)) {
            let who = Who { id: None, profile: Profile::named(person), negative: false, source: "test".into() };
            if let Err(rejection) = enroller.enrol_file(&who, picture) {
                eprintln!("{}: {rejection}", picture.display());
            }
        }
        People { gallery, strangers: Strangers::new(TTL, calibration) }
    }
}

/// One embedder for many recognisers: each face of a frame is embedded once, and each recogniser's calls are counted.
#[derive(Clone)]
struct Shared(Arc<Mutex<Embedded>>);

struct Embedded {
    embedder: Embedder,
    of_frame: HashMap<[u32; 10], Embedding>,
}

struct Counted {
    shared: Shared,
    calls: Arc<Mutex<usize>>,
}

impl Embed for Counted {
    fn embed(
        &mut self,
        picture: Picture<'_>,
        faces: &[Landmarks],
        deadline: Instant,
    ) -> Result<Vec<Embedding>, InferError> {
        *self.calls.lock().unwrap() += faces.len();
        let Embedded { embedder, of_frame } = &mut *self.shared.0.lock().unwrap();
        let key = |face: &Landmarks| -> [u32; 10] {
            std::array::from_fn(|i| if i % 2 == 0 { face[i / 2].x } else { face[i / 2].y }.to_bits())
        };
        let mut embedding = |face: &Landmarks| {
            Ok(match of_frame.entry(key(face)) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => new.insert(embedder.embed(picture, &[*face], deadline)?.remove(0)).clone(),
            })
        };
        faces.iter().map(&mut embedding).collect()
    }

    fn together(&self) -> usize {
        1
    }
}

/// One camera that sees every `step`-th frame, from `offset` on, and knows some of the people.
pub struct Camera {
    pub step: u64,
    pub offset: u64,
    enrolled: BTreeSet<String>,
    tracker: Box<dyn Tracker>,
    recogniser: Recogniser,
    calls: Arc<Mutex<usize>>,
    score: Score,
}

/// One track in one frame: what it was called, whom it shows, and whether the face can be used.
struct Seen<'a> {
    track: u64,
    identity: Identity,
    truth: Option<(&'a str, bool)>,
}

/// What a camera told, against the truth.
#[derive(Default)]
struct Score {
    /// Track, person it shows, and what it was called instead, by frame.
    pub wrong: Vec<String>,
    aliases: BTreeMap<String, BTreeSet<String>>,
    /// By track and person: a track may change hands.
    tracks: BTreeMap<(u64, String), Life>,
    tracked: Duration,
    pub retracted: usize,
}

/// One track's life.
#[derive(Debug, Default)]
struct Life {
    /// First frame with a usable face, and for how long there was one without a break.
    first_usable: Option<Duration>,
    usable_since: Option<Duration>,
    /// Longest time of usable faces without a break.
    longest: Duration,
    /// When it had been shown for a second, and when it was identified.
    due: Option<Duration>,
    identified: Option<Duration>,
    last: Duration,
}

impl Score {
    fn take(&mut self, at: Duration, enrolled: &BTreeSet<String>, seen: &[Seen<'_>]) {
        for Seen { track, identity, truth } in seen {
            let Some((person, usable)) = truth else { continue };
            let known = enrolled.contains(*person);
            match identity {
                Identity::Known { person: name, score, margin, .. } if **name != **person => {
                    self.wrong
                        .push(format!("{at:?}: track {track}, {person}, is called {name} ({score:.2}, {margin:?})"));
                }
                Identity::Stranger { alias, score } => {
                    self.aliases.entry((*person).to_owned()).or_default().insert(alias.to_string());
                    if known {
                        self.wrong.push(format!("{at:?}: track {track}, {person}, is called {alias} ({score:?})"));
                    }
                }
                _ => {}
            }
            let life = self.tracks.entry((*track, (*person).to_owned())).or_default();
            if at.saturating_sub(life.last) > GAP {
                // Somebody who comes back to the track begins anew.
                life.usable_since = None;
            }
            self.tracked += if life.last.is_zero() { Duration::ZERO } else { at.saturating_sub(life.last) };
            life.last = at;
            if *usable {
                life.first_usable.get_or_insert(at);
                let since = *life.usable_since.get_or_insert(at);
                life.longest = life.longest.max(at - since);
                if life.longest >= Duration::from_secs(1) {
                    life.due.get_or_insert(at);
                }
            } else {
                life.usable_since = None;
            }
            if matches!(identity, Identity::Known { .. }) {
                life.identified.get_or_insert(at);
            }
        }
    }
}

impl Camera {
    fn new(
        models: &Models,
        clip: &Clip,
        (step, offset): (u64, u64),
        enrolled: BTreeSet<String>,
        shared: &Shared,
    ) -> Self {
        let calls = Arc::new(Mutex::new(0));
        let people = models.people(clip, &enrolled);
        let settings = recogniser::Settings { camera: "test".into(), quality: quality::Config::default(), vigil: None };
        let counted = Counted { shared: shared.clone(), calls: Arc::clone(&calls) };
        let recogniser = Recogniser::new(settings, counted, None, people);
        let score = models.detector().settings().score;
        let tracker = track::Config::default().for_detector(score).build();
        Self { step, offset, enrolled, tracker, recogniser, calls, score: Score::default() }
    }

    fn see(&mut self, clip: &Clip, frame: &Frame, detections: &[Detection], thumbnail: Thumbnail<'_>) {
        if frame.number % self.step != self.offset {
            return;
        }
        let at = frame.stamp.pts;
        let frame_size = frame.size();
        self.tracker.update(Analysis { at, frame_size, detections, thumbnail: Some(thumbnail) });
        let (tracks, ended) = (self.tracker.tracks(), self.tracker.ended());
        let stamp = Stamp { arrived_at: Monotonic::from_nanos(at.as_nanos() as u64), ..frame.stamp };
        let verdicts = self.recogniser.recognise(frame.picture(), &stamp, (tracks, ended), Instant::now() + DEADLINE);
        check_verdicts(verdicts, tracks, ended);
        self.score.retracted += verdicts.iter().filter(|v| v.change == Some(Change::Retracted)).count();
        let seen: Vec<_> = tracks
            .iter()
            .filter(|track| track.state == TrackState::Confirmed && track.detection.is_some())
            .map(|track| {
                let verdict = verdicts.iter().find(|verdict| verdict.track == track.id).unwrap();
                let truth = clip.shown(frame.number, track.rect);
                Seen { track: track.id, identity: verdict.identity.clone(), truth }
            })
            .collect();
        self.score.take(at, &self.enrolled, &seen);
    }
}

/// Each track has one verdict, and no two that are followed are the same person or stranger.
fn check_verdicts(verdicts: &[Verdict], tracks: &[Track], ended: &[Track]) {
    let ids: Vec<u64> = tracks.iter().chain(ended).map(|track| track.id).collect();
    assert_eq!(verdicts.iter().map(|v| v.track).collect::<BTreeSet<_>>(), ids.iter().copied().collect());
    assert_eq!(verdicts.len(), ids.len());
    let mut names = BTreeSet::new();
    for track in tracks.iter().filter(|track| track.state != TrackState::Lost) {
        let verdict = verdicts.iter().find(|verdict| verdict.track == track.id).unwrap();
        let name = match &verdict.identity {
            Identity::Known { person, .. } => person,
            Identity::Stranger { alias, .. } => alias,
            Identity::Undecided { .. } => continue,
        };
        assert!(names.insert(name.clone()), "{name} is two tracks at once");
    }
}

/// Shows a clip to cameras that each know some of its people and see some of its frames.
pub fn play(clip: &Clip, known: &[BTreeSet<String>], rates: &[(u64, u64)]) -> Option<Vec<Camera>> {
    let models = models()?;
    let shared = Shared(Arc::new(Mutex::new(Embedded { embedder: models.embedder(), of_frame: HashMap::new() })));
    let mut cameras = Vec::new();
    for enrolled in known {
        cameras.extend(rates.iter().map(|rate| Camera::new(&models, clip, *rate, enrolled.clone(), &shared)));
    }
    let mut detector = models.detector();
    let size = visor::pipeline::THUMBNAIL;
    let mut thumbnailer = Thumbnailer::new(size);
    let mut luma = Vec::new();
    clip.each_frame(|frame| {
        let detections = detector.detect(frame.picture(), Instant::now() + DEADLINE).unwrap();
        thumbnailer.make(frame.picture(), &mut luma);
        cameras.iter_mut().for_each(|camera| camera.see(clip, frame, detections, Thumbnail { size, luma: &luma }));
        shared.0.lock().unwrap().of_frame.clear();
    });
    Some(cameras)
}

pub fn each_frame(video: &Path, mut see: impl FnMut(&Frame)) {
    let spawner = Spawner::start_with(Path::new(env!("CARGO_BIN_EXE_visor"))).unwrap();
    let config = Config { pace: FilePace::Fast, ..Config::new(Uri::from_argument(video.to_str().unwrap())) };
    let mut source = Source::new("test", config.resolve(4).unwrap(), &spawner);
    loop {
        match source.next(Monotonic::now().plus(Duration::from_secs(1))) {
            SourceEvent::Frame(frame) => see(&frame),
            SourceEvent::Ended => return,
            _ => {}
        }
    }
}

/// What cameras told, all together.
#[derive(Default)]
pub struct Summary {
    pub cameras: usize,
    /// Seconds from a track's first usable face to its name.
    pub delays: Vec<f64>,
    /// Tracks that should have had a name, and had none by then.
    pub late: Vec<String>,
    pub wrong: Vec<String>,
    pub strangers: usize,
    /// Strangers with more than one alias, with somebody else's, or with none.
    pub misnamed: Vec<String>,
    pub retracted: usize,
    pub embeddings: usize,
    tracked: Duration,
}

impl Summary {
    pub fn of<'a>(cameras: impl IntoIterator<Item = &'a Camera>) -> Self {
        let mut summary = Self::default();
        cameras.into_iter().for_each(|camera| summary.add(camera));
        summary.delays.sort_by(f64::total_cmp);
        summary
    }

    fn add(&mut self, camera: &Camera) {
        let score = &camera.score;
        self.cameras += 1;
        self.wrong.extend(score.wrong.iter().cloned());
        self.retracted += score.retracted;
        self.embeddings += *camera.calls.lock().unwrap();
        self.tracked += score.tracked;
        for ((track, person), life) in score.tracks.iter().filter(|((_, person), _)| camera.enrolled.contains(person)) {
            if let (Some(first), Some(identified)) = (life.first_usable, life.identified) {
                self.delays.push(identified.saturating_sub(first).as_secs_f64());
            }
            if life.due.is_some_and(|due| life.identified.is_none_or(|identified| identified > due)) {
                self.late.push(format!("track {track}, {person}: {life:?}"));
            }
        }
        self.add_strangers(camera);
    }

    fn add_strangers(&mut self, camera: &Camera) {
        let mut taken = BTreeSet::new();
        let lives = || camera.score.tracks.iter().map(|((_, person), life)| (person, life));
        let people: BTreeSet<_> = lives().map(|(person, _)| person).collect();
        for person in people.into_iter().filter(|person| !camera.enrolled.contains(*person)) {
            self.strangers += 1;
            let long = lives().any(|(shown, life)| shown == person && life.longest >= STRANGER);
            let aliases = camera.score.aliases.get(person).cloned().unwrap_or_default();
            let one = aliases.len() == 1 || aliases.is_empty() && !long;
            if !one || !aliases.iter().all(|alias| taken.insert(alias.clone())) {
                self.misnamed.push(format!("{person} is {aliases:?}"));
            }
        }
    }

    fn quantile(&self, share: f64) -> f64 {
        let index = (self.delays.len() as f64 * share) as usize;
        self.delays.get(index.min(self.delays.len().saturating_sub(1))).copied().unwrap_or(0.0)
    }

    /// What is asked of every camera.
    pub fn check(&self, name: &str) {
        self.print(name);
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert!(self.late.is_empty(), "{:#?}", self.late);
        assert!(self.misnamed.is_empty(), "{:#?}", self.misnamed);
        assert!(self.quantile(0.5) <= 0.4 && self.quantile(0.95) <= 1.0, "{:?}", self.delays);
    }

    pub fn print(&self, name: &str) {
        let Self { cameras, delays, late, wrong, strangers, misnamed, retracted, .. } = self;
        eprintln!(
            "{name}, {cameras} cameras: {} tracks named after {:.2} s (p50), {:.2} s (p95); {} late, {} wrong, \
             {retracted} names taken back; {strangers} strangers, {} misnamed; {:.2} embeddings a second and track",
            delays.len(),
            self.quantile(0.5),
            self.quantile(0.95),
            late.len(),
            wrong.len(),
            misnamed.len(),
            self.embeddings as f64 / self.tracked.as_secs_f64()
        );
        wrong.iter().chain(late).chain(misnamed).take(6).for_each(|line| eprintln!("   {line}"));
    }
}
