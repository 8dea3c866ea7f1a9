//! Mounts that were lost, and for how long each is left alone. One that takes its child along is remembered, so that the other
//! mounts are interrupted by it ever more rarely.

use std::time::Duration;

use crate::clock::Monotonic;

/// How long a mount that was lost is left alone, the first time; then twice as long, and so on.
const REST: Duration = Duration::from_secs(1);

/// The longest such time.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What was lost longer ago than this counts no more.
const FORGIVEN: Duration = Duration::from_secs(300);

/// Mounts that were lost, by whichever child.
#[derive(Debug, Default)]
pub(super) struct Rests(Vec<Lost>);

/// A mount that a child has given up.
#[derive(Debug)]
struct Lost {
    id: u32,
    times: u32,
    /// The last time.
    at: Monotonic,
    /// When to try once more; `None` while it is tried.
    again: Option<Monotonic>,
}

impl Rests {
    /// A mount is lost, and rests.
    pub fn lose(&mut self, id: u32, now: Monotonic) {
        self.0.retain(|lost| lost.again.is_some() || now.since(lost.at) <= FORGIVEN);
        let known = self.0.iter().position(|lost| lost.id == id);
        let index = known.unwrap_or_else(|| {
            self.0.push(Lost { id, times: 0, at: now, again: None });
            self.0.len() - 1
        });
        let lost = &mut self.0[index];
        let rest = REST.saturating_mul(2_u32.saturating_pow(lost.times)).min(LONGEST_REST);
        lost.times += 1;
        lost.at = now;
        lost.again = Some(now.plus(rest));
    }

    /// Whether a mount is to be left alone.
    pub fn has(&self, id: u32) -> bool {
        self.0.iter().any(|lost| lost.id == id && lost.again.is_some())
    }

    /// Mounts that have rested for long enough; each is given once.
    pub fn over(&mut self, now: Monotonic) -> Vec<u32> {
        let over = self.0.iter_mut().filter_map(|lost| lost.again.take_if(|again| *again <= now).map(|_| lost.id));
        over.collect()
    }

    /// When the next one will have.
    pub fn next(&self) -> Option<Monotonic> {
        self.0.iter().filter_map(|lost| lost.again).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn who_is_lost_again_and_again_rests_ever_longer_until_that_is_forgiven() {
        let mut rests = Rests::default();
        let mut now = 0;
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            rests.lose(7, at(now));
            assert!(rests.has(7) && !rests.has(8));
            assert_eq!((rests.over(at(now + rest - 1)), rests.next()), (Vec::new(), Some(at(now + rest))));
            assert_eq!((rests.over(at(now + rest)), rests.next()), (vec![7], None));
            assert!(!rests.has(7), "it is tried");
            now += rest + 5;
        }
        now += FORGIVEN.as_secs();
        rests.lose(8, at(now));
        rests.lose(7, at(now));
        assert_eq!((rests.0.len(), rests.over(at(now + 1))), (2, vec![8, 7]));
    }

    #[test]
    fn what_is_remembered_is_bounded_by_time() {
        let mut rests = Rests::default();
        for id in 0..1000 {
            rests.lose(id, at(u64::from(id) * 10));
            rests.over(at(u64::from(id) * 10 + 1));
        }
        assert!(rests.0.len() <= 31, "{}", rests.0.len());
    }
}
