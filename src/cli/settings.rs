//! The settings of commands that work without a configuration file.
//!
//! Where no file is named the default file counts, and where that is not there the defaults; the environment lies over
//! them.

use std::path::{Path, PathBuf};

use crate::config::{self, DEFAULT_FILE, Resolved};
use crate::fault::{Fault, Problem};
use crate::geometry::Size;
use crate::infer::{self, InputSize, Manifest};

/// Options for where models come from and which of them may run.
#[derive(clap::Args, Debug)]
pub struct ModelSource {
    /// Folder with the models, instead of the configuration's.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Configuration to take the models' settings from.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Accept the licence of a model that is not for commercial use, by the model's name.
    #[arg(long, value_name = "NAME")]
    accept_licence: Vec<String>,
}

impl ModelSource {
    /// The settings of the configuration, with these options over its `[models]`.
    pub fn resolved(&self) -> Result<Resolved, Fault> {
        let mut settings = resolved(self.config.as_deref())?;
        settings.models.folder = self.folder.clone().or(settings.models.folder);
        settings.models.accept_licences.extend(self.accept_licence.iter().cloned());
        Ok(settings)
    }
}

/// Refuses a model whose licence allows no commercial use, unless it was accepted.
pub fn may_run(manifest: &Manifest, models: &infer::Config) -> Result<(), Fault> {
    if manifest.may_run(&models.accept_licences) {
        return Ok(());
    }
    Err(Fault::usage(format!("{} may not be used commercially (licence {})", manifest.name, manifest.licence))
        .remedy(format!("if that suits you, add --accept-licence {}", manifest.name)))
}

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
