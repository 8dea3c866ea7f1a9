//! What masking adds to the copy into the out ring.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Bench;
use super::figure::{Aim, Figure, Watch, median};
use super::models::full_hd;
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::frame::{ClockSource, Frame, PixelFormat, Stamp};
use crate::geometry::{Point, Rect};
use crate::mask::{Analysis, Cause, Config, Line, Lookahead, Margins, Painter, Policy, Ruling, Sighting, out_layout};

/// Faces in the picture, five across and two down, each of this size in pixels.
const FACES: usize = 10;
const FACE: (f32, f32) = (120.0, 150.0);

/// A solid mask over ten faces, and a covered frame, each beside a copy of the planes.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let layout = full_hd(PixelFormat::I420);
    let bytes: Vec<u8> = (0..layout.end().unwrap_or(0)).map(|n| (n / 7 % 200) as u8 + 16).collect();
    let frame = Frame::new(0, stamp(), layout, Arc::new(bytes)).ok_or_else(|| Fault::internal("a short frame"))?;
    let settings = Config::default().resolve(Vec::new()).map_err(|_| Fault::internal("the default mask is wrong"))?;
    let mut painter = Painter::new("bench", &settings)?;
    let masked = ruling(&frame, FACES)?;
    let bare = ruling(&frame, 0)?;
    let covered = Ruling::Covered(Cause::Late);
    let mut place = vec![0; out_layout(&layout).end().unwrap_or(0)];
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let began = Instant::now();
    while began.elapsed() < bench.time / 4 {
        for (ruling, times) in [&bare, &masked, &covered].into_iter().zip(&mut times) {
            let watch = Watch::of_this_thread();
            painter.paint(&frame, ruling, &mut place[..]).map_err(|e| Fault::internal(e.to_string()))?;
            times.push(watch.millis());
        }
    }
    let [copy, masked, covered] = times.each_mut().map(|times| median(times));
    let figure = |name, value, most, what: &str| Figure {
        name,
        value,
        unit: "ms",
        baseline: Some(copy),
        aim: Aim::Value(0.0..=most),
        what: what.to_owned(),
    };
    Ok(vec![
        figure(
            "mask",
            (masked - copy).max(0.0),
            0.3,
            "solid masks of ten faces on 1080p, beside the copy; bare: the copy",
        ),
        figure("mask-cover", covered, 1.0, "a 1080p frame wholly covered; bare: the copy"),
    ])
}

/// What a delay line says of the frame when so many faces were found in it.
fn ruling(frame: &Frame, faces: usize) -> Result<Ruling, Fault> {
    let lookahead = Lookahead::File(Duration::ZERO);
    let mut line = Line::new(Policy { lookahead, capacity: 2, margins: Margins::HEAD, nobody: false });
    line.push(frame.clone());
    let face = |n: usize| Sighting {
        track: None,
        rect: Rect::new(150.0 + (n % 5) as f32 * 350.0, 250.0 + (n / 5) as f32 * 400.0, FACE.0, FACE.1),
        velocity: Point::default(),
        seen: true,
        firm: true,
        exempt: false,
        verified: false,
    };
    let sightings = (0..faces).map(face).collect();
    let analysis =
        Analysis { number: 0, at: frame.stamp.pts, generation: line.generation(), sightings, withdrawn: false };
    line.analysed(&analysis, Duration::ZERO);
    line.end();
    let release = line.poll(Monotonic::now()).ok_or_else(|| Fault::internal("an analysed frame is not released"))?;
    Ok(release.ruling)
}

fn stamp() -> Stamp {
    Stamp {
        pts: Duration::ZERO,
        arrived_at: Monotonic::default(),
        decode: None,
        captured_at: SystemTime::UNIX_EPOCH,
        clock: ClockSource::Media,
    }
}
