//! Which models the settings lead to.

use std::path::Path;

use crate::fault::{Fault, Problem};
use crate::geometry::Size;
use crate::infer::manifest::{self, Manifest, Task};
use crate::infer::{self, store};

/// The embedder that is none.
const NONE: &str = "none";

/// The model called `name` at `key`, as far as one is known; it must be for `task`.
fn model(models: &infer::Config, key: &str, name: &str, task: Task) -> Result<Manifest, Problem> {
    let folder = models.folder();
    let manifest = manifest::find(Some(&folder), name).map_err(|fault| {
        let problem = Problem::new(key, fault.what);
        let catalogue = manifest::catalogue(Some(&folder)).unwrap_or_default();
        let mut names: Vec<&str> = catalogue.iter().filter(|m| m.task == task).map(|m| m.name.as_str()).collect();
        names.extend((task == Task::Embed).then_some(NONE));
        match super::check::nearest(name, &names) {
            Some(near) => problem.remedy(format!("did you mean \"{near}\"?")),
            None => problem.remedy(format!("known: {}", names.join(", "))),
        }
    })?;
    match (manifest.task == task, task) {
        (true, _) => Ok(manifest),
        (false, Task::Detect) => Err(Problem::new(key, format!("{name} does not detect faces"))),
        (false, _) => Err(Problem::new(key, format!("{name} does not tell people apart"))),
    }
}

/// Whether the licence lets the model run here.
fn licence(models: &infer::Config, manifest: &Manifest) -> Option<Problem> {
    let refused = !manifest.may_run(&models.accept_licences);
    refused.then(|| {
        let what = format!("{} may not be used commercially (licence {})", manifest.name, manifest.licence);
        let remedy = format!("if that suits you, set models.accept_licences = [\"{}\"]", manifest.name);
        Problem::new("accept_licences", what).remedy(remedy)
    })
}

/// The embedder that was chosen or, where none was, the best one there is; `None` for no recognition.
pub(super) fn embedder(models: &infer::Config) -> Result<Option<Manifest>, Vec<Problem>> {
    let wrong = |fault: Fault| vec![Problem::new("embedder", fault.what).remedy(fault.remedy)];
    let Some(name) = models.embedder.as_deref() else { return store::best_embedder(&models.folder()).map_err(wrong) };
    if name == NONE {
        return Ok(None);
    }
    let manifest = model(models, "embedder", name, Task::Embed).map_err(|problem| vec![problem])?;
    licence(models, &manifest).map_or(Ok(Some(manifest)), |problem| Err(vec![problem]))
}

/// The detector and its input.
pub(super) fn detector(models: &infer::Config) -> Result<(Manifest, Size), Vec<Problem>> {
    let manifest = model(models, "detector", &models.detector, Task::Detect).map_err(|problem| vec![problem])?;
    let mut problems: Vec<Problem> = licence(models, &manifest).into_iter().collect();
    problems.extend(unknown_licences(models, &models.folder()));
    let size = manifest.size(models.input.map(|input| input.0));
    let size = size.map_err(|fault| problems.push(Problem::new("input", fault.what).remedy(fault.remedy)));
    match size {
        Ok(size) if problems.is_empty() => Ok((manifest, size)),
        _ => Err(problems),
    }
}

/// What is accepted must be the name or the licence of a model: a slip of the pen would show only when it is needed.
fn unknown_licences(models: &infer::Config, folder: &Path) -> Vec<Problem> {
    let catalogue = manifest::catalogue(Some(folder)).unwrap_or_default();
    let known: Vec<&str> = catalogue.iter().flat_map(|m| [m.name.as_str(), m.licence.as_str()]).collect();
    let unknown = models.accept_licences.iter().filter(|accepted| !known.contains(&accepted.as_str()));
    unknown
        .map(|accepted| {
            let problem = Problem::new("accept_licences", format!("no model is named \"{accepted}\""));
            match super::check::nearest(accepted, &known) {
                Some(near) => problem.remedy(format!("did you mean \"{near}\"?")),
                None => problem.remedy("`visor models list` shows them"),
            }
        })
        .collect()
}
