//! Searching the gallery, against reading as many bytes from memory.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Bench;
use super::figure::{Aim, Figure, Watch, median};
use crate::fault::Fault;
use crate::recognise::Embedding;
use crate::recognise::gallery::{Enrolment, Gallery, Rejection, synthetic};
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
            name: format!("visitor {visitor}"),
            tags: Vec::new(),
            references: vec![(face, 1.0)],
            expires: None,
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
