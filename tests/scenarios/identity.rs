//! Who each track is, from the video's frames on: detector, tracker and recogniser as a camera has them, against the
//! clips' truth. Skipped, aloud, without assets or models.
#![cfg(feature = "media")]

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use visor::clock::Monotonic;
use visor::detect::{self, Detection, Detector, Landmarks, Thumbnailer};
use visor::frame::{Frame, Picture, Stamp};
use visor::geometry::Rect;
use visor::infer::{self, InferError, Runtime};
use visor::recognise::gallery::{self, Enroller, Who};
use visor::recognise::recogniser::{self, Embed};
use visor::recognise::{
    Change, Embedder, Embedding, Gallery, Identity, People, Recogniser, Strangers, Verdict, quality,
};
use visor::source::{Config, FilePace, Frames, Source, SourceEvent, Spawner, Uri};
use visor::track::{self, Analysis, Thumbnail, Track, TrackState, Tracker};

use super::detect::media;

const DEADLINE: Duration = Duration::from_secs(30);
const EMBEDDER: &str = "face-reid-0095";
const TTL: Duration = Duration::from_secs(3600);

/// Smallest true box, in pixels of its smaller side, and least visible share of a face that must be recognised.
const USABLE: (f32, f32) = (40.0, 0.8);

/// Whose face could be used for so long without a break must have an alias.
const STRANGER: Duration = Duration::from_millis(2500);

/// A clip with its truth.
struct Clip {
    video: PathBuf,
    gallery: PathBuf,
    /// Person by number.
    people: BTreeMap<u64, String>,
    /// True boxes with number and visible share, by frame from 1.
    truth: BTreeMap<u64, Vec<(u64, Rect, f32)>>,
}

