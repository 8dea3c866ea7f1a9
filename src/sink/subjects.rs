//! Who is in sight, or was a moment ago, and what was seen of them: somebody can say who a track is while it goes by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock;
use crate::recognise::{Identity, Impression, Reason};

/// A name takes some time to type: so long after its last sight a track can still be named.
pub const GRACE: Duration = Duration::from_secs(60);

/// Tracks of one camera, at most; those in sight go before those that left.
const MOST: usize = 256;

/// A track, as somebody may name it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// As events name it.
    pub track: Arc<str>,
    /// Who it is, so far.
    pub identity: Identity,
    /// What stands against its face, as it was seen last.
    pub reason: Option<Reason>,
    /// What was seen of it; `None` while no face of it was usable.
    pub impression: Option<Impression>,
    /// The embedder whose numbers these are; `None` where recognition is off.
    pub model: Option<Arc<str>>,
    /// When it was in sight last.
    pub seen: Instant,
}

impl Subject {
    /// The id of the person that it is.
    pub fn person(&self) -> Option<&str> {
        if let Identity::Known { person, .. } = &self.identity { Some(person) } else { None }
    }
}

/// Tracks that can be named, by camera. Bounded in number and time, and in memory only.
#[derive(Debug, Default)]
pub struct Subjects(Mutex<BTreeMap<Arc<str>, Vec<Subject>>>);

impl Subjects {
    /// Takes in all tracks of `camera` that are in sight now.
    pub(super) fn see(&self, camera: &Arc<str>, present: Vec<Subject>) {
        let mut cameras = lock(&self.0);
        let mut subjects = present;
        for old in cameras.remove(camera).unwrap_or_default() {
            let room = subjects.len() < MOST && old.seen.elapsed() < GRACE;
            match subjects.iter_mut().find(|subject| subject.track == old.track) {
                // what was seen stays while nothing is: the tracker has lost it for the moment
                Some(now) if now.model == old.model => now.impression = now.impression.take().or(old.impression),
                Some(_) => {}
                None if room => subjects.push(old),
                None => {}
            }
        }
        if !subjects.is_empty() {
            cameras.insert(Arc::clone(camera), subjects);
        }
    }

    /// A track of `camera`, by the name that events have for it.
    pub fn find(&self, camera: &str, track: &str) -> Option<Subject> {
        let cameras = lock(&self.0);
        let found = cameras.get(camera)?.iter().find(|subject| *subject.track == *track)?;
        (found.seen.elapsed() < GRACE).then(|| found.clone())
    }

    /// How many there are of the cameras that `sees` knows, in sight or not long gone.
    pub fn count(&self, sees: impl Fn(&str) -> bool) -> usize {
        lock(&self.0).iter().filter(|(camera, _)| sees(camera)).map(|(_, subjects)| subjects.len()).sum()
    }

    /// A camera is gone.
    pub(super) fn leave(&self, camera: &str) {
        lock(&self.0).remove(camera);
    }

    /// Lets go of who left too long ago, and of those whom `keeps` refuses.
    pub(super) fn sweep(&self, keeps: impl Fn(&Subject) -> bool) {
        lock(&self.0).retain(|_, subjects| {
            subjects.retain(|subject| subject.seen.elapsed() < GRACE && keeps(subject));
            !subjects.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::Embedding;

    const CAMERA: &str = "front";

    fn subject(track: &str, seen: bool) -> Subject {
        let impression = seen.then(|| Impression { face: Arc::new(Embedding::new(&[1.0])), quality: 0.5 });
        let (identity, model) = (Identity::Undecided { reason: None }, Some("made-up".into()));
        Subject { track: track.into(), identity, reason: None, impression, model, seen: Instant::now() }
    }

    fn names(subjects: &Subjects, track: &str) -> Option<bool> {
        subjects.find(CAMERA, track).map(|subject| subject.impression.is_some())
    }

    #[test]
    fn who_is_gone_can_be_named_for_a_while_and_what_was_seen_stays() {
        let (subjects, front) = (Subjects::default(), Arc::from(CAMERA));
        assert_eq!(names(&subjects, "front-1"), None);
        subjects.see(&front, vec![subject("front-1", true), subject("front-2", false)]);
        subjects.see(&front, vec![subject("front-1", false)]);
        assert_eq!((names(&subjects, "front-1"), names(&subjects, "front-2")), (Some(true), Some(false)));
        assert!(subjects.find("back", "front-1").is_none());
        assert_eq!((subjects.count(|_| true), subjects.count(|camera| camera != CAMERA)), (2, 0));
        let other = Subject { model: Some("another".into()), ..subject("front-1", false) };
        subjects.see(&front, vec![other]);
        assert_eq!(names(&subjects, "front-1"), Some(false), "numbers of another model say nothing");
        subjects.see(&front, vec![]);
        assert_eq!(names(&subjects, "front-1"), Some(false));
        subjects.sweep(|subject| *subject.track != *"front-1");
        assert_eq!((names(&subjects, "front-1"), names(&subjects, "front-2")), (None, Some(false)));
    }

    #[test]
    fn whoever_left_too_long_ago_is_forgotten() {
        let Some(before) = Instant::now().checked_sub(GRACE) else { return };
        let (subjects, front) = (Subjects::default(), Arc::from(CAMERA));
        subjects.see(&front, vec![Subject { seen: before, ..subject("front-1", true) }]);
        assert_eq!(names(&subjects, "front-1"), None);
        subjects.sweep(|_| true);
        assert!(lock(&subjects.0).is_empty());
        let many = |from: usize| (from..from + MOST).map(|n| subject(&format!("front-{n}"), true)).collect();
        subjects.see(&front, many(0));
        subjects.see(&front, many(MOST));
        assert_eq!(lock(&subjects.0)[CAMERA].len(), MOST);
        assert!(names(&subjects, "front-0").is_none() && names(&subjects, &format!("front-{MOST}")).is_some());
    }
}
