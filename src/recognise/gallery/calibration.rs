//! What strangers score, and the threshold and margin that follow.
//!
//! Cosines of pairs of different people have a tail that falls at least exponentially, so a model is described by one
//! point on it and its slope: `FMR(t) = rate · e^(−(t − cosine) / scale)` for `t ≥ cosine`. A probe of a stranger meets
//! every reference, and a track asks several times, so a gallery names a stranger's track by mistake with a probability of
//! at most `FPIR(t) = n · LOOKS · FMR(t)`. The threshold is the `t` at which this is [`AIM`]:
//!
//! `t(n) = cosine + scale · ln(n · LOOKS · rate · excess / AIM)`, and never below the model's own for a single pair.
//!
//! `n` is the number of independent chances: references of one person resemble each other, so that `r` of them are worth
//! `r^0.65` (measured: eight count as four), and `n` is the sum over all people.
//!
//! `excess ≥ 1` says how much more often this gallery's own people score as high against each other than the model's
//! calibration has it: see [`Own`].
//!
//! Of an exponential tail the distance between the best and the next of many strangers' scores is exponential
//! itself with the same scale, whatever their number; a margin of `scale · ln k` thus leaves one in `k` of those mistakes. In
//! a gallery of `p` people `k` is `p`, from `LEAST_ODDS` to `MOST_ODDS`: with more people there are more who look alike.

use crate::infer::manifest::{EmbeddingSpec, Impostors};

/// The share of strangers' tracks that may get a name.
pub const AIM: f64 = 0.003;

/// How many independent looks a track is worth: its crops resemble each other, and fusing them makes one probe of many.
const LOOKS: f64 = 2.0;

const LEAST_ODDS: f64 = 3.0;
const MOST_ODDS: f64 = 10.0;

/// How much `r` references of one person are worth as chances of a stranger: `r` to this power.
const ALIKE: f64 = 0.65;

/// No gallery asks for more than this share of the way from the model's own threshold to 1: two pictures of one person
/// hardly ever score higher.
const HIGHEST: f32 = 0.85;

/// Where nothing was measured: the rate at the model's own threshold, and the scale as a share of what lies above it. The
/// models that were measured have less.
const UNMEASURED: (f64, f32) = (1e-3, 0.065);

/// What a model's scores of different people are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Threshold for a single pair, and the least that is used.
    pub pair: f32,
    /// The tail.
    pub impostors: Impostors,
}

/// How this gallery's own people score against each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Own {
    /// Pairs of references of different people.
    pub pairs: u64,
    /// Those of them that score at least [`Impostors::cosine`].
    pub high: u64,
}

impl Own {
    /// With the pairs of a reference that comes.
    pub(super) fn plus(self, more: Self) -> Self {
        Self { pairs: self.pairs.saturating_add(more.pairs), high: self.high.saturating_add(more.high) }
    }

    /// Without the pairs of a reference that goes.
    pub(super) fn minus(self, less: Self) -> Self {
        Self { pairs: self.pairs.saturating_sub(less.pairs), high: self.high.saturating_sub(less.high) }
    }
}

impl Calibration {
    /// What a model's manifest says.
    pub fn of(spec: &EmbeddingSpec) -> Self {
        let (rate, scale) = UNMEASURED;
        let unmeasured = Impostors { cosine: spec.threshold, rate, scale: scale * (1.0 - spec.threshold) };
        Self { pair: spec.threshold, impostors: spec.impostors.unwrap_or(unmeasured) }
    }

    /// Share of pairs of different people that score at least `cosine`.
    pub fn false_matches(&self, cosine: f32) -> f64 {
        let Impostors { cosine: begin, rate, scale } = self.impostors;
        (rate * (f64::from(begin - cosine) / f64::from(scale)).exp()).min(1.0)
    }

    /// How likely two pictures that score `cosine` show one person, where as many pairs do as do not: 0 to 1.
    ///
    /// At the pair's threshold it is one half: there the mistakes of both kinds balance. From there the odds grow as fast as
    /// pairs of different people become rare, by `e` over a scale of their tail: `p = 1 / (1 + e^((pair − cosine) / scale))`.
    pub fn probability(&self, cosine: f32) -> f32 {
        (1.0 / (1.0 + (f64::from(self.pair - cosine) / f64::from(self.impostors.scale)).exp())) as f32
    }

