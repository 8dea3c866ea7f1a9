//! `visor bench`: each stage and the whole against the bare decoder and runtime, in one run, as ratios.
//!
//! What is compared takes turns, so that whatever else the machine does falls on both sides, and medians are shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Outcome, print};
use crate::fault::{Fault, FaultKind};

#[cfg(feature = "media")]
mod ages;
#[cfg(feature = "media")]
mod api;
#[cfg(feature = "media")]
mod cameras;
#[cfg(feature = "media")]
mod clip;
#[cfg(feature = "media")]
mod decode;
mod embed;
mod figure;
mod gallery;
#[cfg(feature = "media")]
mod live;
mod machine;
#[cfg(feature = "media")]
mod masked;
mod masks;
mod models;
mod ring;
#[cfg(feature = "media")]
mod together;
mod trackers;
#[cfg(feature = "media")]
mod viewer;
#[cfg(feature = "media")]
mod whole;

use figure::{Figure, table};
use machine::Machine;
use models::Models;

/// Arguments of `visor bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// Measure only these: a figure's name, or what several begin with, such as tracker.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// About how long each measurement may take.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// A look in a quarter of the time.
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,
    /// A clip of 1920x1080 with faces, instead of one made of the sample.
    #[cfg(feature = "media")]
    #[arg(long, value_name = "FILE")]
    clip: Option<PathBuf>,
    /// Configuration whose [models] are measured.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only search a gallery made of this file; for tests/reference/gallery.py.
    #[arg(long, value_name = "FILE", hide = true)]
    gallery_file: Option<PathBuf>,
    /// Print JSON: {"NAME":{"value","unit","baseline","ratio"}}.
    #[arg(long)]
    json: bool,
}

/// What the measurements share.
struct Bench {
    models: Models,
    #[cfg(feature = "media")]
    clip: clip::Clip,
    /// For one measurement.
    time: Duration,
}

/// One measurement, which gives one figure or several.
struct Item {
    /// What its figures' names are, or begin with.
    name: &'static str,
    measure: fn(&mut Bench) -> Result<Vec<Figure>, Fault>,
}

const ITEMS: &[Item] = &[
    Item { name: "slot", measure: |_| ring::slot() },
    #[cfg(feature = "media")]
    Item { name: "ring", measure: whole::ring },
    Item { name: "input", measure: models::input },
    Item { name: "detect", measure: models::detect },
    Item { name: "embed", measure: embed::measure },
    Item { name: "gallery", measure: gallery::measure },
    Item { name: "mask", measure: masks::measure },
    Item { name: "tracker", measure: |_| Ok(trackers::measure()) },
    #[cfg(feature = "media")]
    Item { name: "file", measure: whole::file },
    #[cfg(feature = "media")]
    Item { name: "live", measure: live::measure },
    #[cfg(feature = "media")]
    Item { name: "masked", measure: masked::ahead },
    #[cfg(feature = "media")]
    Item { name: "masked-own", measure: masked::own },
    #[cfg(feature = "media")]
    Item { name: "cameras", measure: cameras::measure },
    // last: it starts a daemon in this process
    #[cfg(feature = "media")]
    Item { name: "http", measure: api::measure },
];

/// Runs the command.
pub fn run(args: &BenchArgs) -> Outcome {
    if let Some(file) = &args.gallery_file {
        print(&format!("{}\n", gallery::compare(file)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let items = chosen(&args.only)?;
    #[cfg(feature = "media")]
    ages::ages()?;
    let machine = Machine::look();
    let mut bench = Bench {
        models: Models::new(args.config.as_deref())?,
        #[cfg(feature = "media")]
        clip: clip::Clip::new(args.clip.as_deref()),
        time: if args.quick { Duration::from_millis(2500) } else { Duration::from_secs(args.seconds) },
    };
    let (mut figures, mut failed) = (Vec::new(), None);
    for item in items {
        eprintln!("measuring {}", item.name);
        match (item.measure)(&mut bench) {
            Ok(measured) => figures.extend(measured),
            // The others may be had all the same.
            Err(fault) => {
                eprintln!("visor: {} not measured: {fault}", item.name);
                failed.get_or_insert(fault.kind);
            }
        }
    }
    figures.retain(|figure| asked(&args.only, figure.name));
    if args.json {
        let by_name: BTreeMap<_, _> = figures.iter().map(|figure| (figure.name, figure)).collect();
        let json = serde_json::to_string_pretty(&by_name).map_err(|e| Fault::internal(e.to_string()))?;
        print(&format!("{json}\n"))?;
    } else {
        print(&format!("{}\n{machine}\n", table(&figures)))?;
    }
    Ok(failed.map_or(ExitCode::SUCCESS, |kind| ExitCode::from(kind.exit_code())))
}

/// Whether the figure `name` was asked for.
fn asked(only: &[String], name: &str) -> bool {
    only.is_empty() || only.iter().any(|asked| belongs(name, asked))
}

/// Whether `name` is `family`, or one of its members.
fn belongs(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The measurements that give what was asked for.
fn chosen(only: &[String]) -> Result<Vec<&'static Item>, Fault> {
    let gives = |item: &Item, asked: &String| belongs(asked, item.name) || belongs(item.name, asked);
    if let Some(unknown) = only.iter().find(|asked| !ITEMS.iter().any(|item| gives(item, asked))) {
        let names: Vec<_> = ITEMS.iter().map(|item| item.name).collect();
        return Err(Fault::new(FaultKind::Usage, format!("--only: there is no measurement \"{unknown}\""))
            .remedy(format!("choose of {}", names.join(", "))));
    }
    Ok(ITEMS.iter().filter(|item| only.is_empty() || only.iter().any(|asked| gives(item, asked))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_chosen(only: &[&str], expected: &[&str]) {
        let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
        let names: Vec<_> = chosen(&only).unwrap().iter().map(|item| item.name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_measurement_is_chosen_by_its_name_or_a_figures() {
        check_chosen(&["tracker"], &["tracker"]);
        check_chosen(&["tracker-100", "detect"], &["detect", "tracker"]);
        check_chosen(&["input-nv12"], &["input"]);
        assert!(asked(&["tracker-100".into()], "tracker-100"));
        assert!(!asked(&["tracker-10".into()], "tracker-100"));
        assert_eq!(chosen(&["trakcer".into()]).err().unwrap().kind, FaultKind::Usage);
    }
}
