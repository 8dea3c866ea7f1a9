//! Named areas of a camera's picture.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::geometry::{Point, Polygon};

/// A zone encloses at least this share of the frame.
const LEAST: f32 = 1e-6;

/// An area of the picture, as written in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// Name, as events carry it: `[a-z0-9][a-z0-9_-]{0,62}`, without `__`.
    pub name: String,
    /// Corners as `[x, y]`, in fractions of the frame (0 to 1) from its top left, in order; at least three.
    pub polygon: Vec<[f32; 2]>,
}

impl ZoneConfig {
    /// The zone that this describes; what is wrong with the polygon otherwise.
    pub fn resolve(&self) -> Result<Zone, String> {
        let corners: Vec<Point> = self.polygon.iter().map(|[x, y]| Point::new(*x, *y)).collect();
        let count = corners.len();
        let polygon = Polygon::new(corners).ok_or_else(|| match count {
            0..3 => format!("a polygon needs at least 3 corners, here are {count}"),
            _ => "corners are fractions of the frame, so each number must lie between 0 and 1".to_owned(),
        })?;
        if polygon.crosses_itself() {
            return Err(
                "its sides cross each other: give the corners in the order in which they follow one another".to_owned()
            );
        }
        if polygon.area() < LEAST {
            return Err("it encloses nothing: its corners lie on one line".to_owned());
        }
        Ok(Zone { name: self.name.as_str().into(), polygon })
    }
}

/// A named area of the picture. A face is in it while its box's centre is.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Name, as events carry it.
    pub name: Arc<str>,
    /// Outline, in fractions of the frame.
    pub polygon: Polygon,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polygon_that_cannot_be_drawn_says_why() {
        let zone = |polygon: &[[f32; 2]]| ZoneConfig { name: "porch".into(), polygon: polygon.to_vec() }.resolve();
        assert!(zone(&[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).is_ok());
        assert!(zone(&[[0.0, 0.0], [1.0, 0.0]]).unwrap_err().contains("at least 3 corners, here are 2"));
        assert!(zone(&[[0.0, 0.0], [100.0, 0.0], [0.0, 1.0]]).unwrap_err().contains("between 0 and 1"));
        let crossed = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
        assert!(zone(&crossed).unwrap_err().contains("in the order"));
        assert!(zone(&[[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]).unwrap_err().contains("encloses nothing"));
    }
}
