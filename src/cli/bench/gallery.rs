//! Searching the gallery, against reading as many bytes from memory.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Bench;
use super::figure::{Aim, Figure, Watch, median};
use crate::fault::Fault;
use crate::recognise::Embedding;
use crate::recognise::gallery::{Enrolment, Gallery, Profile, Rejection, synthetic};
use crate::simd::pages::Pages;

/// Numbers of an embedding, as most large models have it.
const DIMENSION: usize = 512;

/// Figure, references, and the most milliseconds that a search should take on one core.
const SIZES: [(&str, usize, f64); 3] =
    [("gallery-10k", 10_000, 0.5), ("gallery-100k", 100_000, 3.5), ("gallery-1m", 1_000_000, 35.0)];

/// References that are enrolled while searches are timed.
const ENROLMENTS: usize = 10_000;

/// People that come before those who came are forgotten again, so that the gallery stays as large as it was.
const VISITORS: usize = 100;

/// Rows of a file that are searched for, and not among what is searched.
const PROBES: usize = 64;

/// Least times that are measured of each.
const LEAST: usize = 15;

/// Galleries of several sizes.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let mut figures = Vec::new();
    for (name, references, most) in SIZES {
        let gallery = synthetic::gallery(DIMENSION, synthetic::faces(DIMENSION, references, 1)).map_err(no_gallery)?;
        let mut bytes =
            Pages::zeroed(references * DIMENSION).map_err(|e| Fault::unavailable(format!("no memory: {e}")))?;
        bytes.fill(1);
        let (mut searches, mut reads) = (Vec::new(), Vec::new());
        let began = Instant::now();
        while began.elapsed() < bench.time / 4 || searches.len() < LEAST {
            let probe = probe(searches.len());
            let watch = Watch::of_this_thread();
            black_box(gallery.search(&probe));
            searches.push(watch.millis());
            let watch = Watch::of_this_thread();
            black_box(read(&bytes));
            reads.push(watch.millis());
        }
        let bare = median(&mut reads);
        let speed = (references * DIMENSION) as f64 / 1e6 / bare;
        figures.push(Figure {
            name,
            value: median(&mut searches),
            unit: "ms",
            baseline: Some(bare),
            aim: Aim::Value(0.0..=most),
            what: format!("a search among {references} references; bare: reading a byte a number, {speed:.1} GB/s"),
        });
    }
    figures.push(while_enrolling(bench.time)?);
    Ok(figures)
}

fn probe(number: usize) -> Embedding {
    synthetic::faces(DIMENSION, 1, 1_000_000 + number as u64).next().unwrap_or_else(|| Embedding::new(&[]))
}

/// Reads all of it once, in registers of any size.
fn read(bytes: &[u8]) -> u8 {
    const LANES: usize = 256;
    let mut sums = [0; LANES];
    for bytes in bytes.chunks_exact(LANES) {
        for (sum, byte) in sums.iter_mut().zip(bytes) {
            *sum ^= byte;
        }
    }
    sums.iter().fold(0, |all, sum| all ^ sum)
}

/// What another program's search of the same rows is compared with.
#[derive(Serialize)]
struct Answers {
    /// Milliseconds of each search.
    millis: Vec<f64>,
    /// The row nearest to each probe.
    rows: Vec<u64>,
    /// Its cosine.
    scores: Vec<f32>,
}

