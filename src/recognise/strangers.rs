//! People whom nobody enrolled, told apart for some time: the third visit today is known as such, on every camera.
//!
//! In memory only, bounded, and overwritten with zeros when it goes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Embedding;
use super::decide::Bar;
use super::fusion::Evidence;
use super::gallery::Calibration;
use super::gallery::calibration::Own;
use crate::clock::Monotonic;

/// Strangers remembered at once; a newer one takes the place of the one not seen for the longest time.
const MOST: usize = 2000;
/// Faces kept of one stranger.
const FACES: usize = 4;
/// Faces kept of a stranger who was found to be several.
const MERGED_FACES: usize = 3 * FACES;
/// Aliases of those several that are remembered; the oldest goes for a newer one.
const MERGED_ALIASES: usize = 32;
/// A face this many scales above the threshold says nothing new.
const FAMILIAR: f32 = 5.0;

/// The strangers of all cameras. Clones share them.
#[derive(Clone)]
pub struct Strangers(Arc<Shared>);

struct Shared {
    ttl: Duration,
    calibration: Calibration,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    strangers: Vec<Stranger>,
    ever: u64,
}

struct Stranger {
    alias: Arc<str>,
    /// Aliases that were this stranger's, too, before it was known that they are one.
    former: VecDeque<Arc<str>>,
    /// Of length one.
    faces: Vec<Embedding>,
    /// Of the best face they came with.
    quality: f32,
    first_seen: Monotonic,
    last_seen: Monotonic,
    /// Nobody wants to hear of them.
    ignored: bool,
}

/// A stranger as a listing shows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Acquaintance {
    /// The alias.
    pub alias: Arc<str>,
    /// Faces kept.
    pub faces: usize,
    /// First seen so long ago.
    pub first_seen: Duration,
    /// Last seen so long ago.
    pub last_seen: Duration,
    /// Whether nobody wants to hear of them.
    pub ignored: bool,
}

/// The stranger who looks most like a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Likeness {
    /// Who.
    pub alias: Arc<str>,
    /// Cosine.
    pub score: f32,
    /// Distance to the next stranger's.
    pub ahead: Option<f32>,
}

impl Strangers {
    /// Nobody yet. An alias is forgotten `ttl` after its stranger was last seen.
    pub fn new(ttl: Duration, calibration: Calibration) -> Self {
        Self(Arc::new(Shared { ttl, calibration, book: Mutex::default() }))
    }

    /// How long a stranger is remembered after being seen last.
    pub fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// Whether both are handles to the same strangers.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().strangers.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stranger most like `probe` who is none of `except`, and what is asked of the score.
    pub fn find(&self, probe: &Embedding, except: &[Arc<str>], now: Monotonic) -> (Option<Likeness>, Bar) {
        let mut book = self.lock();
        book.expire(self.0.ttl, now);
        (book.find(&probe.unit(), except), self.bar(&book))
    }

    /// The alias of who looks like `evidence`; a new one where nobody does.
    pub fn admit(&self, evidence: &Evidence, except: &[Arc<str>], now: Monotonic) -> Option<Arc<str>> {
        let probe = evidence.fused()?.unit();
        let mut book = self.lock();
        book.expire(self.0.ttl, now);
        // Two cameras may meet somebody at the same moment.
        let bar = self.bar(&book);
        let known = book.find(&probe, except).filter(|known| known.score >= bar.threshold);
        Some(match known {
            Some(known) => known.alias,
            None => book.open(probe, evidence.best(), now),
        })
    }

    /// Notes that a stranger is there, and what they look like if that is new.
    pub fn meet(&self, alias: &str, face: Option<&Embedding>, now: Monotonic) {
        let mut book = self.lock();
        let familiar = self.bar(&book);
        let Some(stranger) = book.strangers.iter_mut().find(|stranger| *stranger.alias == *alias) else { return };
        stranger.last_seen = now;
        let Some(face) = face.map(Embedding::unit) else { return };
        let score = stranger.score(&face);
        let new = familiar.agrees(score) && score < familiar.threshold + FAMILIAR * familiar.scale;
        if new && stranger.faces.len() < FACES {
            stranger.faces.push(face);
        }
    }

    /// The alias that a stranger has by now who was given this one; `None`: there is no such stranger any more.
    pub fn present_alias(&self, alias: &str) -> Option<Arc<str>> {
        let book = self.lock();
        let is_own = |stranger: &&Stranger| *stranger.alias == *alias;
        let was_own = |stranger: &&Stranger| stranger.former.iter().any(|former| **former == *alias);
        let found = book.strangers.iter().find(is_own).or_else(|| book.strangers.iter().find(was_own));
        found.map(|stranger| Arc::clone(&stranger.alias))
    }

    /// Somebody is no stranger any more.
    pub fn forget(&self, alias: &str) {
        self.lock().strangers.retain(|stranger| *stranger.alias != *alias);
    }

