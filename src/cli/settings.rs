//! The settings of commands that work without a configuration file.
//!
//! Where no file is named the default file counts, and where that is not there the defaults; the environment lies over
//! them.

use std::path::Path;

use crate::config::{self, DEFAULT_FILE, Resolved};
use crate::fault::{Fault, Problem};
use crate::geometry::Size;
use crate::infer::{self, InputSize, Manifest};

/// The settings of `file`.
pub fn resolved(file: Option<&Path>) -> Result<Resolved, Fault> {
    read(file, |file| file.map_or_else(config::load_environment, config::load))
}

/// Its `[models]` alone: a mistake elsewhere does not matter.
pub fn models(file: Option<&Path>) -> Result<infer::Config, Fault> {
    read(file, config::models)
}

fn read<T>(file: Option<&Path>, read: fn(Option<&Path>) -> Result<T, Vec<Problem>>) -> Result<T, Fault> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    read(file).map_err(|problems| config::fault(file.unwrap_or_else(|| Path::new("environment")), &problems))
}

/// The input of a model: as the command line has it, where it has one, or else as configured.
pub fn input_size(manifest: &Manifest, asked: Option<InputSize>, configured: Option<Size>) -> Result<Size, Fault> {
    match asked {
        Some(size) => manifest.size(Some(size.0)).map_err(Fault::from_command_line),
        None => manifest.size(configured),
    }
}
