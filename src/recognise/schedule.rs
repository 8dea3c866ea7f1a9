//! When a track's face is worth an embedding.
//!
//! The first usable face, a second one soon after it, each gain in quality and each new side of the face; in between
//! now and then to see that all is as it was. At most two a second, but at once where the identity is in doubt, and as
//! often as is asked for where the person may go unmasked.

use std::time::Duration;

use super::decide::APART;

/// Embeddings a second that a track may have in the long run.
const PER_SECOND: f32 = 2.0;
/// Embeddings that a track may have at once.
const AT_ONCE: f32 = 2.0;
/// A face must be better than the best one so far by this much to be a gain.
const GAIN: f32 = 0.05;
/// A track without a name is looked at again after this.
const UNDECIDED: Duration = Duration::from_millis(500);
/// A track with a name is looked at again after this.
const DECIDED: Duration = Duration::from_secs(3);
/// The identity is in doubt, but faces this close are the same one.
const URGENT: Duration = Duration::from_millis(30);
/// Another face stays near, and nothing else gives reason for doubt.
const DOUBTFUL: Duration = Duration::from_millis(250);

/// How much depends on an embedding, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// To see that all is as it was, or a better look.
    Routine,
    /// To see that the person who goes unmasked is still there.
    Watched,
    /// The track has no name yet.
    Unnamed,
    /// Nothing is known of the track.
    First,
    /// The name that is shown may be wrong.
    Doubtful,
}

/// What a usable face brings, and what is known without it.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Stream time.
    pub at: Duration,
    /// Fitness for recognition, 0 to 1.
    pub quality: f32,
    /// No face looking this way was embedded before.
    pub new_pose: bool,
    /// Nothing is known of the track's person.
    pub first: bool,
    /// Whether the track has a name or an alias.
    pub decided: bool,
    /// Whether the face may be another than before.
    pub doubtful: bool,
    /// Whether there is special reason for that now.
    pub urgent: bool,
    /// Longest time between two embeddings while the person may go unmasked.
    pub watched: Option<Duration>,
}

/// When one track was embedded.
#[derive(Debug, Default)]
pub struct Schedule {
    last: Option<Duration>,
    tokens: f32,
    best: f32,
}

impl Schedule {
    /// Whether this face should be embedded, and how urgently.
    pub fn wants(&self, offer: &Offer) -> Option<Urgency> {
        let Some(last) = self.last else { return Some(Urgency::First) };
        let since = offer.at.saturating_sub(last);
        if offer.first || offer.doubtful {
            let urgency = if offer.first { Urgency::First } else { Urgency::Doubtful };
            let wait =
                if offer.first || offer.urgent { URGENT } else { offer.watched.unwrap_or(DOUBTFUL).min(DOUBTFUL) };
            return (since >= wait).then_some(urgency);
        }
        if offer.watched.is_some_and(|every| since >= every) {
            return Some(Urgency::Watched);
        }
        if self.tokens_at(offer.at) < 1.0 || since < APART {
            return None;
        }
        let rest = if offer.decided { DECIDED } else { UNDECIDED };
        let due = since >= rest || offer.new_pose || offer.quality > self.best + GAIN;
        match offer.decided {
            true => due.then_some(Urgency::Routine),
            // The second look is the one that decides: it does not wait for a better face.
            false => (due || self.tokens_at(offer.at) > AT_ONCE - 1.0).then_some(Urgency::Unnamed),
        }
    }

    /// Notes that a face of this quality is embedded.
    pub fn note(&mut self, offer: &Offer) {
        self.tokens = (self.tokens_at(offer.at) - 1.0).max(0.0);
        self.last = Some(offer.at);
        self.best = self.best.max(offer.quality);
    }

    /// Nothing that was embedded counts any more.
    pub fn restart(&mut self) {
        self.best = 0.0;
    }

    fn tokens_at(&self, at: Duration) -> f32 {
        let refilled = self.last.map_or(AT_ONCE, |last| at.saturating_sub(last).as_secs_f32() * PER_SECOND);
        (self.tokens + refilled).min(AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(ms: u64, quality: f32, decided: bool) -> Offer {
        Offer {
            at: Duration::from_millis(ms),
            quality,
            new_pose: false,
            first: false,
            decided,
            doubtful: false,
            urgent: false,
            watched: None,
        }
    }

    /// Times at which a track is embedded, with a face of `quality` every 40 ms for four seconds.
    fn embedded(quality: impl Fn(u64) -> f32, decided: impl Fn(usize) -> bool) -> Vec<u64> {
        let (mut schedule, mut times) = (Schedule::default(), Vec::new());
        for ms in (0..=4000).step_by(40) {
            let offer = offer(ms, quality(ms), decided(times.len()));
            if schedule.wants(&offer).is_some() {
                schedule.note(&offer);
                times.push(ms);
            }
        }
        times
    }

    #[test]
    fn a_second_look_follows_soon_and_then_two_a_second_at_most() {
        let times = embedded(|_| 0.5, |_| false);
        assert_eq!(&times[..2], [0, 200]);
        assert!(times.len() <= 10, "{times:?}");
        assert!(times.windows(3).all(|w| w[2] - w[0] >= 500), "{times:?}");
    }

    #[test]
    fn who_is_known_is_looked_at_now_and_then_and_when_there_is_more_to_see() {
        assert_eq!(embedded(|_| 0.5, |n| n > 0), [0, 3000]);
        assert_eq!(embedded(|ms| if ms < 1500 { 0.5 } else { 0.9 }, |n| n > 0), [0, 1520]);
        let mut schedule = Schedule::default();
        schedule.note(&offer(0, 0.9, false));
        let turned = Offer { new_pose: true, ..offer(1000, 0.4, true) };
        assert_eq!(schedule.wants(&turned), Some(Urgency::Routine));
    }

    #[test]
    fn doubt_does_not_wait() {
        let mut schedule = Schedule::default();
        schedule.note(&offer(0, 0.9, false));
        schedule.note(&offer(10, 0.9, false));
        let doubtful = Offer { doubtful: true, ..offer(100, 0.2, true) };
        assert_eq!(schedule.wants(&doubtful), None);
        assert_eq!(schedule.wants(&Offer { urgent: true, ..doubtful }), Some(Urgency::Doubtful));
        let later = Offer { doubtful: true, ..offer(300, 0.2, true) };
        assert_eq!(schedule.wants(&later), Some(Urgency::Doubtful));
        assert_eq!(schedule.wants(&offer(100, 1.0, false)), None);
    }

    #[test]
    fn what_is_unknown_comes_before_what_is_known() {
        assert_eq!(Schedule::default().wants(&offer(0, 0.1, false)), Some(Urgency::First));
        assert!(Urgency::Doubtful > Urgency::First && Urgency::First > Urgency::Routine);
    }
}
