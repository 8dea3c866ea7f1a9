//! One camera's tracks over time, told as events: `started`, `identified`, `revised`, `retracted`, `updated`, `ended`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::message::{Draft, Event, Fractions, LatencyMs, Models, SCHEMA};
use super::zone::Zone;
use super::{EventType, Observation};
use crate::frame::{ClockSource, Stamp};
use crate::geometry::{Point, Rect, Size};
use crate::recognise::{Identity, Quality, Verdict};
use crate::track::{Track, TrackState};

/// Least stream time between two `updated` events of one track, where the configuration names none.
pub const DEFAULT_UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// An `updated` event of a track that may be somebody else's by now waits this much longer for that to be settled.
const DOUBT: Duration = Duration::from_secs(1);

/// Gives a camera's tracks their numbers. Clones count together, so that numbers go on when the camera, its tracker
/// and its journal are made anew.
#[derive(Clone, Debug, Default)]
pub struct TrackNumbers(Arc<AtomicU64>);

impl TrackNumbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What a journal needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Areas whose names events carry.
    pub zones: Vec<Zone>,
    /// Least stream time between two `updated` events of one track.
    pub update_interval: Duration,
    /// Which models look.
    pub models: Models,
}

/// Turns a camera's observations into drafts of events. Single owner: the camera's analysis thread.
///
/// A track is `started` once it is confirmed, `updated` at most once per interval and only while it is seen
/// (a change of zone waits for that too, and all of it a little longer where it is in doubt who is shown), and `ended` when the tracker gives it up, or on [`Journal::close`]. Between
/// them it is `identified` when it is given a name or an alias, `revised` when that becomes another one, and `retracted`
/// when it has none any more: what is told follows from what was told before, so that these three always alternate as
/// they should, and an identity from before `started` is told right after it. Memory is bounded by the tracker's live tracks: what it no longer names is ended.
#[derive(Debug)]
pub struct Journal {
    camera: Arc<str>,
    settings: Settings,
    numbers: TrackNumbers,
    open: BTreeMap<u64, Open>,
    /// Of the last observation: what a track that [`Journal::close`] ends is stamped with.
    last: Option<Stamp>,
    faces: usize,
}

/// A track that was `started` and not yet `ended`.
#[derive(Debug)]
struct Open {
    name: Arc<str>,
    first_seen: SystemTime,
    seen: Seen,
    identity: Identity,
    /// Whether the identity is from before something that may have brought somebody else into the box.
    doubtful: bool,
    quality: Option<Quality>,
    /// Whom the events have named so far.
    told: Option<Who>,
    /// Stream time of the last event about it.
    told_at: Duration,
    /// Named by the tracker in the current observation.
    named: bool,
}

/// What a track is called.
#[derive(Clone, Debug, PartialEq)]
enum Who {
    Person(Arc<str>),
    Stranger(Arc<str>),
}

impl Who {
    fn of(identity: &Identity) -> Option<Self> {
        match identity {
            Identity::Undecided { .. } => None,
            Identity::Known { person, .. } => Some(Self::Person(Arc::clone(person))),
            Identity::Stranger { alias, .. } => Some(Self::Stranger(Arc::clone(alias))),
        }
    }
}

/// A track's last detection.
#[derive(Clone, Debug)]
struct Seen {
    at: Duration,
    wall: SystemTime,
    rect: Fractions,
    score: f32,
    zones: Vec<Arc<str>>,
}

impl Journal {
    /// An empty journal of `camera`. `numbers` must be the same in all journals of that camera within a boot.
    pub fn new(camera: &str, settings: Settings, numbers: TrackNumbers) -> Self {
        Self { camera: camera.into(), settings, numbers, open: BTreeMap::new(), last: None, faces: 0 }
    }

