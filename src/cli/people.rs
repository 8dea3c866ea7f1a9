//! The people of a gallery's folder, for commands that say who somebody is.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::complain;
use crate::config::Resolved;
use crate::fault::Fault;
use crate::infer::Model;
use crate::pipeline::{FaceModels, Recognition};
use crate::recognise::gallery::folder;

/// Recognition of the people in `folder`, whose faces `detector` finds; says which pictures could not be used.
pub(super) fn recognition(folder: &Path, resolved: &Resolved, detector: &Arc<Model>) -> Result<Recognition, Fault> {
    let embedder = resolved.embedder.as_ref().ok_or_else(|| {
        Fault::unavailable("there is no embedder to recognise people with").remedy("fetch one: visor models pull")
    })?;
    let models = FaceModels::open(&resolved.models, embedder)?;
    let people = models.people(&resolved.gallery)?;
    let mut enroller = models.enroller(detector, &people.gallery)?;
    let report = folder::load(folder, &mut enroller, &mut |_| ControlFlow::Continue(()))?;
    for (file, rejection) in &report.skipped {
        complain(&format!("{}: left out: {rejection}", file.display()));
    }
    Ok(Recognition { models, people })
}
