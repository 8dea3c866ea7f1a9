//! `visor compare`: whether two pictures show one person.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::faces::{ModelArgs, Models, Viewer};
use super::{Outcome, complain, print};
use crate::fault::Fault;
use crate::recognise::Portrait;
use crate::recognise::grading::fourth;

/// Arguments of `visor compare`.
#[derive(clap::Args, Debug)]
pub struct CompareArgs {
    /// A picture with a face. Where it shows several, the largest counts.
    a: PathBuf,
    /// Another.
    b: PathBuf,
    /// Print JSON: {"similarity","threshold","same"}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

#[derive(Serialize)]
struct Answer {
    /// Cosine, -1 to 1.
    similarity: f32,
    /// The model's own, for a pair.
    threshold: f32,
    same: bool,
}

/// Runs the command.
pub fn run(args: &CompareArgs) -> Outcome {
    let mut viewer = Models::load(&args.models, 1)?.viewer()?;
    let (a, b) = (face(&mut viewer, &args.a)?, face(&mut viewer, &args.b)?);
    let (similarity, threshold) = (a.embedding.cosine(&b.embedding), viewer.threshold());
    let answer = Answer { similarity: fourth(similarity), threshold, same: similarity >= threshold };
    let text = if args.json {
        serde_json::to_string(&answer).map_err(|e| Fault::internal(e.to_string()))?
    } else {
        let verdict = if answer.same { "the same person" } else { "different people" };
        format!("similarity {similarity:.3}, threshold {threshold:.3}: {verdict}")
    };
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The face that a picture is of; says what makes the answer less sure.
fn face(viewer: &mut Viewer, path: &Path) -> Result<Portrait, Fault> {
    let shown = path.display();
    let face = viewer.look(path)?.ok_or_else(|| Fault::input(format!("{shown}: no face was found")))?;
    if face.of > 1 {
        complain(&format!("{shown}: shows {} faces, the largest is used", face.of));
    }
    if let Some(reason) = face.quality.reason {
        complain(&format!("{shown}: the face is hardly fit for recognition ({})", reason.name()));
    }
    Ok(face)
}