fn clip(name: &str) -> Option<Clip> {
    let folder = media(&format!("tracking/{name}"))?;
    let text = std::fs::read_to_string(folder.join("gt/gt.txt")).unwrap();
    let mut truth: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<f32> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let rect = Rect::new(fields[2], fields[3], fields[4], fields[5]);
        truth.entry(fields[0] as u64).or_default().push((fields[1] as u64, rect, fields[8]));
    }
    let json = std::fs::read_to_string(folder.join("identities.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let people = json["ids"].as_object().unwrap();
    let people = people.iter().map(|(id, name)| (id.parse().unwrap(), name.as_str().unwrap().to_owned())).collect();
    Some(Clip { video: folder.join(format!("{name}.mp4")), gallery: folder.join("gallery"), people, truth })
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
    fn people(&self, clip: &Clip, enrols: impl Fn(&str) -> bool) -> People {
        let settings = gallery::Settings::of(&self.embedder());
        let calibration = settings.calibration;
        let gallery = Gallery::new(settings);
        let mut enroller = Enroller::new(self.detector(), None, self.embedder(), gallery.clone()).unwrap();
        for person in clip.people.values().filter(|person| enrols(person)) {
            for picture in 0..2 {
                let who = Who {
                    id: None,
                    name: person.clone(),
                    tags: Vec::new(),
                    expires: None,
                    negative: false,
                    source: "test".into(),
                };
                enroller.enrol_file(&who, &clip.gallery.join(format!("{person}_{picture}.jpg"))).unwrap();
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
struct Camera {
    step: u64,
    offset: u64,
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
    wrong: Vec<String>,
    aliases: BTreeMap<String, BTreeSet<String>>,
    tracks: BTreeMap<u64, Life>,
    tracked: Duration,
    retracted: usize,
}

/// One track's life.
#[derive(Debug, Default)]
struct Life {
    person: String,
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
            let life = self.tracks.entry(*track).or_default();
            if life.person != **person {
                *life = Life { person: (*person).to_owned(), ..Life::default() };
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

/// Whom a track's box shows, and whether the face can be used.
fn shown(clip: &Clip, frame: u64, rect: Rect) -> Option<(&str, bool)> {
    let boxes = clip.truth.get(&frame)?;
    let best = boxes.iter().max_by(|a, b| a.1.iou(rect).total_cmp(&b.1.iou(rect)))?;
    let usable = best.1.w.min(best.1.h) >= USABLE.0 && best.2 >= USABLE.1;
    (best.1.iou(rect) > 0.3).then(|| (clip.people[&best.0].as_str(), usable))
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
        let people = models.people(clip, |person| enrolled.contains(person));
        let settings = recogniser::Settings { camera: "test".into(), quality: quality::Config::default() };
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
                let truth = shown(clip, frame.number + 1, track.rect);
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
fn play(name: &str, known: impl Fn(&Clip) -> Vec<BTreeSet<String>>, rates: &[(u64, u64)]) -> Option<Vec<Camera>> {
    let clip = clip(name)?;
    let models = models()?;
    let shared = Shared(Arc::new(Mutex::new(Embedded { embedder: models.embedder(), of_frame: HashMap::new() })));
    let mut cameras = Vec::new();
    for enrolled in known(&clip) {
        cameras.extend(rates.iter().map(|rate| Camera::new(&models, &clip, *rate, enrolled.clone(), &shared)));
    }
    let mut detector = models.detector();
    let size = visor::pipeline::THUMBNAIL;
    let mut thumbnailer = Thumbnailer::new(size);
    let mut luma = Vec::new();
    each_frame(&clip.video, |frame| {
        let detections = detector.detect(frame.picture(), Instant::now() + DEADLINE).unwrap();
        thumbnailer.make(frame.picture(), &mut luma);
        cameras.iter_mut().for_each(|camera| camera.see(&clip, frame, detections, Thumbnail { size, luma: &luma }));
        shared.0.lock().unwrap().of_frame.clear();
    });
    Some(cameras)
}

fn each_frame(video: &Path, mut see: impl FnMut(&Frame)) {
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

/// Everybody, and every choice of half of the people.
fn halves(clip: &Clip) -> Vec<BTreeSet<String>> {
    let people: BTreeSet<&String> = clip.people.values().collect();
    let choices = (0..1u32 << people.len()).filter(|choice| {
        let chosen = choice.count_ones() as usize;
        chosen == people.len() / 2 || chosen == people.len().div_ceil(2)
    });
    let choose = |choice: u32| {
        let chosen = people.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1);
        chosen.map(|(_, person)| (*person).clone()).collect()
    };
    choices.map(choose).collect()
}

fn everybody(clip: &Clip) -> Vec<BTreeSet<String>> {
    vec![clip.people.values().cloned().collect()]
}

/// What cameras told, all together.
#[derive(Default)]
struct Summary {
    cameras: usize,
    /// Seconds from a track's first usable face to its name.
    delays: Vec<f64>,
    /// Tracks that should have had a name, and had none by then.
    late: Vec<String>,
    wrong: Vec<String>,
    strangers: usize,
    /// Strangers with more than one alias, with somebody else's, or with none.
    misnamed: Vec<String>,
    retracted: usize,
    embeddings: usize,
    tracked: Duration,
}

impl Summary {
    fn of<'a>(cameras: impl IntoIterator<Item = &'a Camera>) -> Self {
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
        for (track, life) in score.tracks.iter().filter(|(_, life)| camera.enrolled.contains(&life.person)) {
            if let (Some(first), Some(identified)) = (life.first_usable, life.identified) {
                self.delays.push(identified.saturating_sub(first).as_secs_f64());
            }
            if life.due.is_some_and(|due| life.identified.is_none_or(|identified| identified > due)) {
                self.late.push(format!("track {track}, {}: {life:?}", life.person));
            }
        }
        self.add_strangers(camera);
    }

    fn add_strangers(&mut self, camera: &Camera) {
        let mut taken = BTreeSet::new();
        let lives = || camera.score.tracks.values().filter(|life| !camera.enrolled.contains(&life.person));
        for person in lives().map(|life| &life.person).collect::<BTreeSet<_>>() {
            self.strangers += 1;
            let long = lives().any(|life| life.person == *person && life.longest >= STRANGER);
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
    fn check(&self, name: &str) {
        let Self { cameras, delays, late, wrong, strangers, misnamed, retracted, .. } = self;
        let (p50, p95) = (self.quantile(0.5), self.quantile(0.95));
        let rate = self.embeddings as f64 / self.tracked.as_secs_f64();
        let named = delays.len();
        eprintln!(
            "{name}, {cameras} cameras: {named} tracks named after {p50:.2} s (p50), {p95:.2} s (p95); {} late, {} wrong, \
             {retracted} names taken back; {strangers} strangers, {} misnamed; {rate:.2} embeddings a second and track",
            late.len(),
            wrong.len(),
            misnamed.len()
        );
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(late.is_empty(), "{late:#?}");
        assert!(misnamed.is_empty(), "{misnamed:#?}");
        assert!(p50 <= 0.4 && p95 <= 1.0, "{delays:?}");
    }
}

/// Frames a second of 25: all of them, and as a busy machine or a slow camera has them.
const RATES: [(u64, u64); 4] = [(1, 0), (2, 1), (3, 2), (5, 0)];

fn check(name: &str, known: impl Fn(&Clip) -> Vec<BTreeSet<String>>, rates: &[(u64, u64)]) {
    let Some(cameras) = play(name, known, rates) else { return };
    for (step, offset) in rates {
        let seen = cameras.iter().filter(|camera| (camera.step, camera.offset) == (*step, *offset));
        Summary::of(seen).check(&format!("{name}, every {step} from {offset}"));
    }
}

#[test]
fn heads_that_cross_are_named_at_once_and_never_wrongly() {
    check("synth_cross5", everybody, &RATES);
}

#[test]
fn a_video_call_that_rearranges_its_faces_is_named_at_once_and_never_wrongly() {
    check("synth_grid4", everybody, &RATES);
}

#[test]
fn whoever_of_the_heads_that_cross_is_a_stranger_has_one_alias_and_no_name() {
    check("synth_cross5", halves, &RATES[1..]);
}

#[test]
fn whoever_is_a_stranger_in_a_video_call_has_one_alias_and_no_name() {
    check("synth_grid4", halves, &RATES[1..]);
}

/// Every frame rate from 25 to 5 a second, every phase of it, everybody and every half.
#[test]
#[ignore = "takes minutes"]
fn at_every_rate_and_phase() {
    let rates: Vec<_> = (1..=5).flat_map(|step| (0..step).map(move |offset| (step, offset))).collect();
    for name in ["synth_cross5", "synth_grid4"] {
        check(name, everybody, &rates);
        check(name, halves, &rates);
    }
}
