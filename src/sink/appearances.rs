//! Who was where and when: a span for each person, or stranger, whom a track showed. In memory only, bounded, with an
//! expiry of its own; what is forgotten goes at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::{Snapshot, lock};
use crate::event::{Event, EventType};

/// Spans that are kept, some hundred bytes each. Full: the oldest goes.
const MOST: usize = 20_000;

/// Bytes of all best shots. Full: those of the oldest spans go.
const MOST_SHOT_BYTES: usize = 64 << 20;

/// A track is shown before anybody can say whom it shows: its best shot waits for so long to belong to a span …
const EARLY: Duration = Duration::from_secs(60);

/// … and so many do. Full: another one is let go.
const MOST_EARLY: usize = 64;

/// Whom a span is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Somebody who is known, by id.
    Person(Arc<str>),
    /// Somebody who is not, by alias.
    Stranger(Arc<str>),
}

impl Who {
    fn person(&self) -> Option<&Arc<str>> {
        match self {
            Self::Person(person) => Some(person),
            Self::Stranger(_) => None,
        }
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The track did.
    Left,
    /// The track was said to be somebody else.
    Revised,
    /// The name was taken back.
    Retracted,
}

impl End {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Revised => "revised",
            Self::Retracted => "retracted",
        }
    }
}

/// Somebody in sight of a camera, from when to when.
#[derive(Clone, Debug)]
pub struct Appearance {
    /// Counts up; the newest span has the highest.
    pub id: u64,
    /// Who.
    pub who: Who,
    /// The camera's id.
    pub camera: Arc<str>,
    /// The track, as events name it.
    pub track: Arc<str>,
    /// Every zone that the face was in.
    pub zones: BTreeSet<Arc<str>>,
    /// First seen.
    pub from: SystemTime,
    /// Last seen.
    pub until: SystemTime,
    /// The best similarity to the person; a stranger's to whom of the gallery they look like most.
    pub score: Option<f32>,
    /// How it ended; `None` while it goes on.
    pub end: Option<End>,
    /// The track's best shot, where the camera may give one.
    pub shot: Option<Arc<Snapshot>>,
    /// When this was last heard of: what is captured has the clock of its source, which may be that of a recording.
    pub heard: Instant,
}

/// What a person or a stranger was seen of, all spans together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many spans there are.
    pub count: usize,
    /// The cameras.
    pub cameras: BTreeSet<Arc<str>>,
    /// The newest span with a best shot.
    pub shot: Option<u64>,
}

/// What is kept, and within which bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Spans, of …
    pub spans: usize,
    /// … at most so many.
    pub most_spans: usize,
    /// Best shots, of …
    pub shots: usize,
    /// … at most so many bytes.
    pub most_shot_bytes: usize,
    /// How long a span is kept after its end.
    pub ttl: Duration,
}

/// The spans of all cameras.
#[derive(Debug)]
pub struct Appearances(Mutex<Ring>);

#[derive(Debug)]
struct Ring {
    /// By id.
    spans: BTreeMap<u64, Appearance>,
    /// The last span of each track.
    tracks: HashMap<Arc<str>, u64>,
    /// Best shots of tracks that have no span yet, and when they came.
    early: HashMap<Arc<str>, (Instant, Arc<Snapshot>)>,
    ever: u64,
    shot_bytes: usize,
    ttl: Duration,
}

impl Default for Appearances {
    fn default() -> Self {
        let ttl = Duration::from_secs(24 * 3600);
        let (spans, tracks, early) = Default::default();
        let ring = Ring { spans, tracks, early, ever: 0, shot_bytes: 0, ttl };
        Self(Mutex::new(ring))
    }
}

impl Appearances {
    /// How long a span is kept after its end.
    pub fn keep_for(&self, ttl: Duration) {
        lock(&self.0).ttl = ttl;
    }

