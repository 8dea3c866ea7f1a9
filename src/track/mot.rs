//! Detections and tracks as text in the format of the MOTChallenge benchmarks:
//! `frame,id,x,y,w,h,score,-1,-1,-1`, a line a box, frames counted from 1.

use std::fmt::{self, Write};
use std::time::Duration;

use super::{Analysis, Track, TrackState, Tracker};
use crate::detect::Detection;
use crate::geometry::{Rect, Size};

/// The last frame number that is believed: a day's worth at 1000 fps.
const MAX_FRAME: u64 = 86_400_000;

/// The boxes of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameBoxes {
    /// Frame number, from 1.
    pub frame: u64,
    /// Its detections, in the order of the text.
    pub detections: Vec<Detection>,
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads detections; frames without any are absent, the others in order of their number.
///
/// Fields are parted by commas or spaces; a missing seventh (the score) counts as 1, an eighth and later are ignored.
/// Empty lines are skipped; all other lines that cannot be used are in the error.
pub fn parse(text: &str) -> Result<Vec<FrameBoxes>, Vec<BadLine>> {
    let mut boxes = Vec::new();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match parse_line(line) {
            Ok(found) => boxes.push(found),
            Err(what) => bad.push(BadLine { line: index + 1, what }),
        }
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    boxes.sort_by_key(|&(frame, _)| frame);
    let frames = boxes.chunk_by(|a, b| a.0 == b.0);
    Ok(frames.map(|f| FrameBoxes { frame: f[0].0, detections: f.iter().map(|&(_, d)| d).collect() }).collect())
}

fn parse_line(line: &str) -> Result<(u64, Detection), String> {
    let fields: Vec<&str> = line.split([',', ' ', '\t']).filter(|field| !field.is_empty()).collect();
    if fields.len() < 6 {
        return Err(format!("{} fields where frame,id,x,y,w,h are needed", fields.len()));
    }
    let number = |index: usize, name: &str| -> Result<f64, String> {
        let value: Option<f64> = fields[index].parse().ok().filter(|v: &f64| v.is_finite());
        value.ok_or_else(|| format!("{name} \"{}\" is not a number", fields[index]))
    };
    let frame = number(0, "frame")?;
    if frame < 1.0 || frame.fract() != 0.0 || frame > MAX_FRAME as f64 {
        return Err(format!("frame {frame} is not a whole number from 1 to {MAX_FRAME}"));
    }
    let [x, y, w, h] = [number(2, "x")?, number(3, "y")?, number(4, "w")?, number(5, "h")?].map(|v| v as f32);
    let rect = Rect::new(x, y, w, h);
    if !rect.is_sound() {
        return Err(format!("a box {w} wide and {h} high has no area"));
    }
    let score = if fields.len() > 6 { number(6, "score")? } else { 1.0 };
    Ok((frame as u64, Detection { rect, score: score as f32, landmarks: None }))
}

/// Runs `tracker` over every frame from 1 to the last of `frames`, those without detections included, at `fps` frames a
/// second, and calls `each` after each one.
pub fn replay(tracker: &mut dyn Tracker, frames: &[FrameBoxes], fps: f64, mut each: impl FnMut(u64, &[Track])) {
    let frame_size = extent(frames);
    let mut waiting = frames.iter().peekable();
    for frame in 1..=frames.last().map_or(0, |last| last.frame) {
        let here = waiting.next_if(|next| next.frame == frame);
        let detections = here.map_or(&[][..], |boxes| &boxes.detections);
        let at = Duration::from_secs_f64((frame - 1) as f64 / fps);
        tracker.update(Analysis { at, frame_size, detections, thumbnail: None });
        each(frame, tracker.tracks());
    }
}

/// The smallest frame that holds all boxes, since the text does not tell.
fn extent(frames: &[FrameBoxes]) -> Size {
    let boxes = || frames.iter().flat_map(|frame| &frame.detections).map(|d| d.rect);
    let right = boxes().map(Rect::right).fold(1.0, f32::max);
    let bottom = boxes().map(Rect::bottom).fold(1.0, f32::max);
    Size::new(right.ceil() as u32, bottom.ceil() as u32)
}

/// Adds a line for each track that is confirmed and was seen in this frame.
pub fn write_frame(out: &mut String, frame: u64, tracks: &[Track]) {
    let seen = |track: &&Track| track.state == TrackState::Confirmed && track.detection.is_some();
    for track in tracks.iter().filter(seen) {
        let Rect { x, y, w, h } = track.rect;
        let _ = writeln!(out, "{frame},{},{x:.2},{y:.2},{w:.2},{h:.2},{:.4},-1,-1,-1", track.id, track.score);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_order_and_lines_in_theirs() {
        let frames = parse("3,-1,1,2,3,4,0.5,-1,-1,-1\n\n1 -1 5 6 7 8\n3,-1,9,9,1,1,0.25\n").unwrap();
        assert_eq!(frames.iter().map(|f| (f.frame, f.detections.len())).collect::<Vec<_>>(), [(1, 1), (3, 2)]);
        assert_eq!(
            frames[0].detections[0],
            Detection { rect: Rect::new(5.0, 6.0, 7.0, 8.0), score: 1.0, landmarks: None }
        );
        assert_eq!(frames[1].detections[1].score, 0.25);
    }

    #[test]
    fn each_bad_line_is_named() {
        let text =
            "1,-1,1,2,3,4,0.5\n1,-1,1,2,3\n0,-1,1,2,3,4\n1,-1,x,2,3,4\n1,-1,1,2,0,4\n1,-1,1,2,NaN,4\n1.5,-1,1,2,3,4";
        let bad = parse(text).unwrap_err();
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        assert_eq!(bad[0].to_string(), "line 2: 5 fields where frame,id,x,y,w,h are needed");
        assert_eq!(bad[2].what, "x \"x\" is not a number");
    }
}
