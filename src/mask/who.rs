//! Who is masked. Everybody is, unless the settings let a person go unmasked and it is certain, at this very analysis, that
//! the track is that person.

use std::collections::HashMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::detect::Detection;
use crate::geometry::Rect;
use crate::recognise::{Identity, Verdict};
use crate::track::{Track, TrackState};

/// For how long a person counts as verified.
const VERIFIED_FOR: Duration = Duration::from_secs(1);

/// Faces whose boxes, grown by this share of their extent on each side and by their way since the last analysis, overlap may
/// be mistaken for each other.
const CLOSE: f32 = 0.1;

/// The same for what is found without a track, of which nobody knows how it moves.
const CLOSE_UNTRACKED: f32 = 0.25;

/// Nobody goes straight on for longer than this.
const STRAIGHT: Duration = Duration::from_millis(500);

/// A face that was lost no longer ago than this may be anywhere near where it was.
const HIDDEN_FOR: Duration = Duration::from_secs(1);

/// Whose faces are masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Everybody.
    #[default]
    Everyone,
    /// All but people of the gallery.
    Strangers,
    /// All but strangers.
    Known,
    /// Nobody: a decision that the configuration must spell out.
    Nobody,
}

/// A track that goes unmasked in one analysed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// Its id.
    pub track: u64,
    /// Whether its face was verified in this very frame, and not only in one shortly before.
    pub verified: bool,
}

/// The rule, and which tracks it cannot be applied to for now.
#[derive(Debug)]
pub struct Exemptions {
    who: Who,
    tags: Vec<String>,
    known: HashMap<u64, Known>,
    /// Stream time of the last analysis.
    last: Option<Duration>,
}

/// What is remembered of a track between analyses.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Stream time when it was new, lost or near another one: only what was verified since then counts.
    doubted: Duration,
}

impl Exemptions {
    /// The rule of `who`, with `tags` whose people are never masked.
    pub fn new(who: Who, tags: &[String]) -> Self {
        Self { who, tags: tags.to_vec(), known: HashMap::new(), last: None }
    }

    /// Whether it depends on who somebody is.
    pub fn are_possible(&self) -> bool {
        matches!(self.who, Who::Strangers | Who::Known) || !self.tags.is_empty()
    }

    /// The tracks that go unmasked in the frame analysed at stream time `at`. `others` are boxes found in it that belong to
    /// no track. To be called for each analysis.
    pub fn judge(&mut self, at: Duration, tracks: &[Track], others: &[Rect], verdicts: &[Verdict]) -> Vec<Exempt> {
        self.known.retain(|id, _| tracks.iter().any(|track| track.id == *id));
        let step = at.saturating_sub(self.last.replace(at).unwrap_or(at)).min(STRAIGHT);
        let mut exempt = Vec::new();
        for track in tracks {
            let is_seen = track.detection.is_some() && track.state == TrackState::Confirmed;
            let certain = is_seen && is_alone(track, step, tracks, others);
            let known = self.known.entry(track.id).or_insert(Known { doubted: at });
            if !certain {
                known.doubted = at;
            }
            let doubted = known.doubted;
            let verdict = verdicts.iter().find(|verdict| verdict.track == track.id);
            let Some(verdict) = verdict.filter(|verdict| certain && self.lets_go(verdict)) else { continue };
            let fresh = verdict.verified.filter(|verified| at.saturating_sub(*verified) <= VERIFIED_FOR);
            if let Some(verified) = fresh.filter(|verified| *verified > doubted) {
                exempt.push(Exempt { track: track.id, verified: verified == at });
            }
        }
        exempt
    }

    /// Of the faces of a still, those that go unmasked: by one look at each, which `verdicts` name by their places in `faces`.
    pub fn judge_still(&self, faces: &[Detection], verdicts: &[Verdict]) -> Vec<usize> {
        let certain = |face: usize| {
            let verdict = verdicts.iter().find(|verdict| verdict.track == face as u64);
            verdict.is_some_and(|verdict| verdict.verified.is_some() && self.lets_go(verdict))
        };
        let is_alone = |face: usize| {
            let others = faces.iter().enumerate().filter(|(other, _)| *other != face);
            !others
                .into_iter()
                .any(|(_, other)| are_close(faces[face].rect.grown(CLOSE_UNTRACKED), other.rect.grown(CLOSE_UNTRACKED)))
        };
        (0..faces.len()).filter(|face| certain(*face) && is_alone(*face)).collect()
    }

    /// Whether a person or stranger goes unmasked by the rule.
    fn lets_go(&self, verdict: &Verdict) -> bool {
        let tagged = verdict.tags.iter().any(|tag| self.tags.contains(tag));
        match verdict.identity {
            Identity::Undecided { .. } => false,
            Identity::Known { .. } => tagged || self.who == Who::Strangers,
            Identity::Stranger { .. } => self.who == Who::Known,
        }
    }

