//! Who is who on clips with exact truth, served over RTSP and told over MQTT: everybody enrolled is named in time, nobody
//! wrongly, and strangers have one alias each.
#![cfg(feature = "media")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use visor::geometry::Rect;
use visor::restream::child::SimulatedCamera;

use super::people_clips::clip;
use super::support::broker::Broker;
use super::support::daemon::{Daemon, models, visor};
use super::support::naming::Clip;
use super::support::recorder::Recorder;
use super::support::wait::soak_time;

/// Both clips' frames a second, and the size of their frames.
const FPS: f64 = 25.0;
const SIZE: (f32, f32) = (1280.0, 720.0);

/// How long a gallery is tried out: two rounds of the longer clip and a little.
const PASS: Duration = Duration::from_secs(26);

/// For how long a face must be usable without a break to be named, and how late an event may be.
const USABLE: f64 = 1.0;
const LATE: f64 = 0.5;

/// Looks at a face further apart than this are not one.
const GAP: f64 = 0.5;

/// One event, with times in seconds.
#[derive(Debug)]
struct Told {
    /// When the face was where the box is: before the event's own time where the track was lost first.
    at: f64,
    published: f64,
    first_seen: f64,
    kind: String,
    track: String,
    rect: Rect,
    person: Option<String>,
    alias: Option<String>,
}

impl Told {
    fn new(text: &str) -> Self {
        let event: Value = serde_json::from_str(text).unwrap();
        let seconds = |key: &str| {
            let time: Timestamp = event[key].as_str().unwrap().parse().unwrap();
            time.as_nanosecond() as f64 / 1e9
        };
        let side = |key: &str, whole: f32| event["box"][key].as_f64().unwrap() as f32 * whole;
        let word = |key: &str| event["identity"][key].as_str().map(str::to_owned);
        Self {
            at: seconds("last_seen"),
            published: seconds("published_at"),
            first_seen: seconds("first_seen"),
            kind: event["type"].as_str().unwrap().to_owned(),
            track: event["track"].as_str().unwrap().to_owned(),
            rect: Rect::new(side("x", SIZE.0), side("y", SIZE.1), side("w", SIZE.0), side("h", SIZE.1)),
            person: word("person"),
            alias: word("alias"),
        }
    }
}

/// A clip that runs again and again, as a wall clock sees it.
struct Shown<'a> {
    clip: &'a Clip,
    frames: u64,
    /// When some round began, in seconds.
    began: f64,
}

impl<'a> Shown<'a> {
    /// Finds out when the rounds begin: then the boxes told lie best on the true ones.
    fn fit(clip: &'a Clip, told: &[Told]) -> Self {
        let frames = clip.length();
        let at = |phase: u64| Self { clip, frames, began: told[0].at + phase as f64 / FPS };
        let fit = |shown: &Self| -> f32 { told.iter().map(|t| clip.overlap(shown.frame(t.at), t.rect)).sum() };
        let best = (0..frames).map(at).max_by(|a, b| fit(a).total_cmp(&fit(b))).unwrap();
        let mean = fit(&best) / told.len() as f32;
        assert!(mean > 0.5, "the boxes told lie nowhere on the true ones: {mean}");
        best
    }

    fn frame(&self, at: f64) -> u64 {
        ((at - self.began) * FPS).round().rem_euclid(self.frames as f64) as u64
    }

    /// Whom the event's box shows; with a frame's doubt about the time, the one who was named if that can be.
    fn person(&self, told: &Told) -> Option<&'a str> {
        let near = [0.0, -1.0, 1.0].map(|frames| self.frame(told.at + frames / FPS));
        let shown = near.map(|frame| self.clip.shown(frame, told.rect).map(|(person, _)| person));
        let named = shown.iter().flatten().find(|person| told.person.as_deref() == Some(**person));
        named.copied().or(shown[0])
    }

    fn is_usable(&self, person: &str, at: f64) -> bool {
        self.clip.usable(self.frame(at)).contains(&person)
    }
}

/// One track as long as it shows one person.
struct Life {
    from: f64,
    to: f64,
    /// When the right name was published.
    named: Option<f64>,
}

impl Life {
    /// The first usable face, and when it had been usable for long enough; times in seconds.
    fn usable(&self, shown: &Shown<'_>, person: &str) -> (Option<f64>, Option<f64>) {
        let (mut first, mut since, mut last) = (None, None, f64::MIN);
        for frame in 0..((self.to - self.from) * FPS) as u64 {
            let at = self.from + frame as f64 / FPS;
            if !shown.is_usable(person, at) {
                continue;
            }
            first.get_or_insert(at);
            if at - last > GAP {
                since = Some(at);
            }
            last = at;
            if since.is_some_and(|since| at - since >= USABLE) {
                return (first, Some(at));
            }
        }
        (first, None)
    }
}

/// What was told of both clips, judged.
#[derive(Default)]
struct Verdict {
    delays: Vec<f64>,
    late: Vec<String>,
    wrong: Vec<String>,
}