    /// All of them, in the order in which they came.
    pub fn list(&self, now: Monotonic) -> Vec<Acquaintance> {
        let mut book = self.lock();
        book.expire(self.0.ttl, now);
        let mut strangers: Vec<&Stranger> = book.strangers.iter().collect();
        strangers.sort_by_key(|stranger| stranger.first_seen);
        let shown = |stranger: &Stranger| Acquaintance {
            alias: Arc::clone(&stranger.alias),
            faces: stranger.faces.len(),
            first_seen: now.since(stranger.first_seen),
            last_seen: now.since(stranger.last_seen),
            ignored: stranger.ignored,
        };
        strangers.into_iter().map(shown).collect()
    }

    /// A stranger's faces, each with its fitness for recognition; `None`: there is no such stranger.
    pub fn faces(&self, alias: &str) -> Option<Vec<(Embedding, f32)>> {
        let book = self.lock();
        let stranger = book.strangers.iter().find(|stranger| *stranger.alias == *alias)?;
        Some(stranger.faces.iter().map(|face| (face.clone(), stranger.quality)).collect())
    }

    /// Makes one stranger of two, under the alias `into`. `false`: one of them is not there, or both are the same.
    pub fn merge(&self, from: &str, into: &str) -> bool {
        let mut book = self.lock();
        let place = |alias: &str| book.strangers.iter().position(|stranger| *stranger.alias == *alias);
        let (Some(from), Some(into)) = (place(from), place(into).filter(|_| from != into)) else { return false };
        let alias = Arc::clone(&book.strangers[into].alias);
        let gone = book.strangers.swap_remove(from);
        let Some(kept) = book.strangers.iter_mut().find(|stranger| stranger.alias == alias) else { return false };
        let room = MERGED_FACES.saturating_sub(kept.faces.len());
        kept.faces.extend(gone.faces.into_iter().take(room));
        kept.former.extend(gone.former);
        kept.former.push_back(gone.alias);
        let too_many = kept.former.len().saturating_sub(MERGED_ALIASES);
        kept.former.drain(..too_many);
        kept.first_seen = kept.first_seen.min(gone.first_seen);
        kept.last_seen = kept.last_seen.max(gone.last_seen);
        true
    }

    /// Whether anybody wants to hear of a stranger. `false`: there is no such stranger.
    pub fn ignore(&self, alias: &str, ignored: bool) -> bool {
        let mut book = self.lock();
        let stranger = book.strangers.iter_mut().find(|stranger| *stranger.alias == *alias);
        stranger.map(|stranger| stranger.ignored = ignored).is_some()
    }

    /// Nobody is known by an alias any more. Gives how many there were.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut self.lock().strangers).len()
    }

    /// Everybody's time is over that has passed.
    pub fn sweep(&self, now: Monotonic) {
        self.lock().expire(self.0.ttl, now);
    }

    fn bar(&self, book: &Book) -> Bar {
        let faces = book.strangers.iter().map(|stranger| stranger.faces.len()).sum();
        let calibration = &self.0.calibration;
        let threshold = calibration.threshold(faces, Own::default());
        let margin = calibration.margin(book.strangers.len());
        Bar { threshold, margin, pair: calibration.pair, scale: calibration.impostors.scale }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn expire(&mut self, ttl: Duration, now: Monotonic) {
        self.strangers.retain(|stranger| now.since(stranger.last_seen) < ttl);
    }

    fn find(&self, probe: &Embedding, except: &[Arc<str>]) -> Option<Likeness> {
        let (mut first, mut second): (Option<(&Stranger, f32)>, Option<f32>) = (None, None);
        for stranger in self.strangers.iter().filter(|stranger| !except.contains(&stranger.alias)) {
            let score = stranger.score(probe);
            if first.is_none_or(|(_, best)| score > best) {
                second = first.map(|(_, best)| best);
                first = Some((stranger, score));
            } else if second.is_none_or(|next| score > next) {
                second = Some(score);
            }
        }
        let (stranger, score) = first?;
        Some(Likeness { alias: Arc::clone(&stranger.alias), score, ahead: second.map(|second| score - second) })
    }

    fn open(&mut self, face: Embedding, quality: f32, now: Monotonic) -> Arc<str> {
        if self.strangers.len() >= MOST
            && let Some(oldest) = (0..MOST).min_by_key(|&index| self.strangers[index].last_seen)
        {
            self.strangers.swap_remove(oldest);
        }
        self.ever += 1;
        let alias: Arc<str> = format!("visitor-{}", self.ever).into();
        let (first_seen, last_seen, ignored) = (now, now, false);
        let (former, faces) = (VecDeque::new(), vec![face]);
        self.strangers.push(Stranger {
            alias: Arc::clone(&alias),
            former,
            faces,
            quality,
            first_seen,
            last_seen,
            ignored,
        });
        alias
    }
}

