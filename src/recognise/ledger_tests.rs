//! Identities over time with made-up embeddings: each person is a direction, and each face lies a given angle off it.

use std::time::Duration;

mod handover;

use super::continuity::{Look, Sighting};
use super::fusion::{Crop, Pose};
use super::gallery::{Calibration, Enrolment, Gallery, PersonId, Profile, Settings};
use super::ledger::{Ledger, People};
use super::strangers::Strangers;
use super::{Change, Embedding, Identity, Quality, Reason, Verdict};
use crate::clock::Monotonic;
use crate::geometry::Rect;
use crate::infer::manifest::Impostors;

const DIMENSION: usize = 32;
const MODEL: Calibration = Calibration { pair: 0.4, impostors: Impostors { cosine: 0.4, rate: 2.6e-4, scale: 0.04 } };

/// Analyses are this far apart.
const STEP: u64 = 100;

const ALICE: usize = 0;
const BOB: usize = 1;
const CARA: usize = 2;
const NAMES: [&str; 3] = ["alice", "bob", "cara"];

/// The face of a person whose cosine to the person's reference is `cosine`; different `noise` is a different rest.
fn face(person: usize, cosine: f32, noise: usize) -> Embedding {
    let mut values = [0.0; DIMENSION];
    values[person] = cosine;
    values[16 + noise % 16] = (1.0 - cosine * cosine).sqrt();
    Embedding::new(&values)
}

fn people() -> People {
    let settings = Settings {
        model: "made-up".into(),
        dimension: DIMENSION,
        threshold: None,
        margin: None,
        calibration: MODEL,
        tags: Default::default(),
    };
    People { gallery: Gallery::new(settings), strangers: Strangers::new(Duration::from_secs(3600), MODEL) }
}

fn enrol(people: &People, person: usize, negative: Option<Embedding>) {
    let is_anchor = negative.is_some();
    let reference = negative.unwrap_or_else(|| face(person, 1.0, 0));
    let enrolment = Enrolment {
        id: Some(PersonId::new(NAMES[person]).unwrap()),
        profile: Profile::named(&NAMES[person].to_uppercase()),
        references: vec![(reference, 0.9)],
        negative: is_anchor,
        source: "test".into(),
    };
    people.gallery.enrol(enrolment).unwrap();
}

/// What a track's box shows in one analysis.
#[derive(Clone, Copy)]
struct Shown {
    track: u64,
    person: usize,
    cosine: f32,
    quality: f32,
    reason: Option<Reason>,
    crossing: bool,
    /// Whom the box looks like to the eye.
    look: u64,
}

/// A good face of somebody, who looks like themselves.
fn good(track: u64, person: usize) -> Shown {
    Shown { track, person, cosine: 0.9, quality: 0.8, reason: None, crossing: false, look: person as u64 }
}

/// One camera's ledger.
struct Camera {
    ledger: Ledger,
    people: People,
    now: u64,
    faces: usize,
    embedded: usize,
}

impl Camera {
    fn new(people: &People) -> Self {
        Self { ledger: Ledger::default(), people: people.clone(), now: 0, faces: 0, embedded: 0 }
    }

    fn clock(&self) -> Monotonic {
        Monotonic::from_nanos(self.now * 1_000_000)
    }

    /// One analysis in which the tracker follows `shown`, and has lost those tracks of before that are in `lost`.
    fn see_and_lose(&mut self, shown: &[Shown], lost: &[u64]) -> Vec<Verdict> {
        let (former, now) = (self.ledger.identities(), self.clock());
        for Shown { track, person, cosine, quality, reason, crossing, look } in shown.iter().copied() {
            let rect = Rect::new(100.0 * track as f32, 100.0, 50.0, 60.0);
            let at = Duration::from_millis(self.now);
            let sighting = Sighting { at, rect, look: Look::of_somebody(look), crossing };
            let dossier = self.ledger.open(track, true, now);
            let wanted = dossier.see(sighting, Quality { score: quality, reason }, Some(Pose::Frontal));
            if wanted.is_some() {
                self.faces += 1;
                self.embedded += 1;
                dossier.note_attempt(Pose::Frontal);
                let embedding = face(person, cosine, self.faces);
                let crop = Crop { embedding, quality, score: 0.9, pose: Pose::Frontal, at };
                self.ledger.learn(track, &crop, &self.people, now);
            }
        }
        for track in lost {
            self.ledger.open(*track, false, now);
        }
        self.ledger.retain(|id| lost.contains(&id) || shown.iter().any(|shown| shown.track == id));
        let mut verdicts = Vec::new();
        self.ledger.decide(&self.people, now, &former, &mut verdicts);
        self.now += STEP;
        verdicts
    }

    fn see(&mut self, shown: &[Shown]) -> Vec<Verdict> {
        self.see_and_lose(shown, &[])
    }

    /// The same for a while; the last verdicts, and every change on the way.
    fn watch(&mut self, shown: &[Shown], analyses: usize) -> (Vec<Verdict>, Vec<Change>) {
        let all: Vec<_> = (0..analyses).map(|_| self.see(shown)).collect();
        let changes = all.iter().flatten().filter_map(|verdict| verdict.change).collect();
        (all.into_iter().next_back().unwrap_or_default(), changes)
    }

