//! How far cameras are from a place.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::extract::bad_request;
use crate::http::ProblemJson;
use crate::sink::Board;

/// How near is near, in metres, where nothing is said.
const USUAL: f64 = 1000.0;

/// The earth's mean radius, in metres.
const RADIUS: f64 = 6_371_008.8;

/// The cameras near a place.
pub(super) struct Near(BTreeSet<Arc<str>>);

impl Near {
    /// Those of the board within so many metres of `place`, which is `latitude,longitude` in degrees; `None` where no place is
    /// given.
    pub(super) fn parse(place: Option<&str>, within: Option<f64>, board: &Board) -> Result<Option<Self>, ProblemJson> {
        let within = within.unwrap_or(USUAL);
        if !(within >= 0.0 && within.is_finite()) {
            return Err(bad_request("within: metres, 0 or more"));
        }
        let Some(place) = place else { return Ok(None) };
        let parsed = place.split_once(',').and_then(|(lat, lon)| {
            let place: [f64; 2] = [lat.trim().parse().ok()?, lon.trim().parse().ok()?];
            (place[0].abs() <= 90.0 && place[1].abs() <= 180.0).then_some(place)
        });
        let place =
            parsed.ok_or_else(|| bad_request("near: degrees of latitude and longitude, such as 59.33,18.06"))?;
        let located = board.cameras().into_iter().filter_map(|(id, camera)| Some((id, camera.location?)));
        let near = located.filter(|(_, location)| metres(place, *location) <= within);
        Ok(Some(Self(near.map(|(id, _)| id).collect())))
    }

    pub(super) fn has(&self, camera: &str) -> bool {
        self.0.contains(camera)
    }
}

/// Along the surface, by the haversine formula.
fn metres(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [from, to] = [a, b].map(|place| place.map(f64::to_radians));
    let half = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
    let chord = half(from[0], to[0]) + from[0].cos() * to[0].cos() * half(from[1], to[1]);
    2.0 * RADIUS * chord.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_map() {
        let (stockholm, uppsala) = ([59.3293, 18.0686], [59.8586, 17.6389]);
        assert!((metres(stockholm, uppsala) - 63_600.0).abs() < 500.0, "{}", metres(stockholm, uppsala));
        assert_eq!(metres(stockholm, stockholm), 0.0);
        assert!((metres([0.0, 179.9], [0.0, -179.9]) - 22_239.0).abs() < 10.0, "across the date line");
    }

    #[test]
    fn a_place_that_is_none_is_refused() {
        let board = crate::sink::Hub::new();
        for wrong in ["", "59", "59,abc", "91,0", "0,181", "NaN,0"] {
            assert!(Near::parse(Some(wrong), None, board.board()).is_err(), "{wrong}");
        }
        assert!(Near::parse(Some("59.3, 18"), Some(-1.0), board.board()).is_err());
        assert!(Near::parse(None, Some(-1.0), board.board()).is_err(), "wrong, though it is not used");
        assert!(Near::parse(None, None, board.board()).unwrap().is_none());
        assert!(!Near::parse(Some("59.3, 18"), None, board.board()).unwrap().unwrap().has("front"));
    }
}
