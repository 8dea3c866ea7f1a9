//! The best shot of each track, until it is due. Nothing can pile up: one picture a track, and so many tracks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::crop::Crop;
use super::drop_one;
use crate::event::{Event, EventType};
use crate::sink::Forgotten;

/// Tracks that are kept at once. More: theirs are not taken, and counted.
const MOST_TRACKS: usize = 256;

/// How long after a track's first event its first shot is published, so that it is not the first best.
const FIRST: Duration = Duration::from_millis(300);

/// Between two shots of one track.
const NEXT: Duration = Duration::from_secs(3);

/// How much better a later shot must be.
const GAIN: f32 = 1.3;

/// How long after a track's end shots of it may still come: frames are held for that long.
const GRACE: Duration = crate::mask::hold::MOST;

/// A picture of a track.
#[derive(Debug)]
pub(super) struct Photo {
    pub(super) track: Arc<str>,
    /// How much there is to see, 0 to 1.
    pub(super) fitness: f32,
    pub(super) captured_at: SystemTime,
    pub(super) crop: Crop,
}

/// A picture whose time has come.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) camera: Arc<str>,
    pub(super) person: Option<Arc<str>>,
    pub(super) photo: Photo,
}

#[derive(Debug)]
struct Entry {
    camera: Arc<str>,
    person: Option<Arc<str>>,
    born: Instant,
    ended: Option<Instant>,
    /// The best one that was not published.
    photo: Option<Photo>,
    /// When one was published the last time, and how good it was.
    published: Option<(Instant, f32)>,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.ended.is_some_and(|ended| now >= ended + GRACE)
    }

    fn is_due(&self, now: Instant) -> bool {
        let Some(photo) = &self.photo else { return false };
        match self.published {
            None => now >= self.born + FIRST || self.is_over(now),
            Some((at, fitness)) => {
                let gain = if self.is_over(now) { 1.0 } else { GAIN };
                (now >= at + NEXT || self.is_over(now)) && photo.fitness > fitness * gain
            }
        }
    }
}

/// What is kept of the tracks of some cameras.
#[derive(Debug, Default)]
pub(super) struct Album {
    cameras: BTreeSet<Arc<str>>,
    entries: BTreeMap<Arc<str>, Entry>,
}

impl Album {
    /// From now on tracks of `camera` have a place.
    pub(super) fn open(&mut self, camera: &Arc<str>) {
        self.cameras.insert(Arc::clone(camera));
    }

    /// Takes in what happened to a track.
    pub(super) fn hear(&mut self, event: &Event, now: Instant) {
        let Some(track) = event.track.as_ref().filter(|_| self.cameras.contains(&event.camera)) else { return };
        if event.kind == EventType::Started && self.entries.len() < MOST_TRACKS {
            let camera = Arc::clone(&event.camera);
            let entry = Entry { camera, person: None, born: now, ended: None, photo: None, published: None };
            self.entries.insert(Arc::clone(track), entry);
        }
        let Some(entry) = self.entries.get_mut(track) else { return };
        entry.person.clone_from(&event.identity.person);
        if event.kind == EventType::Ended {
            entry.ended = Some(now);
        }
    }

    /// Takes in a picture. One that is no better than what waits is not kept; one of a track without a place is counted.
    pub(super) fn put(&mut self, camera: &str, photo: Photo) {
        let Some(entry) = self.entries.get_mut(&photo.track) else { return drop_one(camera, "no_track") };
        if entry.photo.as_ref().is_none_or(|kept| kept.fitness < photo.fitness) {
            entry.photo = Some(photo);
        }
    }