    /// At most `most` spans that are `wanted`, the newest first, from the one before `before` on; and whether there are more.
    pub fn list(
        &self,
        wanted: impl Fn(&Appearance) -> bool,
        before: Option<u64>,
        most: usize,
    ) -> (Vec<Appearance>, bool) {
        let ring = lock(&self.0);
        let (now, ttl) = (Instant::now(), ring.ttl);
        let spans = ring.spans.range(..before.unwrap_or(u64::MAX)).rev().map(|(_, span)| span);
        let mut found: Vec<_> = spans
            .filter(|span| !span.is_over(now, ttl) && wanted(span))
            .take(most.saturating_add(1))
            .cloned()
            .collect();
        let more = found.len() > most;
        found.truncate(most);
        (found, more)
    }

    /// The span of this id.
    pub fn get(&self, id: u64) -> Option<Appearance> {
        lock(&self.0).spans.get(&id).cloned()
    }

    /// What was seen of each stranger, on the cameras that are `seen`.
    pub fn strangers(&self, seen: impl Fn(&str) -> bool) -> HashMap<Arc<str>, Summary> {
        let mut strangers: HashMap<Arc<str>, Summary> = HashMap::new();
        for span in lock(&self.0).spans.values().filter(|span| seen(&span.camera)) {
            if let Who::Stranger(alias) = &span.who {
                let summary = strangers.entry(Arc::clone(alias)).or_default();
                summary.count += 1;
                summary.cameras.insert(Arc::clone(&span.camera));
                summary.shot = span.shot.as_ref().map(|_| span.id).or(summary.shot);
            }
        }
        strangers
    }

    /// What is kept of the cameras that are `seen`.
    pub fn held(&self, seen: impl Fn(&str) -> bool) -> Held {
        let ring = lock(&self.0);
        let (mut spans, mut shots) = (0, 0);
        for span in ring.spans.values().filter(|span| seen(&span.camera)) {
            spans += 1;
            shots += usize::from(span.shot.is_some());
        }
        Held { spans, most_spans: MOST, shots, most_shot_bytes: MOST_SHOT_BYTES, ttl: ring.ttl }
    }

    /// Takes in an event.
    pub(super) fn hear(&self, event: &Event) {
        lock(&self.0).hear(event);
    }

    /// Lets go of the best shots of a camera.
    pub(super) fn withdraw(&self, camera: &str) {
        lock(&self.0).withdraw(camera);
    }

    /// Takes in a track's best shot.
    pub(super) fn show(&self, snapshot: &Arc<Snapshot>) {
        lock(&self.0).show(snapshot);
    }

    /// Nothing is known any more of whom `gone` names. Gives how many spans went.
    pub fn forget(&self, gone: &Who) -> usize {
        let mut ring = lock(&self.0);
        ring.early.retain(|_, (_, shot)| shot.person.is_none() || shot.person.as_ref() != gone.person());
        ring.drop_where(|span| span.who == *gone)
    }

    /// Everything goes. Gives how many spans that were.
    pub fn clear(&self) -> usize {
        let mut ring = lock(&self.0);
        ring.early.clear();
        ring.drop_where(|_| true)
    }

    /// Whoever was `old` is `new` in all spans.
    pub fn rename(&self, old: &Who, new: &Who) {
        let mut ring = lock(&self.0);
        ring.spans.values_mut().filter(|span| span.who == *old).for_each(|span| span.who = new.clone());
    }

    /// Drops what is over since long, and people whom `is_known` does not know: a camera may name somebody for a moment who
    /// was forgotten just now.
    pub(super) fn look_after(&self, now: Instant, is_known: impl Fn(&str) -> bool) {
        let mut ring = lock(&self.0);
        let ttl = ring.ttl;
        let people: BTreeSet<&Arc<str>> = ring.spans.values().filter_map(|span| span.who.person()).collect();
        let unknown: BTreeSet<Arc<str>> = people.into_iter().filter(|person| !is_known(person)).cloned().collect();
        let is_unknown = |span: &Appearance| span.who.person().is_some_and(|person| unknown.contains(person));
        ring.drop_where(|span| span.is_over(now, ttl) || is_unknown(span));
        ring.early.retain(|_, (came, _)| now.saturating_duration_since(*came) < EARLY);
    }
}