/// Searches for the last [`PROBES`] rows of `file` among the others, each once. The file holds rows of [`DIMENSION`]
/// little-endian 32-bit floats and nothing else.
pub(super) fn compare(file: &Path) -> Result<String, Fault> {
    let unreadable = |what: &dyn std::fmt::Display| Fault::input(format!("{}: {what}", file.display()));
    let mut rows = BufReader::new(File::open(file).map_err(|e| unreadable(&e))?);
    let bytes = file.metadata().map_err(|e| unreadable(&e))?.len();
    let count = usize::try_from(bytes).unwrap_or(usize::MAX) / (DIMENSION * size_of::<f32>());
    let stored = count.checked_sub(PROBES).ok_or_else(|| unreadable(&"too few rows"))?;
    let mut next = || row(&mut rows).unwrap_or_else(|_| Embedding::new(&[]));
    let gallery = synthetic::gallery(DIMENSION, (0..stored).map(|_| next())).map_err(no_gallery)?;
    let mut answers = Answers { millis: Vec::new(), rows: Vec::new(), scores: Vec::new() };
    for probe in (0..PROBES).map(|_| next()) {
        let watch = Watch::of_this_thread();
        let first = gallery.search(&probe).first.ok_or_else(|| unreadable(&"a row has no direction"))?;
        answers.millis.push(watch.millis());
        answers.rows.push(first.reference);
        answers.scores.push(first.score);
    }
    serde_json::to_string(&answers).map_err(|e| Fault::internal(e.to_string()))
}

fn row(file: &mut impl Read) -> std::io::Result<Embedding> {
    let mut bytes = [0; DIMENSION * size_of::<f32>()];
    file.read_exact(&mut bytes)?;
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(Embedding::new(&values))
}

/// A search while another thread enrols people one by one, against the same search while nobody does.
fn while_enrolling(time: Duration) -> Result<Figure, Fault> {
    let gallery = synthetic::gallery(DIMENSION, synthetic::faces(DIMENSION, SIZES[0].1, 1)).map_err(no_gallery)?;
    let (run, enrolling, enrolled) = (AtomicBool::new(true), AtomicBool::new(false), AtomicUsize::new(0));
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| enrol(&gallery, &run, &enrolling, &enrolled));
        let began = Instant::now();
        // Takes turns, so that whatever else the machine does falls on both.
        while !worker.is_finished() && (began.elapsed() < time || enrolled.load(Ordering::Relaxed) < ENROLMENTS) {
            for (times, on) in [(&mut quiet, false), (&mut busy, true)] {
                enrolling.store(on, Ordering::Relaxed);
                worker.thread().unpark();
                std::thread::sleep(Duration::from_millis(2));
                for _ in 0..LEAST {
                    let probe = probe(times.len());
                    let watch = Watch::of_this_thread();
                    black_box(gallery.search(&probe));
                    times.push(watch.millis());
                }
            }
        }
        run.store(false, Ordering::Relaxed);
        worker.thread().unpark();
        worker.join().map_err(|_| Fault::internal("the enrolling thread ended in a panic"))?.map_err(no_gallery)
    })?;
    let (enrolled, size) = (enrolled.load(Ordering::Relaxed), SIZES[0].1);
    Ok(Figure {
        name: "gallery-while-enrolling",
        value: median(&mut busy),
        unit: "ms",
        baseline: Some(median(&mut quiet)),
        aim: Aim::Ratio(0.0..=1.10),
        what: format!("a search among {size} while {enrolled} references came one by one; bare: while none does"),
    })
}

/// Enrols people whenever it should, until it should not any more.
fn enrol(gallery: &Gallery, run: &AtomicBool, enrolling: &AtomicBool, enrolled: &AtomicUsize) -> Result<(), Rejection> {
    for (number, face) in synthetic::faces(DIMENSION, usize::MAX, 2).enumerate() {
        while run.load(Ordering::Relaxed) && !enrolling.load(Ordering::Relaxed) {
            std::thread::park();
        }
        if !run.load(Ordering::Relaxed) {
            break;
        }
        let visitor = number % VISITORS;
        gallery.enrol(Enrolment {
            id: None,
            profile: Profile::named(&format!("visitor {visitor}")),
            references: vec![(face, 1.0)],
            negative: false,
            source: "bench".into(),
        })?;
        enrolled.fetch_add(1, Ordering::Relaxed);
        if visitor == VISITORS - 1 {
            for visitor in 0..VISITORS {
                gallery.forget(&format!("visitor-{visitor}"));
            }
        }
    }
    Ok(())
}

fn no_gallery(rejection: Rejection) -> Fault {
    Fault::unavailable(format!("no gallery: {rejection}"))
}
