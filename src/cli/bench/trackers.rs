//! The default tracker with more and more faces in sight.

use super::figure::{Aim, Figure};
use crate::track::{Config, synthetic};

/// Figure, faces, and the most microseconds that an update should take.
const CROWDS: [(&str, usize, f64); 3] =
    [("tracker-10", 10, 10.0), ("tracker-100", 100, 250.0), ("tracker-500", 500, 5000.0)];

pub(super) fn measure() -> Vec<Figure> {
    let config = Config::default();
    let figure = |(name, faces, most)| {
        let time = synthetic::median_update(&mut *config.build(), faces);
        let what = format!("an update of {} with {faces} faces in sight", config.algorithm);
        Figure { name, value: time.as_secs_f64() * 1e6, unit: "us", baseline: None, aim: Aim::Value(0.0..=most), what }
    };
    CROWDS.into_iter().map(figure).collect()
}