impl Appearance {
    fn is_over(&self, now: Instant, ttl: Duration) -> bool {
        self.end.is_some() && now.saturating_duration_since(self.heard) > ttl
    }

    fn see(&mut self, event: &Event) {
        self.until = self.until.max(event.last_seen);
        self.heard = Instant::now();
        self.zones.extend(event.zones.iter().cloned());
        self.score = self.score.into_iter().chain(event.identity.score).reduce(f32::max);
    }
}

impl Ring {
    fn hear(&mut self, event: &Event) {
        let Some(track) = &event.track else { return };
        let identity = &event.identity;
        let person = identity.person.as_ref().map(|person| Who::Person(Arc::clone(person)));
        let who = person.or_else(|| identity.alias.as_ref().map(|alias| Who::Stranger(Arc::clone(alias))));
        let last = self.tracks.get(track).copied();
        let before = last.and_then(|id| self.spans.get_mut(&id)).filter(|span| span.end.is_none());
        let stays = before.as_ref().is_some_and(|span| Some(&span.who) == who.as_ref());
        if let (Some(before), false) = (before, stays) {
            before.end = Some(if who.is_some() { End::Revised } else { End::Retracted });
        }
        if let (Some(who), false) = (who, stays) {
            // what the track showed before it had a name showed the same face
            let from = if last.is_none() { event.first_seen } else { event.captured_at };
            self.begin(who, event, track, from);
        }
        let Some(span) = self.tracks.get(track).and_then(|id| self.spans.get_mut(id)) else { return };
        if span.end.is_none() {
            span.see(event);
            span.end = (event.kind == EventType::Ended).then_some(End::Left);
        }
    }

    fn begin(&mut self, who: Who, event: &Event, track: &Arc<str>, from: SystemTime) {
        while self.spans.len() >= MOST
            && let Some((&oldest, _)) = self.spans.first_key_value()
        {
            self.drop(oldest);
        }
        self.ever += 1;
        let span = Appearance {
            id: self.ever,
            who,
            camera: Arc::clone(&event.camera),
            track: Arc::clone(track),
            zones: BTreeSet::new(),
            from,
            until: from,
            score: None,
            end: None,
            shot: None,
            heard: Instant::now(),
        };
        self.spans.insert(self.ever, span);
        self.tracks.insert(Arc::clone(track), self.ever);
        if let Some((_, shot)) = self.early.remove(track) {
            self.show(&shot);
        }
    }

    fn withdraw(&mut self, camera: &str) {
        self.early.retain(|_, (_, shot)| *shot.camera != *camera);
        for span in self.spans.values_mut().filter(|span| *span.camera == *camera) {
            self.shot_bytes -= span.shot.take().map_or(0, |shot| shot.jpeg.len());
        }
    }

    fn show(&mut self, snapshot: &Arc<Snapshot>) {
        let Some(span) = self.tracks.get(&snapshot.track).and_then(|id| self.spans.get_mut(id)) else {
            if self.early.len() < MOST_EARLY {
                self.early.insert(Arc::clone(&snapshot.track), (Instant::now(), Arc::clone(snapshot)));
            }
            return;
        };
        let is_same = match &span.who {
            // one that was taken before the track had its name shows the same face
            Who::Person(person) => snapshot.person.as_ref().is_none_or(|shown| shown == person),
            Who::Stranger(_) => snapshot.person.is_none(),
        };
        if !is_same || span.camera != snapshot.camera {
            return;
        }
        let id = span.id;
        let before = span.shot.replace(Arc::clone(snapshot)).map_or(0, |shot| shot.jpeg.len());
        self.shot_bytes = self.shot_bytes + snapshot.jpeg.len() - before;
        for (_, span) in self.spans.range_mut(..id) {
            if self.shot_bytes <= MOST_SHOT_BYTES {
                break;
            }
            self.shot_bytes -= span.shot.take().map_or(0, |shot| shot.jpeg.len());
        }
    }

