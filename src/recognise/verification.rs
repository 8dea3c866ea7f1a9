//! How well similarities tell pairs of one person from pairs of two: what `visor eval pairs` reports.

/// Similarities of pairs of pictures, by what is true of them. A pair whose face was not found has the least there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    genuine: Vec<f32>,
    impostor: Vec<f32>,
}

/// A share with its 95 % interval (Wilson's, for a number of cases that is not large).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// 0 to 1.
    pub value: f64,
    /// Low and high end.
    pub interval: [f64; 2],
}

/// What a threshold does to the pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtThreshold {
    /// Pairs of at least this similarity are taken for one person.
    pub threshold: f32,
    /// Of one person's pairs, those that are taken for one.
    pub true_accepts: Share,
    /// Of two people's pairs, those that are taken for one.
    pub false_accepts: Share,
}

impl Scores {
    /// Adds a pair.
    pub fn add(&mut self, similarity: f32, same: bool) {
        if same { self.genuine.push(similarity) } else { self.impostor.push(similarity) }
    }

    /// Whether there are pairs of both kinds; without them nothing can be said.
    pub fn both(&self) -> bool {
        !self.genuine.is_empty() && !self.impostor.is_empty()
    }

    /// What `threshold` does.
    pub fn at(&self, threshold: f32) -> AtThreshold {
        let reach = |scores: &[f32]| scores.iter().filter(|score| **score >= threshold).count();
        AtThreshold {
            threshold,
            true_accepts: Share::of(reach(&self.genuine), self.genuine.len()),
            false_accepts: Share::of(reach(&self.impostor), self.impostor.len()),
        }
    }

    /// The threshold with the greatest balanced accuracy; in the middle of a gap where there is one. Chosen on the pairs
    /// that it is judged by, so expect a little less of others.
    pub fn best(&self) -> AtThreshold {
        let mut all: Vec<(f32, bool)> = self.genuine.iter().map(|score| (*score, true)).collect();
        all.extend(self.impostor.iter().map(|score| (*score, false)));
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut accepted, mut best) = ([0usize; 2], (f64::NEG_INFINITY, f32::INFINITY));
        for (i, (score, same)) in all.iter().enumerate() {
            accepted[usize::from(*same)] += 1;
            let next = all.get(i + 1).map_or(*score - 0.01, |next| next.0);
            let shares = [(accepted[0], self.impostor.len()), (accepted[1], self.genuine.len())]
                .map(|(n, of)| n as f64 / of.max(1) as f64);
            if next < *score && shares[1] - shares[0] > best.0 {
                best = (shares[1] - shares[0], (score + next) / 2.0);
            }
        }
        self.at(best.1)
    }

    /// The lowest threshold that lets at most the share `far` of two people's pairs pass. With fewer than `1 / far` such
    /// pairs none may.
    pub fn at_far(&self, far: f64) -> AtThreshold {
        let mut impostor = self.impostor.clone();
        impostor.sort_by(|a, b| b.total_cmp(a));
        let may_pass = (far * impostor.len() as f64 + 1e-9) as usize;
        self.at(impostor.get(may_pass).map_or(f32::NEG_INFINITY, |first| first.next_up()))
    }
}

impl AtThreshold {
    /// The share of all pairs that are judged rightly.
    pub fn accuracy(&self, scores: &Scores) -> Share {
        let (genuine, impostor) = (scores.genuine.len(), scores.impostor.len());
        let right = self.true_accepts.value * genuine as f64 + (1.0 - self.false_accepts.value) * impostor as f64;
        Share::of(right.round() as usize, genuine + impostor)
    }

    /// The mean of the shares judged rightly of both kinds; its interval from theirs (Newcombe's square-and-add).
    pub fn balanced_accuracy(&self) -> Share {
        let (hit, miss) = (self.true_accepts, self.false_accepts);
        let value = (hit.value + 1.0 - miss.value) / 2.0;
        let below = (hit.value - hit.interval[0]).hypot(miss.interval[1] - miss.value) / 2.0;
        let above = (hit.interval[1] - hit.value).hypot(miss.value - miss.interval[0]) / 2.0;
        Share { value, interval: [value - below, value + above] }
    }
}

impl Share {
    /// `count` of `of` cases; of none, nothing is known.
    pub fn of(count: usize, of: usize) -> Self {
        if of == 0 {
            return Self { value: 0.0, interval: [0.0, 1.0] };
        }
        const Z: f64 = 1.959_964;
        let (n, p) = (of as f64, count as f64 / of as f64);
        let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / (1.0 + Z * Z / n);
        Self { value: p, interval: [(middle - half).clamp(0.0, p), (middle + half).clamp(p, 1.0)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(genuine: &[f32], impostor: &[f32]) -> Scores {
        Scores { genuine: genuine.to_vec(), impostor: impostor.to_vec() }
    }

    #[test]
    fn wilson_s_interval_is_the_published_one() {
        let close = |share: Share, low: f64, high: f64| {
            assert!((share.interval[0] - low).abs() < 5e-4 && (share.interval[1] - high).abs() < 5e-4, "{share:?}");
        };
        // Newcombe 1998, table I.
        close(Share::of(81, 263), 0.2553, 0.3662);
        close(Share::of(15, 148), 0.0624, 0.1605);
        close(Share::of(0, 20), 0.0, 0.1611);
        close(Share::of(1, 29), 0.0061, 0.1718);
        close(Share::of(0, 0), 0.0, 1.0);
    }

    #[test]
    fn a_gap_is_parted_in_its_middle() {
        let scores = scores(&[0.9, 0.6, 0.8], &[0.1, 0.4, 0.2, 0.3]);
        let best = scores.best();
        assert!((best.threshold - 0.5).abs() < 1e-6);
        assert_eq!((best.balanced_accuracy().value, best.accuracy(&scores).value), (1.0, 1.0));
        assert_eq!(best.balanced_accuracy().interval[1], 1.0);
    }

    #[test]
    fn balance_does_not_ask_how_many_there_are_of_a_kind() {
        let scores = scores(&[0.9, 0.2], &[0.1; 98]);
        let strict = scores.at(0.5);
        assert_eq!(strict.balanced_accuracy().value, 0.75);
        assert_eq!(strict.accuracy(&scores).value, 0.99);
        assert_eq!(scores.best().balanced_accuracy().value, 1.0);
    }

    #[test]
    fn at_a_far_no_more_pass_than_may() {
        let impostor: Vec<f32> = (0..1000).map(|i| i as f32 / 1000.0).collect();
        let scores = scores(&[0.9895, 0.5, 0.9995, 0.98], &impostor);
        assert_eq!(scores.at_far(1e-2).true_accepts.value, 0.5);
        assert_eq!(scores.at_far(1e-2).false_accepts.value, 0.01);
        assert_eq!(scores.at_far(1e-3).true_accepts.value, 0.25);
        assert_eq!(scores.at_far(1e-4).false_accepts.value, 0.0);
        assert_eq!(scores.at_far(1e-4).true_accepts.value, 0.25);
    }

    #[test]
    fn equal_scores_are_not_parted() {
        let scores = scores(&[0.5, 0.5], &[0.5, 0.1]);
        assert_eq!(scores.best().balanced_accuracy().value, 0.75);
        assert_eq!(scores.at_far(0.4).true_accepts.value, 0.0);
    }
}
