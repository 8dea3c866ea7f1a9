//! Who is in sight, over all cameras: what the events say of each person, until the last track has been gone for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Serialize, Serializer};

use crate::event::{Event, EventType, rfc3339};

/// People who are shown. Of a larger gallery those are who are in sight or were so last.
const MOST_SHOWN: usize = 1000;

/// How stale `last_seen` may become while a person stays in sight: who stands in a doorway changes nothing else.
const REFRESH: Duration = Duration::from_secs(10);

/// Whether a person is in sight, as `<prefix>/people/<person>/presence` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// In sight of a camera now, or a moment ago.
    pub present: bool,
    /// The camera that sees the person, or saw the person last.
    pub camera: Option<Arc<str>>,
    /// Since when `present` is what it is; `None` for somebody who was never seen.
    #[serde(serialize_with = "as_rfc3339")]
    pub since: Option<SystemTime>,
    /// When the person was seen last; while in sight up to ten seconds old.
    #[serde(serialize_with = "as_rfc3339")]
    pub last_seen: Option<SystemTime>,
}

/// What is known of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonState {
    /// The name to show.
    pub name: Arc<str>,
    /// Whether in sight.
    pub presence: Presence,
}

/// All people who are shown.
#[derive(Debug)]
pub(super) struct Roster {
    people: BTreeMap<Arc<str>, Entry>,
    /// Who each track is.
    tracks: BTreeMap<Arc<str>, Arc<str>>,
    absent_after: Duration,
}

#[derive(Debug)]
struct Entry {
    shown: PersonState,
    /// The camera of each track.
    tracks: BTreeMap<Arc<str>, Arc<str>>,
    last_seen: Option<SystemTime>,
    /// When the last track ended.
    left: Option<Instant>,
}

impl Default for Roster {
    fn default() -> Self {
        Self { people: BTreeMap::new(), tracks: BTreeMap::new(), absent_after: Duration::from_secs(5) }
    }
}

/// Each call says whether what is shown has changed.
impl Roster {
    /// How long after the last track has ended a person counts as gone.
    pub(super) fn absent_after(&mut self, absent_after: Duration) {
        self.absent_after = absent_after;
    }

    /// Somebody is known, under this name.
    pub(super) fn enrolled(&mut self, person: &Arc<str>, name: &Arc<str>) -> bool {
        if let Some(entry) = self.people.get_mut(person) {
            let changed = entry.shown.name != *name;
            entry.shown.name = Arc::clone(name);
            return changed;
        }
        let room = self.people.len() < MOST_SHOWN;
        if room {
            self.people.insert(Arc::clone(person), Entry::new(name));
        }
        room
    }

    /// Only those whom `is_known` knows are shown.
    pub(super) fn keep(&mut self, is_known: impl Fn(&str) -> bool) -> bool {
        let before = self.people.len();
        self.people.retain(|person, _| is_known(person));
        let people = &self.people;
        self.tracks.retain(|_, person| people.contains_key(person));
        self.people.len() != before
    }

    /// Takes in what an event says of who is where.
    pub(super) fn hear(&mut self, event: &Event, now: Instant) -> bool {
        let Some(track) = &event.track else { return false };
        let person = event.identity.person.as_ref().zip(event.identity.name.as_ref());
        let ended = event.kind == EventType::Ended;
        let was = self.tracks.get(track).cloned();
        let stays = !ended && person.map(|(person, _)| person) == was.as_ref();
        let mut changed = false;
        if let Some((person, name)) = person {
            self.make_room(person);
            let entry = self.people.entry(Arc::clone(person)).or_insert_with(|| Entry::new(name));
            changed = entry.see(event, track);
            if !ended {
                self.tracks.insert(Arc::clone(track), Arc::clone(person));
            }
        }
        if let Some(was) = was.filter(|_| !stays) {
            if self.tracks.get(track) == Some(&was) {
                self.tracks.remove(track);
            }
            if let Some(entry) = self.people.get_mut(&was) {
                entry.leave(track, now);
            }
        }
        changed
    }

