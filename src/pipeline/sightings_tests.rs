//! Exemptions from the faces on to what leaves the delay line: real ledger, real rules, real line; a made-up world with
//! made-up embeddings, and a tracker that makes mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Analysed, Faces, Named, Sightings};
use crate::clock::Monotonic;
use crate::detect::Detection;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Frame, Layout, PixelFormat, Stamp};
use crate::geometry::{Point, Rect, Size};
use crate::infer::manifest::Impostors;
use crate::mask::{Config, Hold, Line, Lookahead, Policy, Release, Ruling, Settings, Who};
use crate::recognise::continuity::{Look, Sighting};
use crate::recognise::fusion::{Crop, Pose};
use crate::recognise::gallery::{self, Calibration, Enrolment, Gallery, PersonId, Profile, Tags};
use crate::recognise::ledger::Ledger;
use crate::recognise::{Embedding, People, Quality, Reason, Strangers, Verdict};
use crate::track::{Track, TrackState};

mod cuts;
mod mistakes;

const DIMENSION: usize = 32;
const MODEL: Calibration = Calibration { pair: 0.4, impostors: Impostors { cosine: 0.4, rate: 2.6e-4, scale: 0.04 } };
const NAMES: [&str; 3] = ["alice", "bob", "cara"];
const ALICE: usize = 0;
const CARA: usize = 2;

/// Frames are this far apart, and an analysis takes so long, in milliseconds.
const FRAME: u64 = 40;
const TAKES: u64 = 30;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Monotonic {
    Monotonic::default().plus(ms(1000 + n))
}

fn frame(number: u64) -> Frame {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let layout = Layout::packed(Size::new(1280, 2), PixelFormat::I420, colour);
    let now = number * FRAME;
    let (clock, captured_at) = (ClockSource::Arrival, SystemTime::UNIX_EPOCH);
    let stamp = Stamp { pts: ms(now), arrived_at: at(now), decode: None, captured_at, clock };
    Frame::new(number, stamp, layout, Arc::new(vec![0; layout.end().unwrap()])).unwrap()
}

/// Alice, who is staff, and Bob.
fn people(tags: Tags) -> People {
    let settings = gallery::Settings {
        model: "made-up".into(),
        dimension: DIMENSION,
        threshold: None,
        margin: None,
        calibration: MODEL,
        tags,
    };
    let people = People { gallery: Gallery::new(settings), strangers: Strangers::new(ms(3_600_000), MODEL) };
    for (person, name) in NAMES.iter().enumerate().take(2) {
        let enrolment = Enrolment {
            id: Some(PersonId::new(name).unwrap()),
            profile: Profile::named(&name.to_uppercase()),
            references: vec![(face(person, 1.0, 0), 0.9)],
            negative: false,
            source: "test".into(),
        };
        people.gallery.enrol(enrolment).unwrap();
    }
    people
}

fn staff() -> Tags {
    Arc::new(BTreeMap::from([("staff".to_owned(), BTreeSet::from(["alice".to_owned()]))]))
}

/// The face of a person whose cosine to the person's reference is `cosine`; different `noise` is a different rest.
fn face(person: usize, cosine: f32, noise: usize) -> Embedding {
    let mut values = [0.0; DIMENSION];
    values[person] = cosine;
    values[16 + noise % 16] = (1.0 - cosine * cosine).sqrt();
    Embedding::new(&values)
}

/// What happens at one analysis.
#[derive(Clone, Debug)]
enum Event {
    /// The tracker takes two people for each other, or one for a new face.
    Swap(usize, usize),
    Renumber(usize),
    /// Somebody is not found; who is found next may be given the track.
    Hidden(usize),
    /// Somebody's face cannot be used.
    Unfit(usize),
    /// Two come so near that they may be mistaken for each other.
    Meet,
    /// Alice is forgotten, or her tag is taken from her.
    Forget,
    Untag,
}

