//! Many 1080p cameras at once, for a while: nothing grows, and frames stay young.
#![cfg(feature = "media")]

use std::time::Instant;

use visor::restream::child::SimulatedCamera;

use super::support::daemon::{Daemon, models, sample, visor};
use super::support::wait::{eventually, soak_time};

/// Frames are not older than this when their analysis is done, but for one in a hundred.
const AGE_S: f64 = 0.2;

/// Resident memory in MiB and number of descriptors of a process.
fn size(pid: u32) -> (f64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0);
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    (kib / 1024.0, descriptors)
}

/// The daemon and its children together.
fn sizes(daemon: &Daemon) -> (f64, usize) {
    let all = daemon.children().into_iter().chain([daemon.id()]).map(size);
    all.fold((0.0, 0), |(mib, fds), (m, f)| (mib + m, fds + f))
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
    let mut config = models().to_owned();
    for id in &ids {
        let url = served.url(id).unwrap();
        config += &format!("[cameras.{id}]\nuri = \"{url}\"\nanalysis_fps = {:.1}\n", analysis_fps());
    }
    let daemon = Daemon::start(&config);
    // Warm: every camera has been seen for a whole round of the clip's scenes, or a third of the time.
    let began = Instant::now();
    ids.iter().for_each(|id| daemon.wait_for_frames(id, 1.0));
    while began.elapsed() < soak_time() / 3 {
        ids.iter().for_each(|id| daemon.wait_for_frames(id, 3.0));
    }
    let (before, descriptors) = sizes(&daemon);
    while began.elapsed() < soak_time() {
        ids.iter().for_each(|id| daemon.wait_for_frames(id, 3.0));
    }
    let (after, _) = sizes(&daemon);
    let older = share_older(&daemon, AGE_S);
    let analysed: f64 = ids.iter().map(|id| daemon.analysed(id)).sum();
    let rate = analysed / began.elapsed().as_secs_f64() / ids.len() as f64;
    println!(
        "{} cameras 1080p30 for {:?}: {rate:.1} analyses/s each, {:.2} % older than {AGE_S} s, memory {before:.0} -> {after:.0} MiB",
        ids.len(),
        began.elapsed(),
        older * 100.0
    );
    assert!(after < before * 1.05 + 8.0, "memory grew from {before:.0} to {after:.0} MiB");
    // A request over http may be open while we look.
    eventually("no more descriptors than before", || (sizes(&daemon).1 <= descriptors + 1).then_some(()));
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
