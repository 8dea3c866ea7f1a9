//! `visor eval tracks`: does it pay to fuse a track's faces?
//!
//! Of each person some pictures, shrunk, make a track; the others are references. Each track is searched with its
//! person in the gallery, and as a stranger's with the person left out; once with the best of its faces alone, and once
//! with all of them fused as the daemon does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use image::RgbImage;
use image::imageops::{self, FilterType};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cli::faces::{ModelArgs, Models, Viewer, landmarks};
use crate::cli::{Outcome, complain, print};
use crate::detect::{Detection, View, still};
use crate::fault::Fault;
use crate::geometry::{Point, Rect, Size};
use crate::recognise::Embedding;
use crate::recognise::fusion::{Crop, Evidence, Pose};
use crate::recognise::identification::{Missed, Trial, interval, missed_at};
use crate::recognise::quality;

/// Pictures of a track.
const TRACK: usize = 5;
/// Height that a face is shrunk to, in pixels.
const HEIGHTS: [f32; 2] = [24.0, 32.0];
/// Share of strangers' tracks that may be given a name.
const FPIR: f64 = 0.003;
/// Resamplings for an interval.
const RESAMPLINGS: usize = 1000;

/// Arguments of `visor eval tracks`.
#[derive(clap::Args, Debug)]
pub struct TracksArgs {
    /// Folders with a folder for each person, each with at least six pictures of one face.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// References of each person; the track's five pictures are never among them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=50))]
    references: u8,
    /// Strangers' tracks, and as many of people in the gallery.
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    tracks: u32,
    /// Print JSON: {"people","tracks","references","best_face":{"missed","threshold","ci95"},"fused":{…},"fewer","ci95"}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

/// A picture as a reference, and as a face of a track.
struct Shown {
    reference: Embedding,
    small: Crop,
}

/// Runs the command.
pub fn run(args: &TracksArgs) -> Outcome {
    let files = args.folders.iter().map(|folder| people_in(folder)).collect::<Result<Vec<_>, _>>()?.concat();
    let people = look_at(&files, &mut Models::load(&args.models, 1)?.viewer()?)?;
    let needed = TRACK + usize::from(args.references);
    let people: Vec<Vec<Shown>> = people.into_iter().filter(|pictures| pictures.len() >= needed).collect();
    if people.len() < 2 {
        return Err(Fault::input(format!("fewer than two people have {needed} pictures with a face"))
            .remedy("give folders with a folder of pictures for each person"));
    }
    let report = Report::of(&people, args);
    let text = match args.json {
        true => serde_json::to_string(&report).map_err(|e| Fault::internal(e.to_string()))?,
        false => report.text(),
    };
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Files in each of the folder's folders, in the order of their names.
fn people_in(folder: &Path) -> Result<Vec<Vec<PathBuf>>, Fault> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, Fault> {
        let unreadable = |e: std::io::Error| Fault::input(format!("{}: {e}", folder.display()));
        let entries = folder.read_dir().map_err(unreadable)?;
        let mut paths = entries.map(|entry| Ok(entry.map_err(unreadable)?.path())).collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        Ok(paths)
    };
    list(folder)?.iter().filter(|path| path.is_dir()).map(|person| list(person)).collect()
}

fn look_at(people: &[Vec<PathBuf>], viewer: &mut Viewer) -> Result<Vec<Vec<Shown>>, Fault> {
    let bar = ProgressBar::new(people.iter().map(Vec::len).sum::<usize>() as u64);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut shown = Vec::new();
    for files in people {
        let mut pictures = Vec::new();
        for file in files {
            bar.inc(1);
            let height = HEIGHTS[0] + (HEIGHTS[1] - HEIGHTS[0]) * rng.f32();
            match look(file, height, viewer)? {
                Some(picture) => pictures.push(picture),
                None => complain(&format!("{}: no face", file.display())),
            }
        }
        shown.push(pictures);
    }
    bar.finish_and_clear();
    Ok(shown)
}

/// The largest face of a picture, as it is and with its box `height` pixels high. Landmarks are those of the large one,
/// so that fusion is measured and not the detector.
fn look(file: &Path, height: f32, viewer: &mut Viewer) -> Result<Option<Shown>, Fault> {
    let failed = |e: &dyn std::fmt::Display| Fault::internal(format!("{}: {e}", file.display()));
    let Some(still) = still::open(file)? else { return Ok(None) };
    let view = still.view();
    let Some(face) = viewer.faces(view).map_err(|e| failed(&e))?.into_iter().next() else { return Ok(None) };
    let reference = viewer.embed(view, &landmarks(&face)?).map_err(|e| failed(&e))?;
    let View::Rgb { size, bytes } = view else { return Ok(None) };
    let picture = RgbImage::from_raw(size.width, size.height, bytes.to_vec()).ok_or_else(|| failed(&"no picture"))?;
    let scale = height / face.rect.h;
    let shrunk = |length: u32| ((length as f32 * scale).round() as u32).max(1);
    let small_size = Size::new(shrunk(size.width), shrunk(size.height));
    let small = imageops::resize(&picture, small_size.width, small_size.height, FilterType::Triangle);
    let face = scaled(&face, size, small_size);
    let view = View::Rgb { size: small_size, bytes: small.as_raw() };
    let points = landmarks(&face)?;
    let embedding = viewer.embed(view, &points).map_err(|e| failed(&e))?;
    let quality = quality::assess(view, &face, &[], &quality::Config::default()).score;
    let (score, pose) = (face.score, Pose::of(&points));
    Ok(Some(Shown { reference, small: Crop { embedding, quality, score, pose, at: Duration::ZERO } }))
}

/// A face in a picture of `from` after that was scaled to `to`.
fn scaled(face: &Detection, from: Size, to: Size) -> Detection {
    let (x, y) = (to.width as f32 / from.width as f32, to.height as f32 / from.height as f32);
    let Rect { x: left, y: top, w, h } = face.rect;
    let points = face.landmarks.map(|points| points.map(|p| Point::new(p.x * x, p.y * y)));
    Detection { rect: Rect::new(left * x, top * y, w * x, h * y), landmarks: points, ..*face }
}

/// The same tracks, searched with the best face and with all.
#[derive(Default)]
struct Trials {
    best: Vec<Trial>,
    fused: Vec<Trial>,
}

impl Trials {
    /// Draws track and references of everybody anew until there are `tracks`.
    fn run(people: &[Vec<Shown>], references: usize, tracks: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut trials = Self::default();
        while trials.best.len() < tracks {
            let drawn: Vec<Vec<&Shown>> = people
                .iter()
                .map(|pictures| {
                    let mut pictures: Vec<_> = pictures.iter().collect();
                    rng.shuffle(&mut pictures);
                    pictures
                })
                .collect();
            let gallery: Vec<&[&Shown]> = drawn.iter().map(|p| &p[TRACK..TRACK + references]).collect();
            for (person, pictures) in drawn.iter().enumerate() {
                let track: Vec<&Crop> = pictures[..TRACK].iter().map(|shown| &shown.small).collect();
                let best = track.iter().max_by(|a, b| (a.quality * a.score).total_cmp(&(b.quality * b.score)));
                trials.best.extend(best.map(|best| search(person, &best.embedding, &gallery)));
                let mut evidence = Evidence::default();
                track.into_iter().for_each(|crop| evidence.add(crop));
                trials.fused.extend(evidence.fused().map(|fused| search(person, fused, &gallery)));
            }
        }
        trials
    }
}

fn search(person: usize, probe: &Embedding, gallery: &[&[&Shown]]) -> Trial {
    let best =
        |references: &[&Shown]| references.iter().map(|shown| shown.reference.cosine(probe)).fold(-1.0, f32::max);
    let others = gallery.iter().enumerate().filter(|(other, _)| *other != person);
    Trial {
        person,
        own: best(gallery[person]),
        other: others.map(|(_, references)| best(references)).fold(-1.0, f32::max),
    }
}

/// What is reported.
#[derive(Serialize)]
struct Report {
    people: usize,
    tracks: usize,
    references: u8,
    fpir: f64,
    best_face: Figures,
    fused: Figures,
    /// By how much the share that is missed is smaller with fusion, as a share of it.
    fewer: f64,
    ci95: [f64; 2],
}

#[derive(Serialize)]
struct Figures {
    missed: f64,
    threshold: f32,
    ci95: [f64; 2],
}

impl Report {
    fn of(people: &[Vec<Shown>], args: &TracksArgs) -> Self {
        let trials = Trials::run(people, usize::from(args.references), args.tracks as usize);
        let figures = |trials: &[Trial]| {
            let Missed { threshold, share } = missed_at(FPIR, trials);
            let again = |drawn: &[usize]| missed_at(FPIR, &of_people(trials, people.len(), drawn)).share;
            Figures { missed: share, threshold, ci95: interval(people.len(), RESAMPLINGS, again) }
        };
        let (best_face, fused) = (figures(&trials.best), figures(&trials.fused));
        let ci95 = interval(people.len(), RESAMPLINGS, |drawn| {
            let share = |trials: &[Trial]| missed_at(FPIR, &of_people(trials, people.len(), drawn)).share;
            fewer(share(&trials.best), share(&trials.fused))
        });
        Self {
            people: people.len(),
            tracks: trials.best.len(),
            references: args.references,
            fpir: FPIR,
            fewer: fewer(best_face.missed, fused.missed),
            best_face,
            fused,
            ci95,
        }
    }

