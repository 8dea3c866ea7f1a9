//! `visor models`: list, fetch and verify models.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{Outcome, settings};
use crate::fault::{Fault, FaultKind};
use crate::infer::manifest::{self, Manifest, Task};
use crate::infer::source::Source;
use crate::infer::store::{
    self, DEFAULT_DETECTOR, DEFAULT_EMBEDDER, FALLBACK_DETECTOR, FALLBACK_EMBEDDER, LANDMARKER, Pulled, Report, State,
};
use crate::infer::{self, Fetcher, Runtime};

/// Arguments of `visor models`.
#[derive(clap::Args, Debug)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Folder with the models, instead of the configuration's.
    #[arg(long, global = true)]
    folder: Option<PathBuf>,
    /// Configuration to take the folder, the library and the provider from.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show every known model: what it is, its licence, whether it is here.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetch models; without names, the default ones.
    Pull {
        /// Names, as `visor models list` shows them.
        names: Vec<String>,
    },
    /// Hash the files that are here and compare.
    Verify,
}

/// Runs the command.
pub fn run(args: &ModelsArgs) -> Outcome {
    let mut config = settings::models(args.config.as_deref())?;
    config.folder = args.folder.clone().or(config.folder);
    match args.command.as_ref().unwrap_or(&Command::List { json: false }) {
        Command::List { json } => list(&config, *json),
        Command::Pull { names } => pull(&config.folder(), names),
        Command::Verify => verify(&config.folder()),
    }
}

/// One line of the list.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    task: Task,
    family: &'a str,
    licence: &'a str,
    non_commercial: bool,
    file: &'a str,
    sha256: &'a str,
    state: &'static str,
    input: String,
    sources: Vec<String>,
    #[serde(skip)]
    origins: String,
    note: &'a str,
}

impl<'a> Listed<'a> {
    fn new(folder: &Path, model: &'a Manifest) -> Self {
        let [width, height] = model.input.size;
        let more = model.input.multiple_of.map_or("", |_| " or other");
        Self {
            name: &model.name,
            task: model.task,
            family: &model.family,
            licence: &model.licence,
            non_commercial: model.non_commercial,
            file: &model.file,
            sha256: &model.sha256,
            state: match store::state(folder, model) {
                State::Ready => "here",
                State::Missing => "missing",
                State::Wrong(_) => "wrong file",
            },
            input: format!("{width}x{height}{more}"),
            sources: model.sources.iter().map(ToString::to_string).collect(),
            origins: model.sources.iter().map(Source::origin).collect::<Vec<_>>().join(", "),
            note: &model.note,
        }
    }
}

