//! How long a masked camera's frames are held: from a frame's arrival in the capture ring to its handing over in the out ring, as
//! the daemon's own metric says.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::Bench;
use super::ages::ages;
use super::figure::{Aim, Figure, quantile};
use super::viewer::Viewer;
use crate::config;
use crate::fault::Fault;
use crate::restream::child::SimulatedCamera;
use crate::sink::Hub;
use crate::supervisor::{Engine, Supervisor};

/// How long stream, decoder and hold may take to run evenly; what they say until then does not count.
const SETTLING: Duration = Duration::from_secs(4);

/// What a camera is asked for, and what is wanted of it.
struct Run {
    /// Of the camera and of its mask.
    analysis_fps: u32,
    lookahead_ms: u32,
    /// Names and aims in milliseconds, by the share of frames that keep to them.
    aims: &'static [(&'static str, f64, f64)],
}

const AHEAD: Run =
    Run { analysis_fps: 10, lookahead_ms: 200, aims: &[("masked-p50", 0.5, 250.0), ("masked-p99", 0.99, 350.0)] };

const OWN: Run = Run { analysis_fps: 30, lookahead_ms: 0, aims: &[("masked-own-p50", 0.5, 60.0)] };

/// What a minute, the worst of all, may come to in milliseconds: names, and the shares of frames that keep to them.
const WORST: [(&str, f64, f64); 2] = [("masked-worst-p50", 0.5, 250.0), ("masked-worst-p99", 0.99, 350.0)];

/// By how many milliseconds medians of two minutes may differ.
const DRIFT: f64 = 10.0;

/// One 1080p30 camera with the default look-ahead, and how even that stays.
pub(super) fn ahead(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let (mut millis, what) = watch(bench, &AHEAD)?;
    let minutes = (bench.time.as_secs() / 60).max(2) as usize;
    let mut figures = steadiness(&mut millis, minutes);
    figures.splice(0..0, quantiles(&AHEAD, &mut millis, &what));
    Ok(figures)
}

/// The same without any look-ahead.
pub(super) fn own(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let (mut millis, what) = watch(bench, &OWN)?;
    Ok(quantiles(&OWN, &mut millis, &what))
}

fn quantiles(run: &Run, millis: &mut [f64], what: &str) -> Vec<Figure> {
    let figure = |&(name, share, most): &(&'static str, f64, f64)| Figure {
        name,
        value: quantile(millis, share),
        unit: "ms",
        baseline: None,
        aim: Aim::Value(0.0..=most),
        what: what.to_owned(),
    };
    run.aims.iter().map(figure).collect()
}

/// Of parts of the time, which come in order: the worst of them, and by how much they differ.
fn steadiness(millis: &mut [f64], parts: usize) -> Vec<Figure> {
    let each = millis.len().div_ceil(parts).max(1);
    let of_parts = |millis: &mut [f64], share| -> Vec<f64> {
        millis.chunks_mut(each).map(|part| quantile(&mut part.to_vec(), share)).collect()
    };
    let listed = |values: &[f64]| values.iter().map(|value| format!("{value:.1}")).collect::<Vec<_>>().join(" ");
    let most = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
    let least = |values: &[f64]| values.iter().copied().fold(f64::MAX, f64::min);
    let figure =
        |name, value, aim, what| Figure { name, value, unit: "ms", baseline: None, aim: Aim::Value(0.0..=aim), what };
    let worst = WORST.map(|(name, share, aim)| {
        let values = of_parts(millis, share);
        figure(
            name,
            most(&values),
            aim,
            format!("the same, the worst of {parts} equal parts of the time: {}", listed(&values)),
        )
    });
    let medians = of_parts(millis, 0.5);
    let drift = figure(
        "masked-drift",
        most(&medians) - least(&medians),
        DRIFT,
        "by how much the medians of these parts differ".to_owned(),
    );
    worst.into_iter().chain([drift]).collect()
}

/// Milliseconds that frames were held for, in order, and what they are.
fn watch(bench: &mut Bench, run: &Run) -> Result<(Vec<f64>, String), Fault> {
    let ages = ages()?;
    let clip = bench.clip.path()?;
    let camera =
        SimulatedCamera::start(Path::new("/proc/self/exe"), &["--mount", &format!("bench={}", clip.display())])?;
    let uri = camera.url("bench").ok_or_else(|| Fault::internal("the simulated camera has no address"))?;
    let model = bench.models.detector()?;
    let text = format!(
        "[models]\ndetector = \"{}\"\n[restream]\nlisten = \"127.0.0.1:0\"\n[cameras.bench]\nuri = \"{uri}\"\n\
         analysis_fps = {}\n[cameras.bench.mask]\nlookahead_ms = {}\naudit = \"off\"\n[cameras.bench.restream]\n",
        model.manifest().name,
        run.analysis_fps,
        run.lookahead_ms
    );
    let settings = config::resolve_text(&text, &[]).map_err(|p| config::fault(Path::new("bench"), &p))?;
    let supervisor = Supervisor::start(settings, Hub::new(), Arc::new(Engine::with(model)))?;
    let address = supervisor.video_address().ok_or_else(|| Fault::unavailable("masked video is not served"))?;
    let viewer = Viewer::watch(address, "bench").map_err(|e| Fault::unavailable(format!("nobody can watch: {e}")))?;
    sleep(SETTLING);
    ages.handed_over.take();
    ages.covered.take();
    sleep(bench.time);
    let (seconds, covered) = (ages.handed_over.take(), ages.covered.take().len());
    drop(viewer);
    supervisor.stop();
    if seconds.len() < 30 {
        let what = format!("{} frames were handed over in {:?}", seconds.len(), bench.time);
        return Err(Fault::unavailable(what).remedy("take more --seconds"));
    }
    let what = format!(
        "from a 1080p30 frame's arrival to its handing over masked, {} analyses a second, look-ahead {} ms; {covered} of {} covered",
        run.analysis_fps,
        run.lookahead_ms,
        seconds.len()
    );
    Ok((seconds.into_iter().map(|seconds| seconds * 1e3).collect(), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drifts_is_told_from_what_only_scatters() {
        let scatters = |n: u32| 200.0 + f64::from(n % 7);
        let drift = |of: fn(u32) -> f64| {
            let figures = steadiness(&mut (0..6000).map(of).collect::<Vec<_>>(), 10);
            let value = |name: &str| figures.iter().find(|figure| figure.name == name).unwrap().value;
            (value("masked-drift"), value("masked-worst-p50"))
        };
        assert_eq!(drift(scatters), (0.0, 203.0));
        let (grows, worst) = drift(|n| 200.0 + f64::from(n) / 100.0);
        assert!((grows - 54.0).abs() < 0.1 && worst > 250.0, "{grows} {worst}");
    }
}
