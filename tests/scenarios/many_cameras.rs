//! Many 1080p cameras at once, for a while: nothing grows, and frames stay young.
#![cfg(feature = "media")]

use std::time::{Duration, Instant};

use visor::restream::child::SimulatedCamera;

use super::support::daemon::{Daemon, models, sample, visor};
use super::support::growth::Watched;
use super::support::wait::soak_time;

/// Frames are not older than this when their analysis is done, but for one in a hundred.
const AGE_S: f64 = 0.2;

/// What one process may gain in the second half of the time, in MiB: a decoder that falls behind once takes more pictures.
const MAY_GAIN: f64 = 4.0;

/// What all of them together may gain beyond that, in MiB for each.
const MAY_GAIN_TOGETHER: f64 = 0.5;

/// The daemon and its children.
fn watched(daemon: &Daemon, ids: &[String]) -> Vec<Watched> {
    let child = |id: &String| Watched::new(id, *daemon.captures(id).last().unwrap() as u32);
    std::iter::once(Watched::new("daemon", daemon.id())).chain(ids.iter().map(child)).collect()
}

/// Prints what each process held, and panics where one of them, or all of them, grew.
fn judge(processes: &[Watched]) {
    processes.iter().for_each(|process| println!("{process}"));
    let total: f64 = processes.iter().map(Watched::growth).sum();
    println!("{:>8}: {total:+.2} MiB in the second half", "all");
    for process in processes {
        assert!(process.growth() <= MAY_GAIN, "it grows: {process}");
    }
    let most = MAY_GAIN + MAY_GAIN_TOGETHER * processes.len() as f64;
    assert!(total <= most, "all together grow by {total:.1} MiB, more than {most:.1}");
}

/// Share of analysed frames that were older than `limit` at the end of their analysis, since the daemon started.
fn share_older(daemon: &Daemon, limit: f64) -> f64 {
    let all = daemon.metric("visor_frame_age_seconds_count", &["stage=\"observe\""]);
    let young = daemon.metric("visor_frame_age_seconds_bucket", &["stage=\"observe\"", &format!("le=\"{limit}\"")]);
    1.0 - young / all
}

fn cameras() -> usize {
    std::env::var("VISOR_SOAK_CAMERAS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

fn analysis_fps() -> f64 {
    std::env::var("VISOR_SOAK_FPS").ok().and_then(|text| text.parse().ok()).unwrap_or(5.0)
}

#[test]
fn soak_many_cameras_nothing_grows() {
    let Some(clip) = sample() else { return };
    let ids: Vec<String> = (0..cameras()).map(|n| format!("c{n}")).collect();
    let mounts = ids.iter().flat_map(|id| ["--mount".to_owned(), format!("{id}={}", clip.display())]);
    let recoded = ["--codec", "h264", "--size", "1920x1080", "--fps", "30"].map(str::to_owned);
    let arguments: Vec<String> = mounts.chain(recoded).collect();
    let served = SimulatedCamera::start(visor(), &arguments).unwrap();
    // A session takes its memory with its first call: with no more of them than are busy from the start on, none does so late.
    let sessions = ids.len().div_ceil(3);
    let mut config = format!("{}sessions = {sessions}\n", models());
    for id in &ids {
        let url = served.url(id).unwrap();
        config += &format!("[cameras.{id}]\nuri = \"{url}\"\nanalysis_fps = {:.1}\n", analysis_fps());
    }
    let daemon = Daemon::start(&config);
    let began = Instant::now();
    ids.iter().for_each(|id| daemon.wait_for_frames(id, 1.0));
    let mut processes = watched(&daemon, &ids);
    while began.elapsed() < soak_time() {
        // asking all the time would be a load of its own
        std::thread::park_timeout(Duration::from_secs(1));
        ids.iter().for_each(|id| daemon.wait_for_frames(id, 1.0));
        processes.iter_mut().for_each(|process| process.look(began.elapsed().as_secs_f64()));
    }
    let older = share_older(&daemon, AGE_S);
    let analysed: f64 = ids.iter().map(|id| daemon.analysed(id)).sum();
    let rate = analysed / began.elapsed().as_secs_f64() / ids.len() as f64;
    println!(
        "{} cameras 1080p30 for {:?}: {rate:.1} analyses/s each, {:.2} % older than {AGE_S} s",
        ids.len(),
        began.elapsed(),
        older * 100.0
    );
    judge(&processes);
    match processes[0].descriptors() {
        // A request over http may be open while we look.
        Some((half, end)) => assert!(end <= half + 1, "descriptors grew from {half} to {end}"),
        None => eprintln!("skipped: this user may not count the daemon's descriptors"),
    }
    assert!(analysed > 0.0 && older.is_finite());
    if std::env::var_os("VISOR_SOAK_CAMERAS").is_some() {
        let many = ids.len();
        assert!(
            older <= 0.01,
            "{many} cameras are too many for this machine: {:.1} % of frames are older than {AGE_S} s; try fewer",
            older * 100.0
        );
    }
    assert!(daemon.stop().success());
}