    /// Whoever has been gone for long enough is absent.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let gone =
            |entry: &Entry| entry.left.is_some_and(|left| now.saturating_duration_since(left) >= self.absent_after);
        let mut changed = false;
        for entry in self.people.values_mut().filter(|entry| entry.shown.presence.present && gone(entry)) {
            entry.vanish();
            changed = true;
        }
        changed
    }

    /// Nobody is in sight any more: the daemon ends.
    pub(super) fn empty(&mut self) -> bool {
        self.tracks.clear();
        let present = self.people.values_mut().filter(|entry| entry.shown.presence.present);
        present.map(Entry::vanish).count() > 0
    }

    /// What is shown, by the person's id.
    pub(super) fn shown(&self) -> BTreeMap<Arc<str>, PersonState> {
        self.people.iter().map(|(person, entry)| (Arc::clone(person), entry.shown.clone())).collect()
    }

    /// A person who comes takes the place of whoever has been away for longest.
    fn make_room(&mut self, person: &Arc<str>) {
        if self.people.len() < MOST_SHOWN || self.people.contains_key(person) {
            return;
        }
        let absent = self.people.iter().filter(|(_, entry)| entry.tracks.is_empty());
        let longest = absent.min_by_key(|(_, entry)| entry.last_seen).map(|(person, _)| Arc::clone(person));
        if let Some(longest) = longest {
            self.people.remove(&longest);
        }
    }
}

impl Entry {
    fn new(name: &Arc<str>) -> Self {
        let shown = PersonState { name: Arc::clone(name), presence: Presence::default() };
        Self { shown, tracks: BTreeMap::new(), last_seen: None, left: None }
    }

    /// Takes in an event that shows this person.
    fn see(&mut self, event: &Event, track: &Arc<str>) -> bool {
        self.last_seen = self.last_seen.max(Some(event.last_seen));
        self.tracks.insert(Arc::clone(track), Arc::clone(&event.camera));
        let presence = &mut self.shown.presence;
        let before = presence.clone();
        if !presence.present {
            (presence.present, presence.since) = (true, Some(event.first_seen));
        }
        self.left = None;
        // Two cameras that both see the person must not take turns here.
        if !presence.camera.as_ref().is_some_and(|camera| self.tracks.values().any(|seen_by| seen_by == camera)) {
            presence.camera = Some(Arc::clone(&event.camera));
        }
        let stale = match (presence.last_seen, self.last_seen) {
            (Some(told), Some(now)) => now.duration_since(told).is_ok_and(|age| age >= REFRESH),
            _ => true,
        };
        if stale || *presence != before {
            presence.last_seen = self.last_seen;
        }
        *presence != before
    }

    /// One of the person's tracks is over, or is somebody else's.
    fn leave(&mut self, track: &Arc<str>, now: Instant) {
        self.tracks.remove(track);
        if self.tracks.is_empty() {
            self.left = Some(now);
        }
    }

    fn vanish(&mut self) {
        let Self { shown, tracks, last_seen, left } = self;
        tracks.clear();
        *left = None;
        let camera = shown.presence.camera.take();
        shown.presence = Presence { present: false, camera, since: *last_seen, last_seen: *last_seen };
    }
}

