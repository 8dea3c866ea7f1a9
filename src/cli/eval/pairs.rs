//! `visor eval pairs`: lines `pathA pathB 0|1` through the daemon's own path, from detection to cosine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::faces::{ModelArgs, Models, Viewer};
use crate::cli::{Outcome, complain, print};
use crate::fault::{Fault, FaultKind};
use crate::recognise::Embedding;
use crate::recognise::verification::{AtThreshold, Scores, Share};

/// The similarity of a pair whose face was not found: below every threshold, so that the pair counts as not the same.
const NOT_FOUND: f32 = -1.0;

/// Arguments of `visor eval pairs`.
#[derive(clap::Args, Debug)]
pub struct PairsArgs {
    /// File with a line "pathA pathB 1" for each pair of one person, 0 for two people; tabs where paths have blanks.
    /// Paths are relative to the file's folder, or else to this one.
    list: PathBuf,
    /// Print JSON: {"pairs","not_found","accuracy","balanced_accuracy","threshold","tar_at_far_1e2",…,"ci95"}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// One line of the list: places in the list of pictures, and whether they show one person.
struct Pair {
    pictures: [usize; 2],
    same: bool,
}

/// The list: each picture once.
struct List {
    pictures: Vec<PathBuf>,
    pairs: Vec<Pair>,
}

/// Runs the command.
pub fn run(args: &PairsArgs) -> Outcome {
    let list = List::read(&args.list)?;
    let models = Models::load(&args.models, list.pictures.len())?;
    let threshold = models.viewer()?.threshold();
    let embeddings = embed(&models, &list.pictures)?;
    let mut scores = Scores::default();
    for Pair { pictures: [a, b], same } in &list.pairs {
        let found = embeddings[*a].as_ref().zip(embeddings[*b].as_ref());
        scores.add(found.map_or(NOT_FOUND, |(a, b)| a.cosine(b)), *same);
    }
    if !scores.both() {
        return Err(Fault::input(format!("{}: only pairs of one kind", args.list.display()))
            .remedy("list pairs of one person (1) and of two (0)"));
    }
    let report = Report::new(&list, &embeddings, &scores);
    let text = match args.json {
        true => serde_json::to_string(&report).map_err(|e| Fault::internal(e.to_string()))?,
        false => report.table(&scores, threshold),
    };
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

impl List {
    fn read(path: &Path) -> Result<Self, Fault> {
        let wrong = |what: String| Fault::input(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let (mut places, mut pairs) = (BTreeMap::new(), Vec::new());
        let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let (names, same) = parse(line).ok_or_else(|| {
                wrong(format!("line {number}: \"{line}\" is not \"pathA pathB 0\" or \"pathA pathB 1\""))
            })?;
            let pictures = names.map(|name| {
                let next = places.len();
                *places.entry(locate(folder, name)).or_insert(next)
            });
            pairs.push(Pair { pictures, same });
        }
        let mut pictures = vec![PathBuf::new(); places.len()];
        places.into_iter().for_each(|(path, place)| pictures[place] = path);
        Ok(Self { pictures, pairs })
    }
}

/// Two paths and whether they show one person.
fn parse(line: &str) -> Option<([&str; 2], bool)> {
    let separator: fn(char) -> bool = if line.contains('\t') { |c| c == '\t' } else { char::is_whitespace };
    let mut words = line.split(separator).map(str::trim).filter(|word| !word.is_empty());
    let (a, b, truth) = (words.next()?, words.next()?, words.next()?);
    let same = match truth {
        "1" => true,
        "0" => false,
        _ => return None,
    };
    words.next().is_none().then_some(([a, b], same))
}

/// A path of the list, seen from its folder where that has it.
fn locate(folder: &Path, name: &str) -> PathBuf {
    let beside = folder.join(name);
    if beside.exists() { beside } else { PathBuf::from(name) }
}

/// The largest face of each picture, several pictures at once.
fn embed(models: &Models, pictures: &[PathBuf]) -> Result<Vec<Option<Embedding>>, Fault> {
    let (next, bar) = (AtomicUsize::new(0), progress(pictures.len()));
    let work = || -> Result<Vec<(usize, Option<Embedding>)>, Fault> {
        let (mut viewer, mut faces) = (models.viewer()?, Vec::new());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = pictures.get(index) else { return Ok(faces) };
            faces.push((index, look(&mut viewer, path)?));
            bar.inc(1);
        }
    };
    let panicked = |_| Err(Fault::internal("a picture brought a worker down"));
    let parts: Result<Vec<_>, Fault> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..models.sessions()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    bar.finish_and_clear();
    let mut faces: Vec<_> = pictures.iter().map(|_| None).collect();
    parts?.into_iter().flatten().for_each(|(index, face)| faces[index] = face);
    Ok(faces)
}

/// A picture that cannot be read is no reason to give up the others: it counts as one whose face is not found.
fn look(viewer: &mut Viewer, path: &Path) -> Result<Option<Embedding>, Fault> {
    match viewer.look(path) {
        Ok(face) => Ok(face.map(|face| face.embedding)),
        Err(fault) if fault.kind == FaultKind::Input => {
            complain(&fault);
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

fn progress(pictures: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {eta} left");
    ProgressBar::new(pictures as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What is reported.
#[derive(Serialize)]
struct Report {
    pairs: usize,
    /// Pictures in which no face was found.
    not_found: usize,
    accuracy: f64,
    balanced_accuracy: f64,
    threshold: f32,
    tar_at_far_1e2: f64,
    tar_at_far_1e3: f64,
    ci95: Intervals,
}

/// Low and high ends.
#[derive(Serialize)]
struct Intervals {
    accuracy: [f64; 2],
    balanced_accuracy: [f64; 2],
    tar_at_far_1e2: [f64; 2],
    tar_at_far_1e3: [f64; 2],
}

impl Report {
    fn new(list: &List, embeddings: &[Option<Embedding>], scores: &Scores) -> Self {
        let best = scores.best();
        let (accuracy, balanced) = (best.accuracy(scores), best.balanced_accuracy());
        let [loose, strict] = [1e-2, 1e-3].map(|far| scores.at_far(far).true_accepts);
        Self {
            pairs: list.pairs.len(),
            not_found: embeddings.iter().filter(|embedding| embedding.is_none()).count(),
            accuracy: accuracy.value,
            balanced_accuracy: balanced.value,
            threshold: best.threshold,
            tar_at_far_1e2: loose.value,
            tar_at_far_1e3: strict.value,
            ci95: Intervals {
                accuracy: accuracy.interval,
                balanced_accuracy: balanced.interval,
                tar_at_far_1e2: loose.interval,
                tar_at_far_1e3: strict.interval,
            },
        }
    }

    /// For people.
    fn table(&self, scores: &Scores, threshold: f32) -> String {
        let line = |name: &str, value: f64, interval: [f64; 2]| {
            let [value, low, high] = [value, interval[0], interval[1]].map(|share| share * 100.0);
            format!("{name:22} {value:7.3} %   95 % interval {low:.3} to {high:.3} %\n")
        };
        let ci = &self.ci95;
        let mut text = format!("{} pairs; no face found in {} pictures\n", self.pairs, self.not_found);
        text += &line("accuracy", self.accuracy, ci.accuracy);
        text += &line("balanced accuracy", self.balanced_accuracy, ci.balanced_accuracy);
        text += &line("TAR at FAR 1e-2", self.tar_at_far_1e2, ci.tar_at_far_1e2);
        text += &line("TAR at FAR 1e-3", self.tar_at_far_1e3, ci.tar_at_far_1e3);
        let _ = writeln!(text, "{:22} {:7.3}     where balanced accuracy is greatest", "threshold", self.threshold);
        let AtThreshold { true_accepts: Share { value: tar, .. }, false_accepts, .. } = scores.at(threshold);
        let Share { value: far, interval: [_, most] } = false_accepts;
        let _ = write!(
            text,
            "at the model's own {threshold:.3}: TAR {:.3} %, FAR {far:.1e} (at most {most:.1e})",
            tar * 100.0
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_two_paths_and_a_truth() {
        assert_eq!(parse("a.jpg b.jpg 1"), Some((["a.jpg", "b.jpg"], true)));
        assert_eq!(parse("a b.jpg\tc d.jpg\t0"), Some((["a b.jpg", "c d.jpg"], false)));
        for wrong in ["a.jpg b.jpg", "a.jpg b.jpg 2", "a.jpg b.jpg 1 1", "a.jpg", "a b c.jpg 1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_picture_is_listed_once_and_wrong_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list.txt");
        std::fs::write(folder.path().join("a.jpg"), "").unwrap();
        std::fs::write(&file, "# pairs\n\na.jpg b.jpg 1\nb.jpg a.jpg 0\n").unwrap();
        let list = List::read(&file).unwrap();
        assert_eq!(list.pictures, [folder.path().join("a.jpg"), PathBuf::from("b.jpg")]);
        assert_eq!(
            list.pairs.iter().map(|pair| (pair.pictures, pair.same)).collect::<Vec<_>>(),
            [([0, 1], true), ([1, 0], false)]
        );
        std::fs::write(&file, "a.jpg b.jpg 1\na.jpg b.jpg yes\n").unwrap();
        let fault = List::read(&file).err().unwrap().to_string();
        assert!(fault.contains("list.txt: line 2: \"a.jpg b.jpg yes\""), "{fault}");
    }
}
