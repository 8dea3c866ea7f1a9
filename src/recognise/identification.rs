//! How often a track is given its person's name, and a stranger's track somebody's (ISO/IEC 19795: FNIR and FPIR).

/// What searching a gallery with one track gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// Whose track it is; trials of one person resemble each other.
    pub person: usize,
    /// Score of the person's own references.
    pub own: f32,
    /// The best score of somebody else's: what a stranger would have been given.
    pub other: f32,
}

/// Share of tracks that are not given their person's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Missed {
    /// The least threshold at which no more than the asked share of strangers is given a name.
    pub threshold: f32,
    /// Of people who are in the gallery: their score is below it, or somebody else's is better.
    pub share: f64,
}

/// The share that is missed where of strangers no more than `fpir` is given a name. Each trial is one of both kinds:
/// with its person in the gallery, and without.
pub fn missed_at(fpir: f64, trials: &[Trial]) -> Missed {
    let mut strangers: Vec<f32> = trials.iter().map(|trial| trial.other).collect();
    strangers.sort_by(|a, b| b.total_cmp(a));
    let allowed = (fpir * strangers.len() as f64) as usize;
    let threshold = strangers.get(allowed).map_or(-1.0, |first_refused| first_refused.next_up());
    let missed = trials.iter().filter(|trial| trial.own < threshold || trial.own <= trial.other).count();
    Missed { threshold, share: missed as f64 / trials.len().max(1) as f64 }
}

/// Where `figure` lies with 95 % certainty if it were taken of other people: the percentile bootstrap over people, as
/// trials of one person are not independent.
pub fn interval(people: usize, rounds: usize, mut figure: impl FnMut(&[usize]) -> f64) -> [f64; 2] {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut figures: Vec<f64> = (0..rounds)
        .map(|_| {
            let drawn: Vec<usize> = (0..people).map(|_| rng.usize(..people)).collect();
            figure(&drawn)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| figures.get((share * rounds as f64) as usize).copied().unwrap_or(f64::NAN);
    [at(0.025), at(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred tracks whose own scores are `own` and whose strangers' scores run from 0.00 to 0.99.
    fn trials(own: impl Fn(usize) -> f32) -> Vec<Trial> {
        (0..100).map(|i| Trial { person: i % 10, own: own(i), other: i as f32 / 100.0 }).collect()
    }

    #[test]
    fn the_threshold_lets_no_more_strangers_pass_than_allowed() {
        let trials = trials(|_| 1.0);
        for (fpir, allowed) in [(0.0, 0), (0.05, 5), (0.5, 50)] {
            let found = missed_at(fpir, &trials);
            assert_eq!(trials.iter().filter(|trial| trial.other >= found.threshold).count(), allowed);
            assert_eq!(found.share, 0.0);
        }
    }

    #[test]
    fn a_person_is_missed_below_the_threshold_and_behind_somebody_else() {
        assert_eq!(missed_at(0.5, &trials(|i| if i < 30 { 0.4 } else { 1.0 })).share, 0.3);
        assert_eq!(missed_at(1.0, &trials(|i| if i < 20 { -0.5 } else { 1.0 })).share, 0.2);
    }

    #[test]
    fn the_interval_is_wide_where_people_differ() {
        let share = |drawn: &[usize]| drawn.iter().filter(|person| **person < 5).count() as f64 / drawn.len() as f64;
        let [low, high] = interval(10, 1000, share);
        assert!((0.1..0.3).contains(&low) && (0.7..0.9).contains(&high), "{low} {high}");
        assert_eq!(interval(10, 100, |_| 0.25), [0.25, 0.25]);
    }
}