struct World {
    settings: Settings,
    people: People,
    ledger: Ledger,
    sightings: Sightings,
    line: Line,
    /// The number of each person's track.
    tracks: [u64; 3],
    issued: u64,
    faces: usize,
    now: u64,
    /// Alice has no right to go unmasked any more.
    disowned: bool,
    /// Whether an analysis has come since.
    known: bool,
    /// Whom embeddings say somebody is.
    looks_like: [usize; 3],
    /// Who stands at each of the three places, now and in each frame. A track is that of a place.
    cast: [usize; 3],
    casts: BTreeMap<u64, [usize; 3]>,
    /// Where everybody was, and who was found, by analysed frame.
    analysed: BTreeMap<u64, [bool; 3]>,
    apart: BTreeMap<u64, f32>,
    shown: [usize; 3],
    /// Each frame in which somebody was shown, and who.
    seen: Vec<(u64, usize)>,
    /// Analysed frames in which somebody was verified to go unmasked.
    verified: Vec<u64>,
    released: usize,
}

impl World {
    fn new(who: Who, exempt: &[&str], lookahead: Lookahead, lookahead_ms: u64) -> Self {
        let exempt = exempt.iter().map(|tag| (*tag).to_owned()).collect();
        let settings = Config { who, exempt, lookahead_ms, ..Config::default() }.resolve(Vec::new()).unwrap();
        let policy = Policy { lookahead, capacity: 60, margins: settings.margins, nobody: false };
        Self {
            people: people(staff()),
            ledger: Ledger::default(),
            sightings: Sightings::new(&settings),
            line: Line::new(policy),
            settings,
            tracks: [1, 2, 3],
            issued: 3,
            faces: 0,
            now: 0,
            disowned: false,
            known: false,
            looks_like: [0, 1, 2],
            cast: [0, 1, 2],
            casts: BTreeMap::new(),
            analysed: BTreeMap::new(),
            apart: BTreeMap::new(),
            shown: [0; 3],
            seen: Vec::new(),
            verified: Vec::new(),
            released: 0,
        }
    }

    /// Whether somebody's face must never be seen, by what has been analysed so far.
    fn must_be_masked(&self, person: usize) -> bool {
        let is_known = person < CARA && !(person == ALICE && self.disowned && self.known);
        match (self.settings.who, person) {
            (Who::Strangers, _) => !is_known,
            // whoever is forgotten becomes a stranger
            (Who::Known, _) => person < CARA && !(person == ALICE && self.disowned),
            (Who::Everyone, ALICE) => self.disowned && self.known,
            _ => true,
        }
    }

    /// Where a place is in a frame, given how far all are apart.
    fn place(place: usize, number: u64, apart: f32) -> Rect {
        Rect::new(100.0 + place as f32 * apart + number as f32 * 0.5, 100.0, 60.0, 80.0)
    }

    /// A frame comes; everybody stands `apart`.
    fn push(&mut self, number: u64, apart: f32) {
        self.now = number * FRAME;
        self.apart.insert(number, apart);
        self.casts.insert(number, self.cast);
        let forced = self.line.push(frame(number));
        forced.iter().for_each(|release| self.check(release));
        self.release();
    }

    fn release(&mut self) {
        while let Some(release) = self.line.poll(at(self.now)) {
            self.check(&release);
        }
        self.line.check_invariants();
    }

    /// Whoever was found on both sides of the frame and must be masked is.
    fn check(&mut self, release: &Release) {
        self.released += 1;
        let Ruling::Masked(plan) = &release.ruling else { return };
        let number = release.frame.number;
        let bracket = plan.bracket();
        let (from, to) = (self.analysed[&bracket.from], self.analysed[&bracket.to]);
        for (place, person) in self.casts[&number].into_iter().enumerate() {
            let rect = Self::place(place, number, self.apart[&number]);
            let hidden = plan.regions().iter().flat_map(|region| &region.boxes);
            let is_hidden = hidden.into_iter().any(|hidden| hidden.intersection(rect).area() >= rect.area() * 0.95);
            self.shown[person] += usize::from(!is_hidden);
            self.seen.extend((!is_hidden).then_some((number, person)));
            let found = from[place] && to[place];
            assert!(is_hidden || !found || !self.must_be_masked(person), "{} shows in frame {number}", NAMES[person]);
        }
    }