    /// Takes in one analysed frame and says what is to be told of it, in order. Must be called for each.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Vec<Draft> {
        let mut drafts = Vec::new();
        self.last = Some(observation.stamp);
        self.faces = 0;
        self.name_embedder(observation.embedder);
        for track in observation.ended {
            if let Some(mut open) = self.open.remove(&track.id) {
                open.see(track, observation, &self.settings);
                drafts.extend(self.tell_identity(&mut open, Some(observation)));
                drafts.push(self.draft(EventType::Ended, &open, Some(observation)));
            }
        }
        for track in observation.tracks {
            self.faces += usize::from(track.state == TrackState::Confirmed);
            self.follow(track, observation, &mut drafts);
        }
        while let Some(id) = self.open.iter().find(|(_, open)| !open.named).map(|(id, _)| *id) {
            let forgotten = self.open.remove(&id);
            drafts.extend(forgotten.map(|open| self.draft(EventType::Ended, &open, Some(observation))));
        }
        self.open.values_mut().for_each(|open| open.named = false);
        drafts
    }

    /// Takes back the name of every open track whose person `is_known` does not know any more: someone was forgotten
    /// while no frame came.
    pub fn recall(&mut self, is_known: impl Fn(&str) -> bool) -> Vec<Draft> {
        let mut open = std::mem::take(&mut self.open);
        let forgotten = open.values_mut().filter(|open| open.person().is_some_and(|person| !is_known(person)));
        let drafts = forgotten.filter_map(|open| {
            open.identity = Identity::Undecided { reason: None };
            self.tell_identity(open, None)
        });
        let drafts = drafts.collect();
        self.open = open;
        drafts
    }

    /// Ends every open track: the camera went away, its tracker is made anew, or the daemon stops.
    pub fn close(&mut self) -> Vec<Draft> {
        self.faces = 0;
        let open = std::mem::take(&mut self.open);
        open.values().map(|open| self.draft(EventType::Ended, open, None)).collect()
    }

    /// From now on another detector looks: the one of that name, if it is another one.
    pub fn sees_with(&mut self, detector: &str) {
        if *self.settings.models.detector != *detector {
            self.settings.models.detector = detector.into();
        }
    }

    /// What events call the tracker's track; `None` while it was not told to have started.
    pub fn name_of(&self, track: u64) -> Option<&Arc<str>> {
        self.open.get(&track).map(|open| &open.name)
    }

    /// Confirmed faces in the last observation.
    pub fn faces(&self) -> usize {
        self.faces
    }

    fn name_embedder(&mut self, embedder: Option<&str>) {
        if self.settings.models.embedder.as_deref() != embedder {
            self.settings.models.embedder = embedder.map(Arc::from);
        }
    }

    fn follow(&mut self, track: &Track, observation: &Observation<'_>, drafts: &mut Vec<Draft>) {
        let now = observation.stamp.pts;
        let Some(mut open) = self.open.remove(&track.id) else {
            return self.begin(track, observation, drafts);
        };
        open.named = true;
        open.see(track, observation, &self.settings);
        let news = self.tell_identity(&mut open, Some(observation));
        let wait = self.settings.update_interval + if open.doubtful { DOUBT } else { Duration::ZERO };
        let due = now.saturating_sub(open.told_at) >= wait && open.seen.at == now;
        if due || news.is_some() {
            open.told_at = now;
        }
        // The news say where the face is, too.
        let update = (due && news.is_none()).then(|| self.draft(EventType::Updated, &open, Some(observation)));
        drafts.extend(news.or(update));
        self.open.insert(track.id, open);
    }

    fn begin(&mut self, track: &Track, observation: &Observation<'_>, drafts: &mut Vec<Draft>) {
        if track.state != TrackState::Confirmed {
            return;
        }
        let seen = Seen::of(track, observation, &self.settings);
        let (identity, quality, told) = (Identity::OFF, None, None);
        let mut open = Open {
            name: format!("{}-{}", self.camera, self.numbers.next()).into(),
            first_seen: wall_clock(&observation.stamp, track.first_seen).min(seen.wall),
            seen,
            identity,
            doubtful: false,
            quality,
            told,
            told_at: observation.stamp.pts,
            named: true,
        };
        open.recognise(track, observation);
        drafts.push(self.draft(EventType::Started, &open, Some(observation)));
        drafts.extend(self.tell_identity(&mut open, Some(observation)));
        self.open.insert(track.id, open);
    }

    /// What is to be told of who it is, if that differs from what was told last.
    fn tell_identity(&self, open: &mut Open, cause: Option<&Observation<'_>>) -> Option<Draft> {
        let now = Who::of(&open.identity);
        let kind = match (&open.told, &now) {
            (None, None) => return None,
            (Some(told), Some(now)) if told == now => return None,
            (None, Some(_)) => EventType::Identified,
            (Some(_), Some(_)) => EventType::Revised,
            (Some(_), None) => EventType::Retracted,
        };
        open.told = now;
        Some(self.draft(kind, open, cause))
    }

    fn draft(&self, kind: EventType, open: &Open, cause: Option<&Observation<'_>>) -> Draft {
        let stamp = cause.map(|o| &o.stamp);
        let shown = stamp.or(self.last.as_ref());
        let event = Event {
            schema: SCHEMA,
            kind,
            boot_id: "".into(),
            seq: 0,
            boot_seq: 0,
            camera: Arc::clone(&self.camera),
            track: Some(Arc::clone(&open.name)),
            captured_at: shown.map_or(open.seen.wall, |s| s.captured_at),
            clock: shown.map_or(ClockSource::Arrival, |s| s.clock),
            published_at: SystemTime::UNIX_EPOCH,
            rect: open.seen.rect,
            score: open.seen.score,
            quality: open.quality.map(|quality| quality.score),
            zones: open.seen.zones.clone(),
            identity: (&open.identity).into(),
            first_seen: open.first_seen,
            last_seen: open.seen.wall,
            latency_ms: cause.map_or_else(LatencyMs::default, |o| LatencyMs::of(&o.latency)),
            models: self.settings.models.clone(),
        };
        Draft::new(event, stamp)
    }
}

