//! The settings of commands that work without a configuration file.

use std::path::Path;

use crate::config::{self, DEFAULT_FILE};
use crate::fault::Fault;
use crate::infer;

/// `[models]` of `file`; where none is named, of the default file if that is there. The environment lies over it.
pub fn models(file: Option<&Path>) -> Result<infer::Config, Fault> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    config::models(file).map_err(|problems| config::fault(file.unwrap_or_else(|| Path::new("environment")), &problems))
}