    /// The analysis of a frame.
    fn analyse(&mut self, number: u64, events: &[Event]) {
        for event in events {
            match event {
                Event::Swap(a, b) => self.tracks.swap(*a, *b),
                Event::Renumber(person) => {
                    self.issued += 1;
                    self.tracks[*person] = self.issued;
                }
                Event::Forget => self.disowned |= self.people.gallery.forget("alice"),
                Event::Untag => {
                    self.people.gallery = self.people.gallery.retuned(None, None, Tags::default());
                    (self.ledger, self.disowned) = (Ledger::default(), self.settings.who == Who::Everyone);
                }
                Event::Hidden(_) | Event::Unfit(_) | Event::Meet => {}
            }
        }
        let found: [bool; 3] =
            std::array::from_fn(|n| !events.iter().any(|e| matches!(e, Event::Hidden(m) if *m == n)));
        let unfit = |n: usize| events.iter().any(|e| matches!(e, Event::Unfit(m) if *m == n));
        let tracks: Vec<Track> = (0..3).map(|person| self.track(person, number, found[person])).collect();
        let verdicts = self.recognise(&tracks, unfit);
        let detections: Vec<Detection> = tracks.iter().filter_map(|track| track.detection).collect();
        let named = Named { verdicts: &verdicts, embedder: "made-up", revision: (0, self.people.gallery.revision()) };
        let frame = Analysed { number, at: ms(number * FRAME), generation: self.line.generation() };
        let faces = Faces { detections: &detections, tracks: &tracks, score: 0.5, named: Some(named) };
        let analysis = self.sightings.analysis(frame, faces);
        self.now = number * FRAME + TAKES;
        self.analysed.insert(number, found);
        self.verified.extend(analysis.sightings.iter().any(|sighting| sighting.verified).then_some(number));
        self.known = self.disowned;
        self.line.analysed(&analysis, ms(TAKES));
        self.release();
    }

    fn track(&self, person: usize, number: u64, found: bool) -> Track {
        let rect = Self::place(person, number, self.apart[&number]);
        Track {
            id: self.tracks[person],
            rect,
            velocity: Point::new(12.5, 0.0),
            state: if found { TrackState::Confirmed } else { TrackState::Lost },
            detection: found.then_some(Detection { rect, score: 0.9, landmarks: None }),
            score: 0.9,
            first_seen: Duration::ZERO,
            last_seen: ms(number * FRAME),
            hits: 9,
        }
    }

    /// As a camera's recogniser does, with embeddings that are always right.
    fn recognise(&mut self, tracks: &[Track], unfit: impl Fn(usize) -> bool) -> Vec<Verdict> {
        let (former, vigil) = (self.ledger.identities(), Sightings::vigil(&self.settings));
        for (person, track) in tracks.iter().enumerate() {
            let now = at(self.now);
            let dossier = self.ledger.open(track.id, track.state != TrackState::Lost, now);
            let Some(detection) = track.detection else { continue };
            let quality = Quality { score: 0.8, reason: unfit(person).then_some(Reason::TooBlurred) };
            // everybody looks the same to the eye: nothing but an embedding tells them apart
            let (at, look) = (track.last_seen, Look::of_somebody(1));
            let sighting = Sighting { at, rect: detection.rect, look, crossing: false };
            dossier.watch(vigil.as_ref().and_then(|vigil| vigil.over(&dossier.identity, &self.people.gallery)));
            if dossier.see(sighting, quality, Some(Pose::Frontal)).is_some() {
                dossier.note_attempt(Pose::Frontal);
                self.faces += 1;
                let embedding = face(self.looks_like[self.cast[person]], 0.9, self.faces);
                let crop = Crop { embedding, quality: 0.8, score: 0.9, pose: Pose::Frontal, at };
                self.ledger.learn(track.id, &crop, &self.people, now);
            }
        }
        self.ledger.retain(|id| tracks.iter().any(|track| track.id == id));
        let mut verdicts = Vec::new();
        self.ledger.decide(&self.people, at(self.now), &former, &mut verdicts);
        verdicts
    }

