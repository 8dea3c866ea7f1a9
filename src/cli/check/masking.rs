//! What `visor check` says of masked cameras: whose faces, for how long frames are held, and where they go.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assumed_layout;
use crate::config::{Camera, Masking, Resolved};
use crate::detect::{self, Detector};
use crate::frame::Picture;
use crate::infer::Model;
use crate::mask::{Shape, Who, hold};
use crate::sink::Snapshots;
use crate::sink::restream::{Codec, Mount};
use crate::source::USUAL_FPS;

/// Detections that are timed, after some to warm up.
const TIMED: usize = 40;
const WARM_UP: usize = 5;

/// A detection that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Frames a second of a camera each of whose frames is analysed, until it is known.
const EACH_FRAME_FPS: f64 = 30.0;

/// Of all sessions' time, what analyses may ask for: the rest is for what comes unevenly.
const ENOUGH: f64 = 0.8;

/// Lines of all masked cameras; nothing where there is none. `detector` is timed, where there is one.
pub(super) fn describe(resolved: &Resolved, detector: Option<Arc<Model>>) -> String {
    let mut page = String::new();
    let enabled = || resolved.cameras.iter().filter(|(_, camera)| camera.enabled);
    let masked: Vec<_> = enabled().filter_map(|(id, camera)| Some((id, camera, camera.masking.as_ref()?))).collect();
    for (id, camera, masking) in &masked {
        let _ = writeln!(page, "masked    {id}: {}; {}", whom(masking), held(camera, masking));
    }
    for (id, camera) in enabled() {
        if let Some(mount) = &camera.restream {
            let _ = writeln!(page, "video     {id}: {}", video(resolved, mount));
        }
        let shots = match camera.snapshots {
            Snapshots::Off => continue,
            Snapshots::Masked => "masked",
            Snapshots::Clear => "clear",
        };
        let _ = writeln!(page, "snapshots {id}: {shots}");
    }
    let timed = detector.filter(|_| !masked.is_empty()).and_then(time);
    if let Some((typical, slowest)) = timed {
        let _ = writeln!(page, "analysis  {}", load(resolved, typical, slowest));
    }
    page
}

fn whom(masking: &Masking) -> String {
    let mask = &masking.mask;
    let who = match mask.who {
        Who::Everyone => "everyone",
        Who::Strangers => "all but people of the gallery",
        Who::Known => "all but strangers",
        Who::Nobody => "nobody",
    };
    let exempt = match mask.exempt.is_empty() {
        true => String::new(),
        false => format!(" but the tags {}", mask.exempt.join(", ")),
    };
    let shape = match mask.shape {
        Shape::Box => "boxes",
        Shape::Ellipse => "ellipses",
    };
    let zones = match mask.zones.len() {
        0 => String::new(),
        count => format!(", {count} privacy zones"),
    };
    format!("{who}{exempt}, {} {shape}{zones}", mask.kind.name)
}

/// How long frames are held, and what that is made of.
fn held(camera: &Camera, masking: &Masking) -> String {
    let (mask, ms) = (&masking.mask, |time: Duration| time.as_millis());
    let allowed = ms(hold::EXPECTED_P99);
    let reason = match (mask.lookahead.is_zero(), mask.lookahead == masking.hold) {
        (true, _) => format!("at most, each until its own analysis, {allowed} ms being allowed for that"),
        (false, true) => "at first, as lookahead_ms says".to_owned(),
        (false, false) => format!(
            "at first: {} ms to the next analysis, {allowed} ms allowed for that, {} ms in reserve",
            ms(camera.analysis_period),
            ms(hold::RESERVE)
        ),
    };
    let (first, most) = (ms(masking.hold), masking.capacity);
    format!(
        "frames held for {first} ms {reason}; later by how long analyses take; {most} frames at most, \
         more where the stream says that it gives over {USUAL_FPS} a second"
    )
}

fn video(resolved: &Resolved, mount: &Mount) -> String {
    let Some(settings) = &resolved.restream else { return String::new() };
    let codec = match mount.codec {
        Codec::H264 => "H.264",
        Codec::H265 => "H.265",
    };
    let size = mount.size.map(|size| format!(", {}x{}", size.width, size.height)).unwrap_or_default();
    let users = match &settings.users {
        Some(users) => format!("{} users", users.count),
        None => "this machine only".to_owned(),
    };
    let push = mount.push.as_ref().map(|push| format!(", pushed to {}", push.display)).unwrap_or_default();
    let url = settings.url(settings.listen, &mount.path);
    format!("{url}, {codec} at {} kbit/s{size}, {users}{push}", mount.bitrate_kbps)
}

/// How long one detection in a picture of noise takes on a session of its own: the middle one, and the slowest.
fn time(model: Arc<Model>) -> Option<(Duration, Duration)> {
    let settings = detect::Settings::new(&detect::Config::default(), model.manifest()).ok()?;
    let mut detector = Detector::new(model, settings).ok()?;
    let layout = assumed_layout();
    let pixels: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(layout.end()?).collect();
    let picture = Picture::new(&layout, &pixels)?;
    let mut times = Vec::with_capacity(TIMED);
    for run in 0..WARM_UP + TIMED {
        let begun = Instant::now();
        detector.detect(picture, begun + PATIENCE).ok()?;
        times.extend((run >= WARM_UP).then(|| begun.elapsed()));
    }
    times.sort_unstable();
    Some((*times.get(times.len() / 2)?, *times.last()?))
}

fn load(resolved: &Resolved, typical: Duration, slowest: Duration) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let rates = resolved.cameras.values().filter(|camera| camera.enabled).map(|camera| {
        let each_frame = camera.masking.as_ref().is_some_and(|masking| masking.mask.lookahead.is_zero());
        if each_frame { EACH_FRAME_FPS } else { 1.0 / camera.analysis_period.as_secs_f64() }
    });
    let wanted: f64 = rates.sum::<f64>() * typical.as_secs_f64();
    let sessions = resolved.models.sessions();
    let verdict = match wanted > ENOUGH * sessions as f64 {
        true => ": too much, so that masks will grow and frames be covered; lower analysis_fps",
        false => "",
    };
    format!(
        "detection takes {:.1} ms here now, {:.1} ms at most of {TIMED}; all cameras ask for {wanted:.2} of {sessions} \
         sessions, recognition not counted{verdict}",
        ms(typical),
        ms(slowest)
    )
}