impl Open {
    /// Takes over a track's detection, if there is one since the last, and who it is.
    fn see(&mut self, track: &Track, observation: &Observation<'_>, settings: &Settings) {
        if track.last_seen > self.seen.at && track.detection.is_some() {
            let seen = Seen::of(track, observation, settings);
            // A camera's clock may step back between two frames; an event must not end before it began.
            self.seen = Seen { wall: seen.wall.max(self.seen.wall), ..seen };
        }
        self.recognise(track, observation);
    }

    /// Takes over who it is; without a verdict of it that stays, unless recognition is off.
    fn recognise(&mut self, track: &Track, observation: &Observation<'_>) {
        if observation.embedder.is_none() {
            (self.identity, self.doubtful, self.quality) = (Identity::OFF, false, None);
            return;
        }
        match observation.identities.iter().find(|verdict| verdict.track == track.id) {
            Some(Verdict { identity, doubtful, quality, .. }) => {
                self.identity.clone_from(identity);
                self.doubtful = *doubtful;
                self.quality = quality.or(self.quality);
            }
            None if self.identity == Identity::OFF => self.identity = Identity::Undecided { reason: None },
            None => {}
        }
    }

    /// The id of the person that it is.
    fn person(&self) -> Option<&str> {
        if let Identity::Known { person, .. } = &self.identity { Some(person) } else { None }
    }
}

impl Seen {
    fn of(track: &Track, observation: &Observation<'_>, settings: &Settings) -> Self {
        Self {
            at: track.last_seen,
            wall: wall_clock(&observation.stamp, track.last_seen),
            rect: Fractions::of(track.rect, observation.frame_size),
            score: track.score,
            zones: settings.zones_at(track.rect, observation.frame_size),
        }
    }
}

impl Settings {
    /// Names of the zones that hold the centre of the visible part of `rect`.
    fn zones_at(&self, rect: Rect, size: Size) -> Vec<Arc<str>> {
        let centre = rect.clamped(size).centre();
        let centre = Point::new(centre.x / size.width as f32, centre.y / size.height as f32);
        let inside = self.zones.iter().filter(|zone| zone.polygon.contains(centre));
        inside.map(|zone| Arc::clone(&zone.name)).collect()
    }
}

