//! How long to wait before a child is started again.

use std::time::Duration;

/// Pauses that double with each failure, with jitter so that cameras behind one switch do not come back in step.
#[derive(Debug)]
pub struct Backoff {
    least: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses from `least` on.
    pub fn new(least: Duration) -> Self {
        Self { least, failures: 0 }
    }

    /// The pause after another failure: between half the full one and all of it, never more than `most`.
    pub fn pause(&mut self, most: Duration) -> Duration {
        let full = self.least.saturating_mul(2u32.saturating_pow(self.failures)).min(most);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// All is well: the next pause is the least again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_and_begin_again_after_a_reset() {
        let (least, most) = (Duration::from_millis(250), Duration::from_secs(30));
        let mut backoff = Backoff::new(least);
        for n in 0..100 {
            let full = least.saturating_mul(2u32.saturating_pow(n)).min(most);
            let pause = backoff.pause(most);
            assert!(pause >= full / 2 && pause <= full, "pause {n} is {pause:?}");
        }
        backoff.reset();
        assert!(backoff.pause(most) <= least);
    }
}