    /// Up to `most` pictures whose time has come; tracks that are over are let go.
    pub(super) fn due(&mut self, now: Instant, most: usize) -> Vec<Due> {
        let mut due = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| entry.is_due(now)).take(most) {
            if let Some(photo) = entry.photo.take() {
                entry.published = Some((now, photo.fitness));
                due.push(Due { camera: Arc::clone(&entry.camera), person: entry.person.clone(), photo });
            }
        }
        self.entries.retain(|_, entry| !entry.is_over(now) || entry.is_due(now));
        due
    }

    /// The pictures of a camera that wait go.
    pub(super) fn withdraw(&mut self, camera: &str) {
        for entry in self.entries.values_mut().filter(|entry| *entry.camera == *camera) {
            if entry.photo.take().is_some() {
                drop_one(camera, "withdrawn");
            }
        }
    }

    /// Somebody is to be forgotten, and so are their pictures. Gives how many there were.
    pub(super) fn forget(&mut self, whom: Forgotten<'_>) -> usize {
        let about = self.entries.values_mut().filter(|entry| whom.has(entry.person.as_deref()));
        about
            .filter_map(|entry| {
                entry.person = None;
                entry.photo.take()
            })
            .count()
    }

    /// Counts what is left, at the end.
    pub(super) fn close(&mut self) {
        let left = std::mem::take(&mut self.entries).into_values().filter(|entry| entry.photo.is_some());
        left.for_each(|entry| drop_one(&entry.camera, "shutdown"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, Picture, PixelFormat};
    use crate::geometry::{Rect, Size};
    use crate::recognise::Identity;

    fn photo(fitness: f32) -> Photo {
        let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
        let layout = Layout::packed(Size::new(8, 8), PixelFormat::I420, colour);
        let bytes = vec![0; layout.end().unwrap()];
        let crop = Crop::cut(Picture::new(&layout, &bytes).unwrap(), Rect::new(0.0, 0.0, 8.0, 8.0), 8).unwrap();
        Photo { track: "front-1".into(), fitness, captured_at: SystemTime::UNIX_EPOCH, crop }
    }

    fn event(kind: EventType) -> Event {
        Event { kind, ..fixture::event("front", 1).as_ref().clone() }
    }

    fn album(begin: Instant) -> Album {
        let mut album = Album::default();
        album.open(&"front".into());
        album.hear(&event(EventType::Started), begin);
        album
    }

    fn fitness(due: &[Due]) -> Vec<f32> {
        due.iter().map(|due| due.photo.fitness).collect()
    }

    #[test]
    fn the_best_shot_of_the_first_moments_comes_and_later_only_markedly_better_ones() {
        let begin = Instant::now();
        let at = |s: u64| begin + Duration::from_secs(s);
        let mut album = album(begin);
        album.put("front", photo(0.5));
        album.put("front", photo(0.4));
        assert!(album.due(begin, 8).is_empty());
        assert_eq!(fitness(&album.due(at(1), 8)), [0.5]);
        album.put("front", photo(0.6));
        assert!(album.due(at(9), 8).is_empty(), "hardly better");
        album.put("front", photo(0.7));
        assert!(album.due(at(2), 8).is_empty(), "too soon");
        assert_eq!(fitness(&album.due(at(4), 8)), [0.7]);
        album.put("front", photo(0.8));
        album.hear(&event(EventType::Ended), at(5));
        assert!(album.due(at(6), 8).is_empty(), "shots may still be on their way");
        assert_eq!(fitness(&album.due(at(7), 8)), [0.8], "better by anything, at the end");
        assert!(album.entries.is_empty());
    }

    #[test]
    fn a_short_track_has_its_shot_too_and_nothing_is_left_of_it() {
        let begin = Instant::now();
        let mut album = album(begin);
        album.hear(&event(EventType::Ended), begin);
        album.put("front", photo(0.5));
        assert_eq!(album.due(begin + GRACE, 8).len(), 1);
        assert!(album.entries.is_empty());
        album.put("front", photo(0.5));
        assert!(album.due(begin + GRACE, 8).is_empty());
    }

    #[test]
    fn only_opened_cameras_have_places_and_these_are_bounded() {
        let begin = Instant::now();
        let mut album = Album::default();
        album.hear(&event(EventType::Started), begin);
        assert!(album.entries.is_empty());
        album.open(&"front".into());
        for n in 0..2 * MOST_TRACKS {
            let track = Some(format!("front-{n}").into());
            album.hear(&Event { track, ..event(EventType::Started) }, begin);
        }
        assert_eq!(album.entries.len(), MOST_TRACKS);
    }

    #[test]
    fn what_is_withdrawn_is_never_shown() {
        let begin = Instant::now();
        let mut album = album(begin);
        album.put("front", photo(0.5));
        album.withdraw("back");
        album.withdraw("front");
        assert!(album.due(begin + FIRST, 8).is_empty());
        album.put("front", photo(0.3));
        assert_eq!(fitness(&album.due(begin + FIRST, 8)), [0.3], "one that was taken since");
    }

    #[test]
    fn who_is_forgotten_is_shown_no_more() {
        let begin = Instant::now();
        let alice = Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.8, margin: None };
        let mut album = album(begin);
        album.hear(&Event { identity: (&alice).into(), ..event(EventType::Identified) }, begin);
        album.put("front", photo(0.5));
        album.forget(Forgotten::Person("bob"));
        assert_eq!(album.forget(Forgotten::Person("alice")), 1);
        assert!(album.due(begin + FIRST, 8).is_empty());
    }
}
