//! `visor gallery`: who is in the gallery's folder, and how well they can be told apart.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use super::faces::{ModelArgs, Models};
use super::{Outcome, print};
use crate::fault::Fault;
use crate::recognise::Gallery;
use crate::recognise::gallery::advice::{Advice, Pair};
use crate::recognise::gallery::folder::{self, Report};

/// Arguments of `visor gallery`.
#[derive(clap::Args, Debug)]
pub struct GalleryArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// The people and how many of their pictures can be used.
    List(FolderArgs),
    /// How well the people can be told apart, which pictures cannot be used and why, threshold and margin to use.
    Check(FolderArgs),
}

#[derive(clap::Args, Debug)]
struct FolderArgs {
    /// Folder with a folder for each person, instead of the configuration's gallery.folder.
    #[arg(value_name = "GALLERY")]
    gallery: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// A gallery read from its folder.
struct Read {
    gallery: Gallery,
    report: Report,
}

/// Runs the command.
pub fn run(args: &GalleryArgs) -> Outcome {
    let (args, show): (_, fn(&Read, bool) -> String) = match &args.what {
        What::List(args) => (args, list),
        What::Check(args) => (args, check),
    };
    print(&show(&read(args)?, args.json))?;
    Ok(ExitCode::SUCCESS)
}

fn read(args: &FolderArgs) -> Result<Read, Fault> {
    let settings = args.models.gallery()?;
    let folder = args.gallery.as_ref().or(settings.folder.as_ref()).ok_or_else(|| {
        Fault::usage("there is no gallery to look at")
            .remedy("name its folder, or set gallery.folder in the configuration")
    })?;
    let models = Models::load(&args.models, 1)?;
    let mut enroller = models.enroller(&settings)?;
    let bar = progress_bar();
    let report = folder::load(folder, &mut enroller, &mut |progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    Ok(Read { gallery: enroller.gallery().clone(), report })
}

/// Shown on a terminal only.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos}/{len} pictures {wide_bar} {eta}");
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn list(read: &Read, json: bool) -> String {
    let people = read.gallery.people();
    if json {
        let people: Vec<_> = people
            .iter()
            .map(|person| {
                let pictures = person.references.iter();
                let pictures: Vec<_> =
                    pictures.map(|r| json!({"file": r.source, "quality": rounded(r.quality)})).collect();
                json!({"id": person.id, "name": person.name, "tags": read.gallery.tags_of(person), "pictures": pictures})
            })
            .collect();
        return pretty(&json!({"people": people, "refused": refused(&read.report)}));
    }
    let mut text = String::new();
    for person in &people {
        let best = person.references.iter().map(|r| r.quality).fold(0.0, f32::max);
        let count = plural(person.references.len(), "picture");
        text += &format!("{:24}  {:24}  {count}, best quality {best:.2}\n", person.id, person.name);
    }
    text + &format!("{}, {}\n", people_count(people.len()), refused_summary(&read.report))
}

fn check(read: &Read, json: bool) -> String {
    let advice = read.gallery.advise();
    if json { pretty(&check_json(read, &advice)) } else { check_text(read, &advice) }
}

fn check_json(read: &Read, advice: &Advice) -> Value {
    let found = advice.leave_one_out;
    let share = |count: usize| (found.probes > 0).then(|| rounded(count as f32 / found.probes as f32));
    let pair =
        |pair: &Pair| json!({"a": pair.a, "b": pair.b, "similarity": rounded(pair.score), "files": pair.sources});
    json!({
        "people": read.gallery.people().len(),
        "references": read.gallery.references(),
        "leave_one_out": {
            "probes": found.probes,
            "accuracy": share(found.right),
            "named": share(found.named),
            "wrong": share(found.wrong),
        },
        "single_picture": advice.alone,
        "most_confusable": advice.most_confusable.as_ref().map(pair),
        "look_alikes": advice.look_alikes.iter().map(pair).collect::<Vec<_>>(),
        "duplicates": read.report.duplicates,
        "refused": refused(&read.report),
        "threshold": rounded(advice.threshold),
        "margin": rounded(advice.margin),
    })
}

fn check_text(read: &Read, advice: &Advice) -> String {
    let (gallery, report, found) = (&read.gallery, &read.report, advice.leave_one_out);
    let mut text = format!(
        "{}, {} of model {}\n",
        people_count(gallery.people().len()),
        plural(gallery.references(), "reference"),
        gallery.settings().model
    );
    if found.probes > 0 {
        let percent = |count: usize| 100.0 * count as f32 / found.probes as f32;
        text += &format!(
            "leave-one-out: {:.2} % are nearest to their own person ({} of {}); at the threshold and margin below {:.2} % get \
             their name, {:.2} % a wrong one\n",
            percent(found.right),
            found.right,
            found.probes,
            percent(found.named),
            percent(found.wrong)
        );
    }
    if !advice.alone.is_empty() {
        let some: Vec<_> = advice.alone.iter().take(10).map(|id| id.shared()).collect();
        text +=
            &format!("one picture only, more would help: {}{}\n", join(&some), more(advice.alone.len(), some.len()));
    }
    if let Some(pair) = &advice.most_confusable {
        text += &format!("most confusable: {}\n", said(pair));
    }
    for pair in &advice.look_alikes {
        text += &format!("look alike at the threshold: {}\n", said(pair));
    }
    for path in &report.duplicates {
        text += &format!("{}: is there already\n", path.display());
    }
    for (path, rejection) in &report.skipped {
        text += &format!("{}: {} ({rejection})\n", path.display(), rejection.reason.word());
    }
    text + &format!(
        "use threshold = {:.3}, margin = {:.3}: {}\n",
        advice.threshold,
        advice.margin,
        refused_summary(report)
    )
}

fn said(pair: &Pair) -> String {
    format!("{} and {}, similarity {:.3} ({} and {})", pair.a, pair.b, pair.score, pair.sources[0], pair.sources[1])
}

#[derive(Serialize)]
struct Refused<'a> {
    file: &'a std::path::Path,
    reason: &'static str,
    detail: &'a str,
}

fn refused(report: &Report) -> Vec<Refused<'_>> {
    let refused = report.skipped.iter();
    refused.map(|(file, why)| Refused { file, reason: why.reason.word(), detail: &why.detail }).collect()
}

fn refused_summary(report: &Report) -> String {
    match (report.references, report.skipped.len()) {
        (used, 0) => format!("every picture can be used ({used})"),
        (used, refused) => format!("{} used, {refused} refused", plural(used, "picture")),
    }
}

fn people_count(count: usize) -> String {
    if count == 1 { "1 person".into() } else { format!("{count} people") }
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn join(names: &[Arc<str>]) -> String {
    names.join(", ")
}

fn more(all: usize, shown: usize) -> String {
    if all > shown { format!(" and {} more", all - shown) } else { String::new() }
}

fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
