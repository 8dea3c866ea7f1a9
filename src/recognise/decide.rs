//! What a track's score is worth: the decision in sequence, and the hysteresis once it has fallen.
//!
//! All distances are in units of the model's [`Bar::scale`], over which false matches become rarer by 1/e, so that the
//! same rules hold for models whose cosines lie elsewhere.

use std::time::Duration;

use super::fusion::Evidence;

/// Two faces this far apart are two looks; less than the 200 ms that are meant by the jitter of a camera's clock.
pub const APART: Duration = Duration::from_millis(190);
/// A track is a stranger's after usable faces of this long.
pub const STRANGER_AFTER: Duration = Duration::from_secs(2);

/// Fitness from which on a single face may decide.
const EXCELLENT: f32 = 0.5;
/// A single face decides from this many scales above the threshold on: false matches are a twentieth as frequent.
const CLEAR: f32 = 3.0;
/// A single face decides where it stands this many margins before the second person.
const CLEAR_MARGINS: f32 = 2.0;
/// A name falls this many scales below the threshold at which it was given.
const SLACK: f32 = 1.5;
/// Two faces are of different people this many scales below the threshold for a pair.
const DIFFERENT: f32 = 3.0;

/// What is asked of a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The least score that makes a name.
    pub threshold: f32,
    /// The least distance to the second person's score.
    pub margin: f32,
    /// The least score that makes two pictures one person's.
    pub pair: f32,
    /// False matches become rarer by 1/e over this much more of cosine.
    pub scale: f32,
}

impl Bar {
    /// Whether two faces are certainly not one person's.
    pub fn differs(&self, cosine: f32) -> bool {
        cosine < self.pair - DIFFERENT * self.scale
    }

    /// Whether two faces are one person's.
    pub fn agrees(&self, cosine: f32) -> bool {
        cosine >= self.pair
    }

    /// What `evidence` is worth that gives `score`, `ahead` of the second.
    pub fn judge(&self, score: f32, ahead: Option<f32>, evidence: &Evidence) -> Standing {
        let stands_out = |margins: f32| ahead.is_none_or(|ahead| ahead >= margins * self.margin);
        let clear =
            evidence.best() >= EXCELLENT && score >= self.threshold + CLEAR * self.scale && stands_out(CLEAR_MARGINS);
        let looked_twice = evidence.crops() >= 2 && evidence.span() >= APART;
        match () {
            () if score < self.threshold => Standing::Below,
            () if !stands_out(1.0) => Standing::Ambiguous,
            () if clear || looked_twice => Standing::Accepted,
            () => Standing::Open,
        }
    }

    /// Whether a name that was given stays: nobody else is in front, and the score not far below what was asked.
    pub fn keeps(&self, score: f32) -> bool {
        score >= self.threshold - SLACK * self.scale
    }
}

/// What a score is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It makes a name.
    Accepted,
    /// It will make a name if another look says the same.
    Open,
    /// Two people are too close to each other.
    Ambiguous,
    /// It is nobody.
    Below,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::Embedding;
    use crate::recognise::fusion::{Crop, Pose};

    const BAR: Bar = Bar { threshold: 0.45, margin: 0.05, pair: 0.35, scale: 0.04 };

    fn judge(score: f32, ahead: Option<f32>, quality: f32, times: &[u64]) -> Standing {
        let mut evidence = Evidence::default();
        for at in times {
            let embedding = Embedding::new(&[1.0, 0.0]);
            let at = Duration::from_millis(*at);
            evidence.add(&Crop { embedding, quality, score: 0.9, pose: Pose::Frontal, at });
        }
        BAR.judge(score, ahead, &evidence)
    }

    #[test]
    fn one_excellent_face_well_above_decides_at_once() {
        assert_eq!(judge(0.58, Some(0.2), 0.8, &[0]), Standing::Accepted);
        assert_eq!(judge(0.58, None, 0.8, &[0]), Standing::Accepted, "nobody else is there");
        assert_eq!(judge(0.58, Some(0.2), 0.3, &[0]), Standing::Open, "no excellent face");
        assert_eq!(judge(0.5, Some(0.2), 0.8, &[0]), Standing::Open, "not well above");
        assert_eq!(judge(0.58, Some(0.08), 0.8, &[0]), Standing::Open, "the second is near");
    }

    #[test]
    fn else_two_looks_decide() {
        assert_eq!(judge(0.46, Some(0.06), 0.3, &[0, 200]), Standing::Accepted);
        assert_eq!(judge(0.46, Some(0.06), 0.3, &[0, 100]), Standing::Open, "both of one moment");
        assert_eq!(judge(0.46, Some(0.04), 0.3, &[0, 200]), Standing::Ambiguous);
        assert_eq!(judge(0.44, Some(0.3), 0.9, &[0, 200]), Standing::Below);
    }

    #[test]
    fn a_name_that_was_given_does_not_flicker() {
        assert!(BAR.keeps(0.40) && !BAR.keeps(0.38));
    }
}