impl Stranger {
    fn score(&self, probe: &Embedding) -> f32 {
        self.faces.iter().map(|face| face.dot(probe)).fold(-1.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::manifest::Impostors;
    use crate::recognise::fusion::{Crop, Pose};

    const MODEL: Calibration =
        Calibration { pair: 0.35, impostors: Impostors { cosine: 0.4, rate: 2.6e-4, scale: 0.04 } };

    fn strangers() -> Strangers {
        Strangers::new(Duration::from_secs(3600), MODEL)
    }

    fn at(secs: u64) -> Monotonic {
        Monotonic::from_nanos(secs * 1_000_000_000)
    }

    /// Somebody by number, seen `turn` away from the direction that stands for them.
    fn face(person: usize, turn: f32) -> Embedding {
        let mut values = vec![0.0; 3000];
        values[person] = turn.cos();
        values[2999] = turn.sin();
        Embedding::new(&values)
    }

    fn evidence(embedding: Embedding) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.add(&Crop { embedding, quality: 0.8, score: 0.9, pose: Pose::Frontal, at: Duration::ZERO });
        evidence
    }

    fn admit(strangers: &Strangers, person: usize, secs: u64) -> Arc<str> {
        strangers.admit(&evidence(face(person, 0.3)), &[], at(secs)).unwrap()
    }

    #[test]
    fn who_comes_again_has_the_same_alias_and_others_have_others() {
        let strangers = strangers();
        assert_eq!(&*admit(&strangers, 1, 0), "visitor-1");
        assert_eq!(&*admit(&strangers, 2, 10), "visitor-2");
        assert_eq!(&*admit(&strangers, 1, 20), "visitor-1");
        let (found, bar) = strangers.find(&face(2, 0.5), &[], at(30));
        let found = found.unwrap();
        assert_eq!(&*found.alias, "visitor-2");
        assert!(found.score > bar.threshold && found.ahead.unwrap() > 0.5, "{found:?} {bar:?}");
        let (other, _) = strangers.find(&face(2, 0.5), std::slice::from_ref(&found.alias), at(30));
        assert_eq!(&*other.unwrap().alias, "visitor-1");
    }

    #[test]
    fn an_alias_lives_for_its_time_since_the_stranger_was_seen() {
        let strangers = strangers();
        admit(&strangers, 1, 0);
        strangers.meet("visitor-1", None, at(3000));
        strangers.sweep(at(6000));
        assert_eq!(strangers.len(), 1);
        assert_eq!(&*admit(&strangers, 1, 6600), "visitor-2", "the old one is forgotten, and not given again");
    }

    #[test]
    fn another_side_of_the_face_is_kept_and_not_every_one() {
        let strangers = strangers();
        admit(&strangers, 1, 0);
        let score = |turn: f32| strangers.find(&face(1, turn), &[], at(1)).0.unwrap().score;
        let before = score(1.5);
        strangers.meet("visitor-1", Some(&face(1, 1.35)), at(1));
        assert!(score(1.5) > before + 0.2);
        (0..50).for_each(|turn| strangers.meet("visitor-1", Some(&face(1, turn as f32 * 0.05)), at(1)));
        assert!(strangers.lock().strangers[0].faces.len() <= FACES);
        strangers.meet("visitor-1", Some(&face(7, 0.0)), at(1));
        assert!(score(0.3) > 0.9 && strangers.find(&face(7, 0.0), &[], at(1)).0.unwrap().score < 0.4);
    }

    #[test]
    fn there_are_only_so_many() {
        let strangers = strangers();
        for person in 0..MOST + 5 {
            strangers.lock().open(face(person, 0.3), 0.8, at(person as u64));
        }
        assert_eq!(strangers.len(), MOST);
        assert_eq!(&*admit(&strangers, 2004, 2100), "visitor-2005");
        assert_eq!(&*admit(&strangers, 0, 2100), "visitor-2006", "the first one was forgotten");
    }

    #[test]
    fn two_aliases_of_one_stranger_are_merged() {
        let strangers = strangers();
        admit(&strangers, 1, 0);
        admit(&strangers, 2, 10);
        assert!(!strangers.merge("visitor-1", "visitor-1") && !strangers.merge("visitor-1", "visitor-9"));
        assert!(strangers.merge("visitor-1", "visitor-2"));
        let both = strangers.list(at(30));
        assert_eq!(both.len(), 1);
        assert_eq!((both[0].faces, both[0].first_seen.as_secs(), both[0].last_seen.as_secs()), (2, 30, 20));
        assert_eq!(&*admit(&strangers, 1, 40), "visitor-2");
        assert!(strangers.ignore("visitor-2", true) && strangers.list(at(40))[0].ignored);
        assert!(strangers.faces("visitor-1").is_none());
        assert_eq!(strangers.faces("visitor-2").unwrap().len(), 2);
        assert_eq!(&*admit(&strangers, 3, 40), "visitor-3");
        assert!(strangers.merge("visitor-2", "visitor-3"));
        let now = |alias: &str| strangers.present_alias(alias);
        let merged = ["visitor-1", "visitor-2", "visitor-3"];
        assert!(merged.into_iter().all(|alias| now(alias).as_deref() == Some("visitor-3")));
        assert_eq!(now("visitor-9"), None);
        assert_eq!((strangers.clear(), strangers.len()), (1, 0));
    }

    #[test]
    fn who_is_enrolled_is_no_stranger_any_more() {
        let strangers = strangers();
        let alias = admit(&strangers, 1, 0);
        strangers.forget(&alias);
        assert!(strangers.is_empty() && strangers.find(&face(1, 0.0), &[], at(0)).0.is_none());
    }
}
