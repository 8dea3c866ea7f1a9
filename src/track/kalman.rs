//! The Kalman filter of one coordinate and its rate of change.
//!
//! Every tracker here assumes that a box's coordinates move independently of each other: transition, noise and
//! measurement matrices are block-diagonal with one 2 × 2 block a coordinate. The filters published as a 7-state
//! (SORT) or an 8-state (DeepSORT, ByteTrack) one then fall apart into two-state filters with exactly the same
//! numbers, which need neither matrices nor an inverse (Kalman, 1960; Bar-Shalom, Li and Kirubarajan, *Estimation with
//! Applications to Tracking and Navigation*, 2001, chapters 5 and 6).

/// One coordinate: its value, its rate of change, and how sure both are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Estimated value.
    pub value: f64,
    /// Estimated change of the value per unit of time.
    pub rate: f64,
    variance: f64,
    covariance: f64,
    rate_variance: f64,
}

/// What an unforeseen movement adds to the uncertainty in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessNoise {
    value: f64,
    cross: f64,
    rate: f64,
}

impl ProcessNoise {
    /// Independent noise on value and rate, as in the published trackers; variances per step.
    pub const fn diagonal(value: f64, rate: f64) -> Self {
        Self { value, cross: 0.0, rate }
    }

    /// Continuous white acceleration of spectral density `density` (value² / time³) over a step of `dt`. Two steps of
    /// `dt / 2` add exactly what one step of `dt` does, so that a filter behaves alike at any frame rate.
    pub fn white_acceleration(density: f64, dt: f64) -> Self {
        Self { value: density * dt * dt * dt / 3.0, cross: density * dt * dt / 2.0, rate: density * dt }
    }
}

impl Axis {
    /// An axis first measured at `value`, at rest; both variances say how sure that is.
    pub const fn new(value: f64, variance: f64, rate_variance: f64) -> Self {
        Self { value, rate: 0.0, variance, covariance: 0.0, rate_variance }
    }

    /// Moves on by `dt`: the value follows its rate, the uncertainty grows.
    pub fn predict(&mut self, dt: f64, noise: ProcessNoise) {
        self.value += self.rate * dt;
        self.variance += dt * (2.0 * self.covariance + dt * self.rate_variance) + noise.value;
        self.covariance += dt * self.rate_variance + noise.cross;
        self.rate_variance += noise.rate;
    }

    /// Takes in a measurement of the value with the given variance.
    pub fn correct(&mut self, measured: f64, variance: f64) {
        let innovation = self.variance + variance;
        let (gain, rate_gain) = (self.variance / innovation, self.covariance / innovation);
        let residual = measured - self.value;
        self.value += gain * residual;
        self.rate += rate_gain * residual;
        self.rate_variance -= rate_gain * self.covariance;
        self.covariance *= 1.0 - gain;
        self.variance *= 1.0 - gain;
    }

    /// Shrinks the rate to `share` (0 to 1) of itself, for something that will not go on at its speed for ever.
    pub fn damp(&mut self, share: f64) {
        self.rate *= share;
        self.covariance *= share;
        self.rate_variance *= share * share;
    }

    /// Variance of the value.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// Whether the numbers are finite and the covariance is one (positive, and no stronger than its diagonal allows).
    pub fn is_sound(&self) -> bool {
        let determinant = self.variance * self.rate_variance - self.covariance * self.covariance;
        [self.value, self.rate, self.variance, self.rate_variance].iter().all(|v| v.is_finite())
            && self.variance >= 0.0
            && self.rate_variance >= 0.0
            && determinant >= -1e-9 * (1.0 + self.variance * self.rate_variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_steady_movement_is_learnt() {
        let mut axis = Axis::new(0.0, 1.0, 100.0);
        for step in 1..=50 {
            axis.predict(0.1, ProcessNoise::white_acceleration(0.01, 0.1));
            axis.correct(f64::from(step) * 0.3, 1.0);
        }
        assert!((axis.rate - 3.0).abs() < 0.05, "{axis:?}");
        assert!((axis.value - 15.0).abs() < 0.1, "{axis:?}");
    }

    #[test]
    fn two_half_steps_are_one_step() {
        let noise = |dt| ProcessNoise::white_acceleration(2.0, dt);
        let (mut once, mut twice) = (Axis::new(1.0, 2.0, 3.0), Axis::new(1.0, 2.0, 3.0));
        once.rate = 0.7;
        twice.rate = 0.7;
        once.predict(0.4, noise(0.4));
        twice.predict(0.2, noise(0.2));
        twice.predict(0.2, noise(0.2));
        for (a, b) in [
            (once.value, twice.value),
            (once.variance, twice.variance),
            (once.covariance, twice.covariance),
            (once.rate_variance, twice.rate_variance),
        ] {
            assert!((a - b).abs() < 1e-12, "{once:?} {twice:?}");
        }
    }

    proptest! {
        #[test]
        fn the_covariance_stays_one(steps in prop::collection::vec((0.0f64..5.0, -1e4f64..1e4, 0.1f64..1e3), 1..60)) {
            let mut axis = Axis::new(0.0, 10.0, 1e4);
            for (dt, measured, variance) in steps {
                axis.predict(dt, ProcessNoise::white_acceleration(5.0, dt));
                prop_assert!(axis.is_sound(), "{axis:?}");
                axis.correct(measured, variance);
                prop_assert!(axis.is_sound(), "{axis:?}");
            }
        }
    }
}
