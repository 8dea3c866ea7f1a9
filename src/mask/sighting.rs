//! What one analysis knows of faces: those found, those that are being followed and were not found, and what may be one.

use super::who::Exempt;
use crate::detect::Detection;
use crate::geometry::{Point, Rect};
use crate::track::{Track, TrackState};

/// A face in one analysed frame, or where one is believed to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// The track it belongs to, if any.
    pub track: Option<u64>,
    /// Its box, in pixels.
    pub rect: Rect,
    /// Movement of the box's centre, in pixels a second.
    pub velocity: Point,
    /// Whether it was found in this frame; predicted otherwise.
    pub seen: bool,
    /// Whether it is taken for a face, and not only for what might be one.
    pub firm: bool,
    /// Whether it goes unmasked.
    pub exempt: bool,
    /// Whether its face was verified in this very frame to be that of somebody who does.
    pub verified: bool,
}

impl Sighting {
    /// Everything that an analysis found (down to the detector's low score) and that its tracker believes in. A detection from
    /// `score` on is a face by itself; tracks in `exempt` go unmasked.
    pub fn all(detections: &[Detection], tracks: &[Track], score: f32, exempt: &[Exempt]) -> Vec<Self> {
        let exempt = |track: u64| exempt.iter().find(|exempt| exempt.track == track);
        let tracked = tracks.iter().map(|track| Self {
            track: Some(track.id),
            rect: track.detection.map_or(track.rect, |detection| detection.rect),
            velocity: track.velocity,
            seen: track.detection.is_some(),
            firm: track.state != TrackState::Tentative || track.score >= score,
            exempt: exempt(track.id).is_some(),
            verified: exempt(track.id).is_some_and(|exempt| exempt.verified),
        });
        let others = untracked(detections, tracks).map(|detection| Self {
            track: None,
            rect: detection.rect,
            velocity: Point::default(),
            seen: true,
            firm: detection.score >= score,
            exempt: false,
            verified: false,
        });
        tracked.chain(others).collect()
    }
}

/// Detections that belong to no track.
pub fn untracked<'a>(detections: &'a [Detection], tracks: &'a [Track]) -> impl Iterator<Item = &'a Detection> {
    detections.iter().filter(|detection| tracks.iter().all(|track| track.detection != Some(**detection)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_that_was_found_or_is_followed_is_left_out() {
        let detection = |x: f32, score: f32| Detection { rect: Rect::new(x, 0.0, 10.0, 10.0), score, landmarks: None };
        let track = |id: u64, x: f32, detection: Option<Detection>| Track {
            id,
            rect: Rect::new(x, 0.0, 10.0, 10.0),
            velocity: Point::default(),
            state: if detection.is_some() { TrackState::Tentative } else { TrackState::Lost },
            detection,
            score: 0.4,
            first_seen: Duration::ZERO,
            last_seen: Duration::ZERO,
            hits: 1,
        };
        let (matched, sure, weak) = (detection(0.0, 0.4), detection(40.0, 0.9), detection(80.0, 0.31));
        let tracks = [track(1, 2.0, Some(matched)), track(2, 20.0, None)];
        let all = Sighting::all(&[matched, sure, weak], &tracks, 0.5, &[Exempt { track: 2, verified: false }]);
        let seen: Vec<_> = all.iter().map(|s| (s.rect.x, s.track, s.seen, s.firm, s.exempt)).collect();
        let expected = [
            (0.0, Some(1), true, false, false),
            (20.0, Some(2), false, true, true),
            (40.0, None, true, true, false),
            (80.0, None, true, false, false),
        ];
        assert_eq!(seen, expected);
    }
}