/// Wall-clock time of stream time `at`, as the frame of `stamp` has it.
fn wall_clock(stamp: &Stamp, at: Duration) -> SystemTime {
    let back = stamp.pts.saturating_sub(at);
    stamp.captured_at.checked_sub(back).unwrap_or(stamp.captured_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::detect::Detection;
    use crate::event::{Event, Latency, Number, ZoneConfig};
    use crate::recognise::Reason;

    const SIZE: Size = Size::new(1000, 500);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn journal() -> Journal {
        let left = ZoneConfig { name: "left".into(), polygon: vec![[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]] };
        let models = Models { detector: "yunet-n".into(), embedder: None };
        let zones = vec![left.resolve().unwrap()];
        let settings = Settings { zones, update_interval: DEFAULT_UPDATE_INTERVAL, models };
        Journal::new("front", settings, TrackNumbers::default())
    }

    /// A track first seen at zero; `seen` is its last detection, `x` its left edge.
    fn track(id: u64, state: TrackState, seen: u64, x: f32) -> Track {
        let rect = Rect::new(x, 100.0, 50.0, 50.0);
        let detection = (state != Lost).then_some(Detection { rect, score: 0.9, landmarks: None });
        let velocity = Point::default();
        Track { id, rect, velocity, state, detection, score: 0.9, first_seen: ms(0), last_seen: ms(seen), hits: 3 }
    }

    fn stamp(at: u64) -> Stamp {
        Stamp {
            pts: ms(at),
            arrived_at: Monotonic::now(),
            decode: Some(ms(6)),
            captured_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600) + ms(at),
            clock: ClockSource::Rtcp,
        }
    }

    fn observe_with(
        journal: &mut Journal,
        at: u64,
        tracks: &[Track],
        ended: &[Track],
        verdicts: &[Verdict],
    ) -> Vec<Event> {
        let stamp = stamp(at);
        let latency =
            Latency { decode: Some(ms(6)), detect: ms(11), track: Duration::from_micros(104), recognise: None };
        let (identities, embedder) = (verdicts, (!verdicts.is_empty()).then_some("reid"));
        let observation =
            Observation { number: 0, stamp, frame_size: SIZE, tracks, ended, identities, embedder, latency };
        publish(journal.observe(&observation))
    }

    fn observe(journal: &mut Journal, at: u64, tracks: &[Track], ended: &[Track]) -> Vec<Event> {
        observe_with(journal, at, tracks, ended, &[])
    }

    fn verdict(identity: Identity) -> Verdict {
        Verdict {
            track: 7,
            identity,
            quality: Some(Quality { score: 0.8123, reason: None }),
            doubtful: false,
            change: None,
            verified: None,
            tags: Arc::default(),
            impression: None,
        }
    }

    fn known(person: &str) -> Verdict {
        let name = format!("{} B.", person.to_uppercase()).into();
        verdict(Identity::Known { person: person.into(), name, score: 0.712_34, margin: Some(0.24) })
    }

    fn undecided(reason: Option<Reason>) -> Verdict {
        verdict(Identity::Undecided { reason })
    }

    fn publish(drafts: Vec<Draft>) -> Vec<Event> {
        let number = Number { boot_id: "boot".into(), seq: 184, boot_seq: 913 };
        drafts.into_iter().map(|draft| draft.publish(number.clone())).collect()
    }

    fn told(events: &[Event]) -> Vec<(EventType, &str)> {
        events.iter().map(|e| (e.kind, e.track.as_deref().unwrap_or("-"))).collect()
    }

    use EventType::{Ended, Identified, Retracted, Revised, Started, Updated};
    use TrackState::{Confirmed, Lost, Tentative};

    #[test]
    fn an_event_has_every_field_of_the_contract() {
        let mut event = observe(&mut journal(), 123, &[track(7, Confirmed, 123, 410.0)], &[]).remove(0);
        assert!(event.latency_ms.total.unwrap() >= 6.0);
        event.latency_ms.total = Some(38.5);
        event.published_at = SystemTime::UNIX_EPOCH;
        insta::assert_json_snapshot!(event);
    }

    #[test]
    fn a_face_in_masked_video_has_no_track() {
        let (face, stamp) = (track(7, Confirmed, 0, 410.0).detection.unwrap(), stamp(123));
        let models = Models { detector: "yunet-n".into(), embedder: None };
        let event = publish(vec![Draft::face_seen(&"front".into(), &stamp, &face, SIZE, models)]).remove(0);
        assert!(event.latency_ms.total.is_some());
        let shown = serde_json::to_value(&event).unwrap();
        assert_eq!((&shown["type"], &shown["track"]), (&"face_seen".into(), &serde_json::Value::Null));
        assert_eq!((&shown["camera"], &shown["captured_at"]), (&"front".into(), &shown["last_seen"]));
        assert_eq!((&shown["box"]["x"], &shown["identity"]["status"]), (&0.41.into(), &"undecided".into()));
        let keys = |event: &Event| {
            serde_json::to_value(event).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let started = observe(&mut journal(), 123, &[track(7, Confirmed, 123, 410.0)], &[]).remove(0);
        assert_eq!(keys(&event), keys(&started), "the same fields as any other event");
    }

    #[test]
    fn an_event_that_no_frame_caused_has_no_latencies() {
        let mut journal = journal();
        observe(&mut journal, 0, &[track(7, Confirmed, 0, 410.0)], &[]);
        let ended = publish(journal.close()).remove(0);
        assert_eq!(ended.kind, Ended);
        assert_eq!(ended.latency_ms, LatencyMs::default());
        assert_eq!(serde_json::to_value(&ended).unwrap()["latency_ms"]["total"], serde_json::Value::Null);
    }

    #[test]
    fn a_track_starts_when_confirmed_and_updates_once_an_interval() {
        let mut j = journal();
        assert!(observe(&mut j, 0, &[track(7, Tentative, 0, 0.0)], &[]).is_empty());
        assert_eq!(j.faces(), 0);
        let events = observe(&mut j, 100, &[track(7, Confirmed, 100, 0.0)], &[]);
        assert_eq!(told(&events), [(Started, "front-1")]);
        assert_eq!(j.faces(), 1);
        let updates: Vec<u64> = (2..=35)
            .map(|n| n * 100)
            .filter(|at| !observe(&mut j, *at, &[track(7, Confirmed, *at, 0.0)], &[]).is_empty())
            .collect();
        assert_eq!(updates, [1100, 2100, 3100]);
    }

    #[test]
    fn an_update_waits_while_it_is_in_doubt_who_is_shown_but_not_for_ever() {
        let mut j = journal();
        observe_with(&mut j, 0, &[track(7, Confirmed, 0, 0.0)], &[], &[known("eve")]);
        let mut updates = |from: u64, to: u64, doubtful: bool| -> Vec<u64> {
            let verdict = [Verdict { doubtful, ..known("eve") }];
            let at = (from..to).map(|n| n * 100);
            at.filter(|at| !observe_with(&mut j, *at, &[track(7, Confirmed, *at, 0.0)], &[], &verdict).is_empty())
                .collect()
        };
        assert!(updates(1, 15, true).is_empty());
        assert_eq!(updates(15, 16, false), [1500], "as soon as it is settled");
        assert_eq!(updates(16, 50, true), [3500], "or has not been for a second more");
    }

    #[test]
    fn a_lost_track_is_silent_and_ends_where_it_was_last_seen() {
        let mut j = journal();
        observe(&mut j, 100, &[track(7, Confirmed, 100, 0.0)], &[]);
        assert!(observe(&mut j, 200, &[track(7, Confirmed, 200, 0.0)], &[]).is_empty());
        for at in 3..30 {
            assert!(observe(&mut j, at * 100, &[track(7, Lost, 200, 900.0)], &[]).is_empty());
            assert_eq!(j.faces(), 0);
        }
        let events = observe(&mut j, 3000, &[], &[track(7, Lost, 200, 900.0)]);
        assert_eq!(told(&events), [(Ended, "front-1")]);
        assert_eq!(events[0].rect.x, 0.0);
        let seen_for = events[0].last_seen.duration_since(events[0].first_seen).unwrap();
        assert_eq!(seen_for, ms(200));
    }

    #[test]
    fn zones_follow_the_centre() {
        let mut j = journal();
        let started = observe(&mut j, 0, &[track(7, Confirmed, 0, 470.0)], &[]);
        assert_eq!(started[0].zones, ["left".into()]);
        assert!(observe(&mut j, 500, &[track(7, Confirmed, 500, 480.0)], &[]).is_empty());
        let updated = observe(&mut j, 1000, &[track(7, Confirmed, 1000, 480.0)], &[]);
        assert_eq!(told(&updated), [(Updated, "front-1")]);
        assert!(updated[0].zones.is_empty());
    }

    #[test]
    fn numbers_go_on_over_a_new_tracker_and_a_new_journal() {
        let mut j = journal();
        observe(&mut j, 0, &[track(1, Confirmed, 0, 0.0)], &[]);
        assert_eq!(told(&publish(j.close())), [(Ended, "front-1")]);
        assert!(publish(j.close()).is_empty());
        let again = observe(&mut j, 0, &[track(1, Confirmed, 0, 0.0)], &[]);
        assert_eq!(told(&again), [(Started, "front-2")]);
        let mut next = Journal::new("front", j.settings.clone(), j.numbers.clone());
        let events = observe(&mut next, 0, &[track(1, Confirmed, 0, 0.0)], &[]);
        assert_eq!(told(&events), [(Started, "front-3")]);
    }

    #[test]
    fn what_a_tracker_forgets_is_ended() {
        let mut j = journal();
        observe(&mut j, 0, &[track(1, Confirmed, 0, 0.0), track(2, Confirmed, 0, 300.0)], &[]);
        let events = observe(&mut j, 100, &[track(2, Confirmed, 100, 300.0)], &[]);
        assert_eq!(told(&events), [(Ended, "front-1")]);
        assert_eq!(j.open.len(), 1);
    }

    #[test]
    fn a_clock_that_steps_back_does_not_end_a_track_before_it_began() {
        let mut j = journal();
        observe(&mut j, 5000, &[track(1, Confirmed, 5000, 0.0)], &[]);
        let mut stamp = j.last.unwrap();
        stamp.pts = ms(6000);
        stamp.captured_at -= Duration::from_secs(60);
        let tracks = [track(1, Confirmed, 6000, 0.0)];
        let latency = Latency::default();
        let events = publish(j.observe(&Observation {
            number: 0,
            stamp,
            frame_size: SIZE,
            tracks: &tracks,
            ended: &[],
            identities: &[],
            embedder: None,
            latency,
        }));
        assert!(events[0].last_seen >= events[0].first_seen);
    }

    #[test]
    fn a_name_from_before_the_start_is_told_right_after_it() {
        let mut j = journal();
        let alice = [known("alice")];
        assert!(observe_with(&mut j, 0, &[track(7, Tentative, 0, 0.0)], &[], &alice).is_empty());
        let events = observe_with(&mut j, 100, &[track(7, Confirmed, 100, 0.0)], &[], &alice);
        assert_eq!(told(&events), [(Started, "front-1"), (Identified, "front-1")]);
        assert!(events.iter().all(|event| event.identity.person.as_deref() == Some("alice")));
    }

    #[test]
    fn names_are_given_changed_and_taken_back() {
        let mut j = journal();
        let at = |ms| [track(7, Confirmed, ms, 0.0)];
        let small = [undecided(Some(Reason::TooSmall))];
        let started = observe_with(&mut j, 0, &at(0), &[], &small);
        assert_eq!((started[0].identity.status.name(), started[0].identity.reason), ("undecided", Some("too_small")));
        let mut kinds = Vec::new();
        for (ms, verdict) in
            [known("alice"), known("alice"), known("bob"), small[0].clone(), known("bob")].iter().enumerate()
        {
            let ms = 100 * (ms as u64 + 1);
            kinds.extend(observe_with(&mut j, ms, &at(ms), &[], std::slice::from_ref(verdict)).iter().map(|e| e.kind));
        }
        assert_eq!(kinds, [Identified, Revised, Retracted, Identified]);
        // A frame without a verdict changes nothing, and the end still says who it was.
        assert!(observe_with(&mut j, 600, &at(600), &[], &[Verdict { track: 9, ..known("eve") }]).is_empty());
        let ended = publish(j.close()).remove(0);
        assert_eq!((ended.kind, ended.identity.name.as_deref()), (Ended, Some("BOB B.")));
        assert_eq!(ended.models.embedder.as_deref(), Some("reid"));
    }

    #[test]
    fn a_stranger_named_as_a_person_is_not_that_person() {
        let mut j = journal();
        let at = |ms| [track(7, Confirmed, ms, 0.0)];
        let stranger = verdict(Identity::Stranger { alias: "visitor-1".into(), score: None });
        observe_with(&mut j, 0, &at(0), &[], &[stranger]);
        assert_eq!(told(&observe_with(&mut j, 100, &at(100), &[], &[known("visitor-1")])), [(Revised, "front-1")]);
    }

    #[test]
    fn a_name_is_taken_back_when_recognition_goes_off_or_the_person_is_forgotten() {
        let mut j = journal();
        let at = |ms| [track(7, Confirmed, ms, 0.0)];
        observe_with(&mut j, 0, &at(0), &[], &[known("alice")]);
        let off = observe(&mut j, 100, &at(100), &[]);
        assert_eq!(told(&off), [(Retracted, "front-1")]);
        assert_eq!(off[0].identity, (&Identity::OFF).into());
        assert_eq!((&off[0].quality, &off[0].models.embedder), (&None, &None));
        observe_with(&mut j, 200, &at(200), &[], &[known("alice")]);
        assert!(j.recall(|_| true).is_empty());
        let recalled = publish(j.recall(|person| person != "alice"));
        assert_eq!(told(&recalled), [(Retracted, "front-1")]);
        assert_eq!(publish(j.close())[0].identity.person, None);
    }

    #[test]
    fn a_known_person_is_told_with_every_field() {
        let mut j = journal();
        let mut event = observe_with(&mut j, 123, &[track(7, Confirmed, 123, 410.0)], &[], &[known("alice")]).remove(1);
        event.latency_ms.total = Some(38.5);
        event.published_at = SystemTime::UNIX_EPOCH;
        insta::assert_json_snapshot!(event);
    }
}
