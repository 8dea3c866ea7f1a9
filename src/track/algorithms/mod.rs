//! One file per algorithm and one line in the table; they share `kalman`, `assign` and `roster`, and never each other.

use super::{Config, Tracker};

mod bytetrack;
mod sort;
mod visor;

/// A way of tracking that a user can choose by name.
pub struct Algorithm {
    /// As in the configuration and on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    build: fn(&Config) -> Box<dyn Tracker>,
}

/// All of them; the first is the default.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "visor",
        summary: "follows through crossings, low scores, fast movement and short disappearances",
        build: |config| Box::new(visor::Visor::new(config)),
    },
    Algorithm { name: "sort", summary: "SORT as published in 2016", build: |_| Box::new(sort::Sort::default()) },
    Algorithm {
        name: "bytetrack",
        summary: "ByteTrack as published in 2022",
        build: |_| Box::new(bytetrack::ByteTrack::default()),
    },
];

impl Algorithm {
    /// The algorithm of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
    }

    /// A tracker that has seen nothing yet.
    pub fn build(&self, config: &Config) -> Box<dyn Tracker> {
        (self.build)(config)
    }
}