    fn end(&mut self, track: u64) {
        let now = self.clock();
        assert!(self.ledger.end(track, now).is_some());
    }
}

/// What each track is called: a person's id, an alias, or why it is neither.
fn names(verdicts: &[Verdict]) -> Vec<String> {
    let name = |verdict: &Verdict| match &verdict.identity {
        Identity::Known { person, .. } => person.to_string(),
        Identity::Stranger { alias, .. } => alias.to_string(),
        Identity::Undecided { reason } => reason.map_or("?".into(), |reason| reason.name().to_owned()),
    };
    verdicts.iter().map(name).collect()
}

fn changes(verdicts: &[Verdict]) -> Vec<Option<Change>> {
    verdicts.iter().map(|verdict| verdict.change).collect()
}

fn with(persons: &[usize]) -> People {
    let people = people();
    persons.iter().for_each(|person| enrol(&people, *person, None));
    people
}

#[test]
fn one_excellent_face_names_at_once() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    let verdicts = camera.see(&[good(1, ALICE)]);
    assert_eq!((names(&verdicts), changes(&verdicts)), (vec!["alice".into()], vec![Some(Change::Identified)]));
    let Identity::Known { name, score, margin, .. } = &verdicts[0].identity else { panic!() };
    assert_eq!(&**name, "ALICE");
    assert!((score - 0.9).abs() < 1e-3 && margin.unwrap() > 0.8);
    assert_eq!(changes(&camera.see(&[good(1, ALICE)])), [None]);
}

#[test]
fn a_poor_face_is_looked_at_twice() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    let poor = Shown { quality: 0.3, ..good(1, ALICE) };
    let told: Vec<_> = (0..4).map(|_| names(&camera.see(&[poor])).remove(0)).collect();
    assert_eq!(told, ["?", "?", "alice", "alice"]);
    assert_eq!(camera.embedded, 2);
}

#[test]
fn a_face_that_cannot_be_used_says_why() {
    let mut camera = Camera::new(&with(&[ALICE]));
    for reason in [Reason::TooSmall, Reason::TurnedAway, Reason::TooBlurred] {
        let (last, changes) = camera.watch(&[Shown { reason: Some(reason), ..good(1, ALICE) }], 30);
        assert_eq!((names(&last), changes), (vec![reason.name().to_owned()], vec![]));
    }
    assert_eq!(camera.embedded, 0);
}

#[test]
fn who_is_nobody_becomes_a_stranger_after_two_seconds_of_usable_faces() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    let hidden = Shown { reason: Some(Reason::Occluded), ..good(1, CARA) };
    camera.watch(&[good(1, CARA)], 10);
    camera.watch(&[hidden], 50);
    assert_eq!(names(&camera.see(&[good(1, CARA)])), ["below_threshold"]);
    let (last, _) = camera.watch(&[good(1, CARA)], 9);
    assert_eq!(names(&last), ["below_threshold"], "hidden faces do not count");
    let (last, changes) = camera.watch(&[good(1, CARA)], 3);
    assert_eq!((names(&last), changes), (vec!["visitor-1".into()], vec![Change::Identified]));
}

#[test]
fn an_empty_gallery_knows_strangers() {
    let mut camera = Camera::new(&people());
    assert_eq!(names(&camera.watch(&[good(1, ALICE), good(2, BOB)], 25).0), ["visitor-1", "visitor-2"]);
}

#[test]
fn a_forgotten_person_is_nobody_at_once_and_also_on_a_lost_track() {
    let people = with(&[ALICE, BOB]);
    let mut camera = Camera::new(&people);
    camera.watch(&[good(1, ALICE), good(2, BOB)], 5);
    camera.see_and_lose(&[good(1, ALICE)], &[2]);
    people.gallery.forget_all();
    let verdicts = camera.see_and_lose(&[good(1, ALICE)], &[2]);
    assert_eq!(names(&verdicts), ["below_threshold", "?"]);
    assert_eq!(changes(&verdicts), [Some(Change::Retracted); 2]);
    let (last, _) = camera.watch(&[good(1, ALICE)], 25);
    assert_eq!(names(&last), ["visitor-1"]);
}

#[test]
fn a_negative_anchor_takes_a_name_back() {
    let people = with(&[ALICE, BOB]);
    let mut camera = Camera::new(&people);
    let alike = Shown { cosine: 0.6, ..good(1, ALICE) };
    assert_eq!(names(&camera.watch(&[alike], 5).0), ["alice"]);
    let fused = camera.ledger.dossier(1).unwrap().evidence.fused().unwrap().clone();
    enrol(&people, ALICE, Some(fused));
    let verdicts = camera.see(&[alike]);
    assert_eq!(changes(&verdicts), [Some(Change::Retracted)]);
}

#[test]
fn an_enrolled_stranger_becomes_known() {
    let people = with(&[ALICE]);
    let mut camera = Camera::new(&people);
    assert_eq!(names(&camera.watch(&[good(1, BOB)], 25).0), ["visitor-1"]);
    enrol(&people, BOB, None);
    let verdicts = camera.see(&[good(1, BOB)]);
    assert_eq!((names(&verdicts), changes(&verdicts)), (vec!["bob".into()], vec![Some(Change::Revised)]));
    assert!(people.strangers.is_empty());
}