    fn drop_where(&mut self, gone: impl Fn(&Appearance) -> bool) -> usize {
        let gone: Vec<u64> = self.spans.values().filter(|span| gone(span)).map(|span| span.id).collect();
        gone.iter().for_each(|&id| self.drop(id));
        gone.len()
    }

    fn drop(&mut self, id: u64) {
        let Some(span) = self.spans.remove(&id) else { return };
        self.shot_bytes -= span.shot.map_or(0, |shot| shot.jpeg.len());
        if self.tracks.get(&span.track) == Some(&id) {
            self.tracks.remove(&span.track);
        }
    }
}

#[cfg(test)]
mod tests {
    use EventType::{Ended, Identified, Retracted, Revised, Started, Updated};

    use super::*;
    use crate::event::fixture;
    use crate::recognise::Identity;

    const AT: Duration = Duration::from_secs(1_767_225_600);

    fn alice() -> Who {
        Who::Person("alice".into())
    }

    fn visitor() -> Who {
        Who::Stranger("visitor-1".into())
    }

    /// Tells of track 1 of camera front, `secs` after it was captured first.
    fn tell(appearances: &Appearances, kind: EventType, who: Option<&Who>, secs: u64) {
        let mut event = fixture::event("front", 1).as_ref().clone();
        event.kind = kind;
        event.captured_at = SystemTime::UNIX_EPOCH + AT + Duration::from_secs(secs);
        event.last_seen = event.captured_at;
        event.first_seen = SystemTime::UNIX_EPOCH + AT;
        event.identity = (&match who {
            Some(Who::Person(id)) => {
                Identity::Known { person: Arc::clone(id), name: Arc::clone(id), score: 0.7, margin: None }
            }
            Some(Who::Stranger(alias)) => Identity::Stranger { alias: Arc::clone(alias), score: None },
            None => Identity::OFF,
        })
            .into();
        appearances.hear(&event);
    }

    /// Who, from and until in seconds, and how it ended; oldest first.
    fn spans(appearances: &Appearances) -> Vec<(Who, u64, u64, Option<End>)> {
        let secs = |at: SystemTime| (at.duration_since(SystemTime::UNIX_EPOCH).unwrap() - AT).as_secs();
        let (mut spans, more) = appearances.list(|_| true, None, 100);
        spans.reverse();
        assert!(!more);
        spans.into_iter().map(|span| (span.who, secs(span.from), secs(span.until), span.end)).collect()
    }

    fn shot(person: Option<&str>, bytes: usize) -> Arc<Snapshot> {
        Arc::new(Snapshot {
            camera: "front".into(),
            track: "front-1".into(),
            person: person.map(Arc::from),
            captured_at: SystemTime::UNIX_EPOCH,
            jpeg: vec![0; bytes],
        })
    }

    #[test]
    fn a_span_goes_from_the_first_look_to_the_last() {
        let appearances = Appearances::default();
        tell(&appearances, Started, None, 1);
        assert!(spans(&appearances).is_empty());
        tell(&appearances, Identified, Some(&alice()), 2);
        tell(&appearances, Updated, Some(&alice()), 9);
        assert_eq!(spans(&appearances), [(alice(), 0, 9, None)]);
        tell(&appearances, Ended, Some(&alice()), 10);
        assert_eq!(spans(&appearances), [(alice(), 0, 10, Some(End::Left))]);
    }

