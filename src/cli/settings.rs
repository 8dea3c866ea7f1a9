//! The settings of commands that work without a configuration file.

use std::path::Path;

use crate::config::{self, DEFAULT_FILE, Resolved};
use crate::fault::Fault;

/// The settings of `file`; where none is named those of the default file, and where that is not there the defaults with
/// the environment over them.
pub fn resolved(file: Option<&Path>) -> Result<Resolved, Fault> {
    let default = Path::new(DEFAULT_FILE);
    match file.or_else(|| default.exists().then_some(default)) {
        Some(file) => config::load(file).map_err(|problems| config::fault(file, &problems)),
        None => {
            let variables: Vec<_> = std::env::vars_os()
                .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
                .collect();
            config::resolve_text("", &variables).map_err(|problems| config::fault(Path::new("environment"), &problems))
        }
    }
}