fn list(config: &infer::Config, json: bool) -> Outcome {
    let folder = config.folder();
    let models = manifest::catalogue(Some(&folder))?;
    let listed: Vec<_> = models.iter().map(|model| Listed::new(&folder, model)).collect();
    let provider = provider_in_use(config);
    let mut out = std::io::stdout().lock();
    let written = if json {
        let (provider, problem) = match &provider {
            Ok(_) => (Some(config.provider), None),
            Err(fault) => (None, Some(fault.to_string())),
        };
        let all = serde_json::json!({ "folder": folder, "library": config.library(), "provider_asked": config.provider,
            "provider": provider, "problem": problem, "models": listed });
        writeln!(out, "{all:#}")
    } else {
        let provider = provider.unwrap_or_else(|fault| format!("{}, but: {fault}", config.provider.name()));
        writeln!(
            out,
            "folder    {}\nlibrary   {}\nprovider  {provider}\n",
            folder.display(),
            config.library().display()
        )
        .and_then(|()| table(&mut out, &listed))
    };
    match written {
        // `visor models list | head`
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Fault::unavailable(format!("standard output: {e}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// What models run on, tried with the configured detector; the reason where it is not to be had.
fn provider_in_use(config: &infer::Config) -> Result<String, Fault> {
    let runtime = Runtime::load(config)?;
    let manifest = runtime.manifest(&config.detector)?;
    let shape = manifest.input.shape(1, manifest.size(config.input.map(|input| input.0))?);
    let model = runtime.open(&manifest, 1, shape)?;
    Ok(format!("{}, in use by {}", model.provider().name(), manifest.name))
}

fn table(out: &mut impl std::io::Write, listed: &[Listed<'_>]) -> std::io::Result<()> {
    let heads = ["NAME", "TASK", "FAMILY", "INPUT", "STORE", "LICENCE", "FROM"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(heads).chain(listed.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    for row in &rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn cells(model: &Listed<'_>) -> [String; 7] {
    let licence = if model.non_commercial { "non-commercial, must be accepted" } else { model.licence };
    let origins = if model.origins.is_empty() { "by hand" } else { &model.origins };
    [model.name, model.task.name(), model.family, &model.input, model.state, licence, origins].map(str::to_owned)
}

fn pull(folder: &Path, names: &[String]) -> Outcome {
    let (fetcher, report) = (Fetcher::from_env(), Terminal::new());
    if names.is_empty() {
        pull_default(folder, &fetcher, &report)?;
    }
    // Every name is tried, and looked up before any is fetched: a typing error costs no download.
    let find = |name| manifest::find(Some(folder), name).map_err(|fault| Fault { kind: FaultKind::Usage, ..fault });
    let models = names.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
    let mut failed = Vec::new();
    for model in &models {
        failed.extend(pull_one(folder, model, &fetcher, &report).err());
    }
    match failed.pop() {
        None => Ok(ExitCode::SUCCESS),
        Some(last) => {
            failed.iter().for_each(|fault| super::complain(fault));
            Err(last)
        }
    }
}

/// What Visor works with where nobody chose anything. Without a detector it does not work at all; without an embedder it
/// tells nobody apart, and without landmarks only with detectors that find them.
fn pull_default(folder: &Path, fetcher: &Fetcher, report: &Terminal) -> Result<(), Fault> {
    let pull = |name: &str| pull_one(folder, &manifest::find(Some(folder), name)?, fetcher, report);
    pull(DEFAULT_DETECTOR).or_else(|fault| {
        fall_back(fault, report, "detector", [DEFAULT_DETECTOR, FALLBACK_DETECTOR], "is ten times as slow")?;
        pull(FALLBACK_DETECTOR)
    })?;
    let embedder = pull(DEFAULT_EMBEDDER).or_else(|fault| {
        fall_back(fault, report, "embedder", [DEFAULT_EMBEDDER, FALLBACK_EMBEDDER], "tells people apart less well")?;
        pull(FALLBACK_EMBEDDER)
    });
    go_without(embedder, report, "no embedder can be had here: recognition stays off")?;
    let without = format!("{LANDMARKER} cannot be had here: only detectors that find landmarks serve recognition");
    go_without(pull(LANDMARKER), report, &without)
}

/// Says aloud what is taken in the place of the default, unless fetching failed for another reason than that nobody has it.
fn fall_back(fault: Fault, report: &Terminal, what: &str, names: [&str; 2], how: &str) -> Result<(), Fault> {
    if fault.kind != FaultKind::Unavailable {
        return Err(fault);
    }
    let [default, fallback] = names;
    report.say(&format!("{default}, the default {what}, cannot be had here; falling back to {fallback}, which {how}"));
    Ok(())
}

/// Says aloud what does not work where a model cannot be had that is not needed.
fn go_without(pulled: Result<(), Fault>, report: &Terminal, without: &str) -> Result<(), Fault> {
    match pulled {
        Err(fault) if fault.kind == FaultKind::Unavailable => {
            report.say(without);
            Ok(())
        }
        other => other,
    }
}

fn pull_one(folder: &Path, model: &Manifest, fetcher: &Fetcher, report: &Terminal) -> Result<(), Fault> {
    report.begin(&model.name);
    let pulled = store::pull(folder, model, fetcher, report);
    report.bar.finish_and_clear();
    let file = folder.join(&model.file);
    match pulled? {
        Pulled::Already => report.say(&format!("{} is at {} already", model.name, file.display())),
        Pulled::From(source) => report.say(&format!("{} is at {}, from {source}", model.name, file.display())),
    }
    if model.non_commercial {
        report.say(&format!(
            "{}: no commercial use; runs only with models.accept_licences = [\"{}\"]",
            model.name, model.name
        ));
    }
    Ok(())
}

fn verify(folder: &Path) -> Outcome {
    let (mut right, mut wrong) = (0, 0);
    for model in manifest::catalogue(Some(folder))? {
        match store::state(folder, &model) {
            State::Missing => {}
            State::Ready => {
                right += 1;
                println!("{}: {} is right", model.name, model.file);
            }
            State::Wrong(why) => {
                wrong += 1;
                println!("{}: {}: {why}", model.name, model.file);
            }
        }
    }
    match (right, wrong) {
        (0, 0) => {
            Err(Fault::unavailable(format!("no models in {}", folder.display())).remedy("fetch one: visor models pull"))
        }
        (_, 0) => Ok(ExitCode::SUCCESS),
        (_, n) => Err(Fault::unavailable(format!("{n} wrong in {}", folder.display()))
            .remedy("fetch anew: visor models pull NAME")),
    }
}

/// Shows a fetch: a bar on a terminal, plain lines elsewhere.
struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix}: {msg} {wide_bar} {bytes}/{total_bytes} {eta}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    fn begin(&self, name: &str) {
        self.bar.reset();
        self.bar.set_prefix(name.to_owned());
    }

    fn say(&self, line: &str) {
        if std::io::stderr().is_terminal() {
            self.bar.suspend(|| eprintln!("{line}"));
        } else {
            eprintln!("{line}");
        }
    }
}

impl Report for Terminal {
    fn trying(&self, source: &str) {
        self.bar.set_message(source.to_owned());
        if !std::io::stderr().is_terminal() {
            eprintln!("{}: asking {source}", self.bar.prefix());
        }
    }

    fn progress(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    fn failed(&self, source: &str, why: &str) {
        self.say(&format!("{}: not from {source}: {why}", self.bar.prefix()));
    }
}