impl Verdict {
    fn take(
        &mut self,
        shown: &Shown<'_>,
        told: &[Told],
        known: &BTreeSet<String>,
    ) -> BTreeMap<String, BTreeSet<String>> {
        let mut lives: BTreeMap<(&str, &str), Life> = BTreeMap::new();
        let mut aliases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for told in told {
            let Some(person) = shown.person(told) else { continue };
            let is_first = seen.insert(&told.track);
            let from = if is_first { told.first_seen } else { told.at };
            let life = lives.entry((&told.track, person)).or_insert(Life { from, to: told.at, named: None });
            life.to = told.at;
            match (&told.person, &told.alias) {
                (Some(name), _) if name == person => _ = life.named.get_or_insert(told.published),
                (Some(name), _) => self.wrong.push(format!("{person} is called {name}, {}: {told:?}", told.kind)),
                (None, Some(alias)) if known.contains(person) => {
                    self.wrong.push(format!("{person} is called {alias}, {}: {told:?}", told.kind));
                }
                (None, Some(alias)) => _ = aliases.entry(person.to_owned()).or_default().insert(alias.clone()),
                (None, None) => {}
            }
        }
        for ((track, person), life) in lives.into_iter().filter(|((_, person), _)| known.contains(*person)) {
            let (first, due) = life.usable(shown, person);
            if let (Some(first), Some(named)) = (first, life.named) {
                self.delays.push((named - first).max(0.0));
            }
            if due.is_some_and(|due| life.named.is_none_or(|named| named > due + LATE)) {
                self.late.push(format!("{track}, {person}: usable for long at {due:?}, named at {:?}", life.named));
            }
        }
        aliases
    }

    fn quantile(&self, share: f64) -> f64 {
        let mut delays = self.delays.clone();
        delays.sort_by(f64::total_cmp);
        delays[((delays.len() - 1) as f64 * share).round() as usize]
    }
}

/// Both clips for one pass, with a gallery of `known` alone.
fn pass(clips: &[(&str, Clip)], known: &BTreeSet<String>, verdict: &mut Verdict) {
    let Some(broker) = Broker::open() else { return };
    let recorder = Recorder::at(broker.port);
    let gallery = tempfile::tempdir().unwrap();
    clips.iter().for_each(|(_, clip)| clip.enrol(known, gallery.path()));
    let mounts = clips.iter().flat_map(|(id, clip)| ["--mount".into(), format!("{id}={}", clip.parts[0].0.display())]);
    let served = SimulatedCamera::start(visor(), &mounts.collect::<Vec<String>>()).unwrap();
    let mut config =
        format!("{}[gallery]\nfolder = {:?}\n[mqtt]\nurl = {:?}\n", models(), gallery.path(), broker.url());
    clips.iter().for_each(|(id, _)| config += &format!("[cameras.{id}]\nuri = {:?}\n", served.url(id).unwrap()));
    let daemon = Daemon::start(&config);
    daemon.wait_ready();
    let ready = Timestamp::now().as_nanosecond() as f64 / 1e9;
    let end = Instant::now() + PASS;
    while Instant::now() < end {
        std::thread::park_timeout(end - Instant::now());
    }
    let mut aliases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, clip) in clips {
        let told: Vec<Told> = recorder.on(&format!("visor/{id}/events")).iter().map(|text| Told::new(text)).collect();
        // While the gallery is being read nobody can be named.
        let told: Vec<Told> = told.into_iter().filter(|told| told.first_seen > ready).collect();
        for (person, called) in verdict.take(&Shown::fit(clip, &told), &told, known) {
            aliases.entry(person).or_default().extend(called);
        }
    }
    let mut taken = BTreeSet::new();
    for (person, aliases) in aliases {
        assert!(aliases.len() == 1 && taken.insert(aliases.clone()), "{person} is called {aliases:?}");
    }
    let everybody: BTreeSet<String> = clips.iter().flat_map(|(_, clip)| clip.people()).collect();
    assert_eq!(taken.len(), everybody.difference(known).count(), "a stranger without an alias");
    assert!(daemon.stop().success());
}

#[test]
fn soak_people_of_two_cameras_are_named_in_time_and_strangers_never() {
    let clips = ["synth_cross5", "synth_grid4"].map(|name| clip(name).map(|clip| (name, clip)));
    let [Some(cross), Some(grid)] = clips else { return };
    let clips = [cross, grid];
    let everybody: BTreeSet<String> = clips.iter().flat_map(|(_, clip)| clip.people()).collect();
    let (began, mut verdict) = (Instant::now(), Verdict::default());
    for turn in 0.. {
        let known = |index: &usize| (index + turn / 2 * (index / 2)) % 2 == turn % 2;
        let known = everybody.iter().enumerate().filter(|(index, _)| known(index)).map(|(_, person)| person.clone());
        pass(&clips, &known.collect(), &mut verdict);
        if began.elapsed() + PASS > soak_time() {
            break;
        }
    }
    if verdict.delays.is_empty() {
        return;
    }
    let (p50, p95) = (verdict.quantile(0.5), verdict.quantile(0.95));
    let tracks = verdict.delays.len();
    eprintln!("{tracks} tracks named over RTSP and MQTT after {p50:.2} s (p50), {p95:.2} s (p95)");
    assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    assert!(verdict.late.is_empty(), "{:#?}", verdict.late);
    assert!(p50 <= 0.4 && p95 <= 1.0, "{:?}", verdict.delays);
}