fn as_rfc3339<S: Serializer>(at: &Option<SystemTime>, s: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::recognise::Identity;

    const ALICE: &str = "alice";

    fn event(kind: EventType, camera: &str, track: u64, person: Option<&str>) -> Event {
        let mut event = fixture::event(camera, track).as_ref().clone();
        event.kind = kind;
        let known = |person: &str| Identity::Known {
            person: person.into(),
            name: person.to_uppercase().into(),
            score: 0.7,
            margin: None,
        };
        event.identity = (&person.map_or(Identity::OFF, known)).into();
        event
    }

    fn presence(roster: &Roster) -> Presence {
        roster.shown()[ALICE].presence.clone()
    }

    use EventType::{Ended, Identified, Retracted, Revised, Updated};

    #[test]
    fn a_person_whom_two_cameras_see_is_one_person() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        assert!(roster.enrolled(&ALICE.into(), &"Alice".into()));
        assert_eq!(presence(&roster), Presence::default());
        assert!(roster.hear(&event(Identified, "front", 1, Some(ALICE)), now));
        assert!(!roster.hear(&event(Identified, "back", 1, Some(ALICE)), now));
        assert!(!roster.hear(&event(Updated, "back", 1, Some(ALICE)), now));
        assert_eq!(presence(&roster).camera.as_deref(), Some("front"));
        assert!(!roster.hear(&event(Ended, "front", 1, Some(ALICE)), now));
        assert!(!roster.tick(now + Duration::from_secs(60)), "the other camera still sees her");
        assert!(roster.hear(&event(Updated, "back", 1, Some(ALICE)), now));
        assert_eq!(presence(&roster).camera.as_deref(), Some("back"));
        roster.hear(&event(Ended, "back", 1, Some(ALICE)), now);
        assert!(!roster.tick(now + Duration::from_secs(4)));
        assert!(presence(&roster).present);
        assert!(roster.tick(now + Duration::from_secs(5)));
        let gone = presence(&roster);
        assert_eq!((gone.present, gone.camera.as_deref(), gone.since), (false, Some("back"), gone.last_seen));
        assert!(!roster.tick(now + Duration::from_secs(6)));
    }

    #[test]
    fn who_comes_back_at_once_was_never_gone() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.hear(&event(Identified, "front", 1, Some(ALICE)), now);
        roster.hear(&event(Ended, "front", 1, Some(ALICE)), now);
        assert!(!roster.hear(&event(Identified, "front", 2, Some(ALICE)), now + Duration::from_secs(3)));
        assert!(!roster.tick(now + Duration::from_secs(60)));
    }

    #[test]
    fn a_name_that_is_changed_or_taken_back_moves_the_track() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.hear(&event(Identified, "front", 1, Some(ALICE)), now);
        assert!(roster.hear(&event(Revised, "front", 1, Some("bob")), now));
        assert!(roster.tick(now + Duration::from_secs(5)));
        assert!(!presence(&roster).present && roster.shown()["bob"].presence.present);
        roster.hear(&event(Retracted, "front", 1, None), now);
        assert!(roster.tick(now + Duration::from_secs(5)));
        assert!(roster.tracks.is_empty());
    }

    #[test]
    fn the_forgotten_are_not_shown_and_the_end_leaves_nobody_in_sight() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.hear(&event(Identified, "front", 1, Some(ALICE)), now);
        roster.hear(&event(Identified, "front", 2, Some("bob")), now);
        assert!(roster.keep(|person| person != "bob"));
        assert!(!roster.shown().contains_key("bob"));
        assert!(roster.empty() && !presence(&roster).present);
    }

    #[test]
    fn the_payload_is_the_contract_s() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.hear(&event(Identified, "front", 1, Some(ALICE)), now);
        assert_eq!(
            serde_json::to_string(&presence(&roster)).unwrap(),
            "{\"present\":true,\"camera\":\"front\",\"since\":\"2025-12-31T23:59:56.800Z\",\
             \"last_seen\":\"2026-01-01T00:00:00.000Z\"}"
        );
        assert_eq!(
            serde_json::to_string(&Presence::default()).unwrap(),
            "{\"present\":false,\"camera\":null,\"since\":null,\"last_seen\":null}"
        );
    }

    #[test]
    fn a_large_gallery_shows_who_was_seen_last() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        let names: Vec<Arc<str>> = (0..MOST_SHOWN + 5).map(|n| format!("p{n}").into()).collect();
        let put_up = names.iter().filter(|name| roster.enrolled(name, name)).count();
        assert_eq!(put_up, MOST_SHOWN);
        assert!(roster.hear(&event(Identified, "front", 1, Some(ALICE)), now));
        assert_eq!(roster.shown().len(), MOST_SHOWN);
        assert!(presence(&roster).present);
    }
}