    /// For people.
    fn text(&self) -> String {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let line = |name: &str, f: &Figures| {
            let [low, high] = f.ci95.map(percent);
            format!(
                "{name:10} {:>8} not identified (95 % interval {low} to {high}), threshold {:.3}\n",
                percent(f.missed),
                f.threshold
            )
        };
        let [low, high] = self.ci95.map(percent);
        format!(
            "{} people, {} tracks of {TRACK} faces {} to {} px high as strangers and as many as known, references {}, FPIR {}\n{}{}fused, {} fewer are missed (95 % interval {low} to {high})",
            self.people,
            self.tracks,
            HEIGHTS[0],
            HEIGHTS[1],
            self.references,
            self.fpir,
            line("best face", &self.best_face),
            line("fused", &self.fused),
            percent(self.fewer),
        )
    }
}

fn fewer(single: f64, fused: f64) -> f64 {
    if single > 0.0 { 1.0 - fused / single } else { 0.0 }
}

/// The trials of these people, who may be named several times.
fn of_people(trials: &[Trial], people: usize, drawn: &[usize]) -> Vec<Trial> {
    let mut times = vec![0; people];
    drawn.iter().for_each(|person| times[*person] += 1);
    trials.iter().flat_map(|trial| std::iter::repeat_n(*trial, times[trial.person])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of three people in whose small faces the person is hardly to be seen, each hidden by something else.
    fn people() -> Vec<Vec<Shown>> {
        let mut rng = fastrand::Rng::with_seed(3);
        let shown = |person: usize, rng: &mut fastrand::Rng| {
            let clean: Vec<f32> = (0..64).map(|i| f32::from(u8::from(i == person))).collect();
            let noisy: Vec<f32> = clean.iter().map(|value| value + 0.5 * (rng.f32() - 0.5)).collect();
            let small = Crop {
                embedding: Embedding::new(&noisy),
                quality: 0.5,
                score: 0.9,
                pose: Pose::Frontal,
                at: Duration::ZERO,
            };
            Shown { reference: Embedding::new(&clean), small }
        };
        (0..3).map(|person| (0..8).map(|_| shown(person, &mut rng)).collect()).collect()
    }

    #[test]
    fn fusing_noisy_faces_raises_the_own_score() {
        let trials = Trials::run(&people(), 2, 300);
        assert_eq!((trials.best.len(), trials.fused.len()), (300, 300));
        let mean = |trials: &[Trial]| trials.iter().map(|t| t.own - t.other).sum::<f32>() / trials.len() as f32;
        assert!(mean(&trials.fused) > mean(&trials.best) + 0.05);
    }

    #[test]
    fn trials_are_drawn_again_by_person() {
        let trials = [0, 1, 1, 2].map(|person| Trial { person, own: 0.0, other: 0.0 });
        let drawn = of_people(&trials, 3, &[1, 1, 0]);
        assert_eq!(drawn.iter().map(|trial| trial.person).collect::<Vec<_>>(), [0, 1, 1, 1, 1]);
        assert_eq!((fewer(0.1, 0.02), fewer(0.0, 0.0)), (0.8, 0.0));
    }
}