#[test]
fn a_track_in_sight_takes_on_the_alias_that_its_own_was_merged_into() {
    let people = people();
    let mut camera = Camera::new(&people);
    assert_eq!(names(&camera.watch(&[good(1, ALICE), good(2, BOB)], 25).0), ["visitor-1", "visitor-2"]);
    camera.see_and_lose(&[good(1, ALICE)], &[2]);
    assert!(people.strangers.merge("visitor-1", "visitor-2"));
    let verdicts = camera.see_and_lose(&[good(1, ALICE)], &[2]);
    assert_eq!((names(&verdicts).remove(0), changes(&verdicts)[0]), ("visitor-2".into(), Some(Change::Revised)));
    assert_eq!(changes(&camera.see_and_lose(&[good(1, ALICE)], &[2]))[0], None);
    let verdicts = camera.see(&[good(1, ALICE), good(2, BOB)]);
    assert_eq!(names(&verdicts), ["visitor-2", "ambiguous"], "one stranger is not at two places");
}

#[test]
fn two_tracks_are_never_one_person() {
    let mut camera = Camera::new(&with(&[ALICE, BOB]));
    let weaker = Shown { cosine: 0.8, ..good(1, ALICE) };
    assert_eq!(names(&camera.see(&[weaker, good(2, ALICE)])), ["ambiguous", "alice"]);
    let before = camera.embedded;
    let (last, changes) = camera.watch(&[weaker, good(2, ALICE)], 50);
    assert_eq!((names(&last), changes), (vec!["ambiguous".into(), "alice".into()], vec![]));
    assert!(camera.embedded - before < 20, "a mirror on the wall does not cost a model run a frame");
    assert_eq!(names(&camera.watch(&[weaker], 3).0), ["alice"], "the other one has gone");
}

#[test]
fn a_stranger_is_the_same_on_every_camera_and_the_third_time() {
    let people = with(&[ALICE]);
    let (mut front, mut back) = (Camera::new(&people), Camera::new(&people));
    assert_eq!(names(&front.watch(&[good(1, BOB)], 25).0), ["visitor-1"]);
    back.now = 600_000;
    assert_eq!(names(&back.watch(&[good(1, BOB), good(2, CARA)], 4).0)[0], "visitor-1");
    assert_eq!(names(&back.watch(&[good(1, BOB), good(2, CARA)], 20).0), ["visitor-1", "visitor-2"]);
    front.ledger.clear(front.clock());
    front.now = 900_000;
    let first = front.see(&[good(7, BOB)]);
    assert_eq!(names(&first), ["visitor-1"], "known as such by one excellent face");
}

#[test]
fn a_score_that_wavers_does_not_make_a_name_flicker() {
    let people = with(&[ALICE, BOB]);
    let threshold = people.bar().threshold;
    let mut camera = Camera::new(&people);
    camera.watch(&[Shown { cosine: threshold + 0.03, ..good(1, ALICE) }], 10);
    let mut told = Vec::new();
    for i in 0..200 {
        let cosine = threshold + if i % 20 < 10 { 0.03 } else { -0.03 };
        told.extend(camera.see(&[Shown { cosine, ..good(1, ALICE) }]).remove(0).change);
    }
    assert_eq!(told, []);
}

#[test]
fn two_who_look_alike_are_ambiguous() {
    let people = with(&[ALICE, BOB]);
    let mut values = [0.0; DIMENSION];
    (values[ALICE], values[BOB]) = (0.7, 0.7);
    let twin = Embedding::new(&values);
    let mut camera = Camera::new(&people);
    for _ in 0..3 {
        let at = Duration::from_millis(camera.now);
        let crop = Crop { embedding: twin.clone(), quality: 0.9, score: 0.9, pose: Pose::Frontal, at };
        let sighting =
            Sighting { at, rect: Rect::new(0.0, 0.0, 50.0, 50.0), look: Look::of_somebody(0), crossing: false };
        let now = camera.clock();
        let quality = Quality { score: 0.9, reason: None };
        let _ = camera.ledger.open(1, true, now).see(sighting, quality, Some(Pose::Frontal));
        camera.ledger.learn(1, &crop, &people, now);
        let mut verdicts = Vec::new();
        camera.ledger.decide(&people, now, &camera.ledger.identities(), &mut verdicts);
        assert_eq!(names(&verdicts), ["ambiguous"]);
        camera.now += 300;
    }
}

#[test]
fn a_thousand_tracks_leave_a_bounded_memory() {
    let people = with(&[ALICE]);
    let mut camera = Camera::new(&people);
    for track in 0..1000 {
        camera.see(&[good(track, 1 + (track % 15) as usize)]);
        camera.end(track);
    }
    assert!(camera.ledger.remembered() <= 64);
    camera.now += 120_000;
    camera.see(&[]);
    assert_eq!(camera.ledger.remembered(), 0, "a minute later nobody is expected back");
}