    /// The least cosine at which a gallery of so many independent references names at most [`AIM`] of strangers' tracks.
    pub fn threshold(&self, references: usize, own: Own) -> f32 {
        self.threshold_for(references as f64, own)
    }

    /// [`Calibration::threshold`] for what [`chances`] of all people come to.
    pub(super) fn threshold_for(&self, chances: f64, own: Own) -> f32 {
        let Impostors { cosine, rate, scale } = self.impostors;
        let mistakes = chances.max(1.0) * LOOKS * rate * self.excess(own);
        let raised = f64::from(cosine) + f64::from(scale) * (mistakes / AIM).ln();
        (raised as f32).clamp(self.pair, self.pair + HIGHEST * (1.0 - self.pair))
    }

    /// The least distance to the next person's score in a gallery of `people`.
    pub fn margin(&self, people: usize) -> f32 {
        self.impostors.scale * (people as f64).clamp(LEAST_ODDS, MOST_ODDS).ln() as f32
    }

    /// By how much the gallery's own pairs score high more often than the calibration has it, 1 at least. Counted are only
    /// as many as are certain (three standard deviations of a count below what was seen), so that a brother and sister
    /// do not raise the threshold against strangers.
    fn excess(&self, own: Own) -> f64 {
        let high = own.high as f64;
        let certain = high - 3.0 * high.sqrt() - 3.0;
        let expected = own.pairs as f64 * self.impostors.rate;
        if expected > 0.0 { (certain / expected).max(1.0) } else { 1.0 }
    }
}

/// How many independent references `references` of one person are.
pub(super) fn chances(references: usize) -> f64 {
    (references as f64).powf(ALIKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Calibration =
        Calibration { pair: 0.35, impostors: Impostors { cosine: 0.4, rate: 2.6e-4, scale: 0.04 } };

    #[test]
    fn the_threshold_keeps_the_aim_at_every_size() {
        for chances in [1e3, 1e4, 1e5] {
            let fpir = chances * LOOKS * MODEL.false_matches(MODEL.threshold_for(chances, Own::default()));
            assert!((0.9 * AIM..1.1 * AIM).contains(&fpir), "{chances}: {fpir}");
        }
        assert_eq!(MODEL.threshold_for(0.0, Own::default()), 0.35);
        assert!(MODEL.threshold_for(f64::MAX, Own::default()) < 0.92);
        assert_eq!((chances(0), chances(1)), (0.0, 1.0));
        assert!((3.0..4.5).contains(&chances(8)));
    }

    #[test]
    fn a_gallery_of_people_who_look_alike_asks_for_more() {
        let usual = MODEL.threshold(100, Own::default());
        let as_calibrated = Own { pairs: 100_000, high: 26 };
        let worse = Own { pairs: 100_000, high: 2600 };
        let siblings = Own { pairs: 10, high: 2 };
        assert_eq!(MODEL.threshold(100, as_calibrated), usual);
        assert_eq!(MODEL.threshold(100, siblings), usual);
        let raised = MODEL.threshold(100, worse) - usual;
        assert!((raised - 0.04 * 94f32.ln()).abs() < 1e-3, "{raised}");
    }

    #[test]
    fn the_probability_is_even_at_the_threshold_and_grows() {
        assert_eq!(MODEL.probability(MODEL.pair), 0.5);
        let probabilities = [-1.0, 0.0, 0.31, 0.35, 0.39, 0.6, 1.0].map(|cosine| MODEL.probability(cosine));
        assert!(probabilities.is_sorted() && probabilities[0] >= 0.0 && probabilities[6] <= 1.0, "{probabilities:?}");
        assert!((probabilities[4] - 0.731).abs() < 1e-3, "one scale above: odds of e");
    }

    #[test]
    fn the_margin_grows_with_the_people_within_bounds() {
        let margins = [1, 2, 5, 10, 1000].map(|people| MODEL.margin(people));
        assert!(margins.is_sorted() && margins[0] > 0.0 && margins[0] < margins[2], "{margins:?}");
        assert_eq!(margins[3], margins[4]);
    }
}