    /// Forgets every track, as after a break in the stream.
    pub fn forget(&mut self) {
        self.known.clear();
        self.last = None;
    }
}

/// Whether no other face is near enough to be mistaken for this one, `step` after the last analysis.
fn is_alone(track: &Track, step: Duration, tracks: &[Track], others: &[Rect]) -> bool {
    let place = |track: &Track| {
        let rect = track.detection.map_or(track.rect, |detection| detection.rect).grown(CLOSE);
        let (dx, dy) = (track.velocity.x * step.as_secs_f32(), track.velocity.y * step.as_secs_f32());
        // where it came from as well as where it is
        let (left, top) = (rect.x - dx.max(0.0), rect.y - dy.max(0.0));
        Rect::new(left, top, rect.w + dx.abs(), rect.h + dy.abs())
    };
    let own = place(track);
    let about = |other: &&Track| other.id != track.id && track.last_seen.saturating_sub(other.last_seen) <= HIDDEN_FOR;
    !tracks.iter().filter(about).any(|other| are_close(own, place(other)))
        && !others.iter().any(|rect| are_close(own, rect.grown(CLOSE_UNTRACKED)))
}

fn are_close(a: Rect, b: Rect) -> bool {
    a.intersection(b).area() > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Point;

    fn alice() -> Identity {
        Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.8, margin: None }
    }

    fn track(id: u64, x: f32, seen: bool) -> Track {
        let rect = Rect::new(x, 0.0, 50.0, 60.0);
        Track {
            id,
            rect,
            velocity: Point::default(),
            state: if seen { TrackState::Confirmed } else { TrackState::Lost },
            detection: seen.then_some(Detection { rect, score: 0.9, landmarks: None }),
            score: 0.9,
            first_seen: Duration::ZERO,
            last_seen: Duration::ZERO,
            hits: 5,
        }
    }

    /// Judges one instant, in milliseconds, at which track 1 was verified at `verified` the last time.
    fn judge(rule: &mut Exemptions, at: u64, verified: u64, tracks: &[Track]) -> bool {
        let (at, verified) = (Duration::from_millis(at), Duration::from_millis(verified));
        let exempt = rule.judge(at, tracks, &[], &[verdict(alice(), Some(verified), &["staff"])]);
        assert!(exempt.iter().all(|exempt| *exempt == Exempt { track: 1, verified: verified == at }), "{exempt:?}");
        !exempt.is_empty()
    }

    /// What recognition says of track 1.
    fn verdict(identity: Identity, verified: Option<Duration>, tags: &[&str]) -> Verdict {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let (quality, change, impression) = (None, None, None);
        Verdict { track: 1, identity, quality, doubtful: false, change, verified, tags, impression }
    }

    #[test]
    fn a_person_of_the_gallery_goes_unmasked_while_verified() {
        let mut rule = Exemptions::new(Who::Strangers, &[]);
        let tracks = [track(1, 0.0, true)];
        assert!(!judge(&mut rule, 0, 0, &tracks), "what was known before it was first seen says nothing");
        assert!(judge(&mut rule, 100, 100, &tracks));
        assert!(judge(&mut rule, 1100, 100, &tracks));
        assert!(!judge(&mut rule, 1200, 100, &tracks), "verified too long ago");
        assert!(judge(&mut rule, 1300, 1300, &tracks));
    }

    #[test]
    fn who_was_lost_or_near_another_must_be_verified_anew() {
        for doubt in [vec![track(1, 0.0, false)], vec![track(1, 0.0, true), track(2, 55.0, true)]] {
            let mut rule = Exemptions::new(Who::Everyone, &["staff".to_owned()]);
            let alone = [track(1, 0.0, true)];
            judge(&mut rule, 0, 0, &alone);
            assert!(judge(&mut rule, 100, 90, &alone));
            assert!(!judge(&mut rule, 200, 200, &doubt));
            assert!(!judge(&mut rule, 300, 200, &alone), "not since");
            assert!(judge(&mut rule, 400, 350, &alone));
        }
    }

    #[test]
    fn each_rule_lets_go_whom_it_says() {
        let stranger = Identity::Stranger { alias: "visitor-1".into(), score: None };
        let cases = [
            (Who::Everyone, alice(), false),
            (Who::Strangers, alice(), true),
            (Who::Known, alice(), false),
            (Who::Strangers, stranger.clone(), false),
            (Who::Known, stranger, true),
            (Who::Known, Identity::OFF, false),
            (Who::Strangers, Identity::OFF, false),
        ];
        for (who, identity, expected) in cases {
            let verdict = verdict(identity, None, &[]);
            assert_eq!(Exemptions::new(who, &[]).lets_go(&verdict), expected, "{who:?} {verdict:?}");
        }
    }
}