    #[test]
    fn a_name_that_changes_or_is_taken_back_ends_a_span() {
        let appearances = Appearances::default();
        let bob = Who::Person("bob".into());
        tell(&appearances, Identified, Some(&alice()), 2);
        tell(&appearances, Revised, Some(&bob), 4);
        tell(&appearances, Retracted, None, 6);
        tell(&appearances, Ended, None, 8);
        let expected = [(alice(), 0, 2, Some(End::Revised)), (bob, 4, 4, Some(End::Retracted))];
        assert_eq!(spans(&appearances), expected);
    }

    #[test]
    fn a_shot_that_comes_before_anybody_can_say_whom_it_shows_waits_a_while() {
        let shown = |appearances: &Appearances| appearances.get(1).is_some_and(|span| span.shot.is_some());
        let early = || {
            let appearances = Appearances::default();
            tell(&appearances, Started, None, 0);
            appearances.show(&shot(None, 100));
            appearances
        };
        let appearances = early();
        tell(&appearances, Identified, Some(&visitor()), 2);
        assert!(shown(&appearances) && lock(&appearances.0).early.is_empty());
        let (late, erased, withdrawn) = (early(), early(), early());
        late.look_after(Instant::now() + EARLY, |_| true);
        erased.clear();
        withdrawn.withdraw("front");
        for appearances in [late, erased, withdrawn] {
            tell(&appearances, Identified, Some(&visitor()), 2);
            assert!(!shown(&appearances));
        }
    }

    #[test]
    fn who_is_forgotten_leaves_nothing_and_who_is_named_keeps_what_the_stranger_had() {
        let appearances = Appearances::default();
        tell(&appearances, Identified, Some(&visitor()), 2);
        appearances.show(&shot(None, 100));
        let summary = appearances.strangers(|_| true).remove("visitor-1").unwrap();
        assert_eq!((summary.count, summary.shot), (1, Some(1)));
        assert!(appearances.strangers(|_| false).is_empty());
        appearances.rename(&visitor(), &alice());
        tell(&appearances, Revised, Some(&alice()), 4);
        assert_eq!(spans(&appearances), [(alice(), 0, 4, None)]);
        appearances.show(&shot(Some("bob"), 50));
        appearances.show(&shot(Some("alice"), 70));
        appearances.withdraw("back");
        assert_eq!(lock(&appearances.0).shot_bytes, 70);
        appearances.withdraw("front");
        assert_eq!(appearances.held(|_| true).shots, 0);
        assert_eq!(lock(&appearances.0).shot_bytes, 0);
        appearances.show(&shot(Some("alice"), 70));
        let held = appearances.held(|camera| camera == "front");
        assert_eq!((held.spans, held.shots, held.ttl), (1, 1, Duration::from_secs(24 * 3600)));
        assert_eq!(appearances.held(|_| false).spans, 0);
        assert_eq!(appearances.forget(&alice()), 1);
        let ring = lock(&appearances.0);
        assert!(ring.spans.is_empty() && ring.tracks.is_empty() && ring.shot_bytes == 0);
    }

    #[test]
    fn what_is_over_goes_after_its_time_and_there_are_only_so_many() {
        let appearances = Appearances::default();
        let late = Instant::now() + Duration::from_secs(25 * 3600);
        tell(&appearances, Identified, Some(&alice()), 2);
        appearances.look_after(late, |_| true);
        assert!(appearances.get(1).is_some(), "goes on");
        tell(&appearances, Ended, Some(&alice()), 10);
        appearances.look_after(late, |_| true);
        assert!(appearances.get(1).is_none());
        for n in 0..MOST as u64 {
            let who = Who::Person(format!("p{n}").into());
            tell(&appearances, Identified, Some(&who), n);
        }
        tell(&appearances, Revised, Some(&alice()), 0);
        assert_eq!(lock(&appearances.0).spans.len(), MOST);
        assert!(appearances.get(2).is_none());
        appearances.look_after(Instant::now(), |person| person == "alice");
        assert_eq!(lock(&appearances.0).spans.len(), 1);
    }
}