    /// Plays so many analyses, each `every` frames, with what happens at some of them.
    fn play(&mut self, analyses: u64, every: u64, happens: impl Fn(u64) -> Vec<Event>) {
        for number in 0..analyses * every {
            let events = happens(number / every);
            let meet = events.iter().any(|event| matches!(event, Event::Meet));
            self.push(number, if meet { 62.0 } else { 300.0 });
            if number % every == 0 {
                self.analyse(number, &events);
            }
        }
        self.line.end();
        self.now += 10_000;
        self.release();
        assert_eq!(self.released as u64, analyses * every);
    }
}

fn held(every: u64) -> Lookahead {
    Lookahead::Held(Hold::new(ms(200), ms(every * FRAME), ms(TAKES)))
}

/// Every way in which a camera or a file looks ahead, with the setting for it.
fn lookaheads(every: u64) -> [(Lookahead, u64); 3] {
    let own = Lookahead::Own(Hold::new(ms(0), ms(every * FRAME), ms(TAKES)));
    [(held(every), 200), (own, 0), (Lookahead::File(ms(1000)), 1000)]
}

/// How many frames show each of the three in an undisturbed minute's eighth.
fn shown(who: Who, exempt: &[&str]) -> [f32; 3] {
    let mut world = World::new(who, exempt, held(2), 200);
    world.play(100, 2, |_| Vec::new());
    world.shown.map(|shown| shown as f32 / world.released as f32)
}

#[test]
fn each_rule_shows_whom_it_lets_go_and_nobody_else() {
    let most = |share: f32| share > 0.9;
    assert!(matches!(shown(Who::Strangers, &[]), [alice, bob, 0.0] if most(alice) && most(bob)));
    assert!(matches!(shown(Who::Everyone, &["staff"]), [alice, 0.0, 0.0] if most(alice)));
    // a stranger is one after two seconds, and is then looked at again to be sure
    assert!(matches!(shown(Who::Known, &[]), [0.0, 0.0, cara] if cara > 0.6));
    assert_eq!(shown(Who::Everyone, &[]), [0.0; 3]);
}

#[test]
#[should_panic(expected = "cara shows in frame")]
fn the_check_notices_a_stranger_who_is_shown() {
    let mut world = World::new(Who::Strangers, &[], held(2), 200);
    world.looks_like[CARA] = 1;
    world.play(60, 2, |analysis| if analysis == 0 { vec![Event::Forget] } else { vec![Event::Hidden(1)] });
}

#[test]
fn whoever_is_forgotten_or_loses_the_tag_is_masked_in_held_frames_too() {
    for (event, who, exempt) in [
        (Event::Forget, Who::Strangers, &[][..]),
        (Event::Forget, Who::Everyone, &["staff"]),
        (Event::Untag, Who::Everyone, &["staff"]),
    ] {
        for (lookahead, lookahead_ms) in lookaheads(2) {
            let mut world = World::new(who, exempt, lookahead, lookahead_ms);
            world.play(60, 2, |analysis| if analysis == 40 { vec![event.clone()] } else { Vec::new() });
            assert!(world.shown[ALICE] > 30, "{event:?} {who:?} {}", world.shown[ALICE]);
        }
    }
}

#[test]
fn whoever_has_left_when_forgotten_is_masked_in_held_frames_too() {
    let mut world = World::new(Who::Strangers, &[], held(2), 200);
    world.play(60, 2, |analysis| match analysis {
        38.. => [Event::Hidden(ALICE)].into_iter().chain((analysis == 40).then_some(Event::Forget)).collect(),
        _ => Vec::new(),
    });
    assert!(world.shown[ALICE] > 30);
}
