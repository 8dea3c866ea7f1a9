//! The machine that figures come from.

use std::fmt;
use std::fs::read_to_string;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// The machine as it was before the first measurement.
pub(super) struct Machine {
    processor: String,
    cores: usize,
    load: String,
}

impl Machine {
    pub(super) fn look() -> Self {
        let information = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            processor: model.map_or("an unknown processor", |(_, model)| model.trim()).to_owned(),
            cores: available_parallelism().map_or(1, NonZeroUsize::get),
            load: load(),
        }
    }
}

/// The load average of the last minute.
fn load() -> String {
    let averages = read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split_whitespace().next().unwrap_or("unknown").to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, load: before } = self;
        writeln!(f, "{processor}, {cores} cores; load average {before} before, {} after", load())?;
        write!(f, "Medians. Times hold for this machine with whatever else it did; ratios carry further.")
    }
}
