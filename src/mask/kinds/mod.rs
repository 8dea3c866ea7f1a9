//! What takes a face's place: a file and a line of [`KINDS`] each.

use std::path::Path;
use std::time::Duration;

use super::shape::Region;
use super::stencil::Stencil;
use crate::canvas::{Canvas, Colour};
use crate::fault::Fault;
use crate::geometry::Rect;

mod blur;
mod image;
mod pixelate;
mod solid;

/// A kind of mask.
#[derive(Debug)]
pub struct Kind {
    /// Its name in settings.
    pub name: &'static str,
    /// What it does, for people.
    pub what: &'static str,
    /// Whether a face may be recognised, or brought back, in spite of it.
    pub reversible: bool,
    make: fn(&Choice<'_>) -> Result<Box<dyn Filling>, Fault>,
}

/// Every kind there is; the first is the default.
pub const KINDS: &[Kind] = &[
    Kind { name: "solid", what: "one flat colour", reversible: false, make: solid::make },
    Kind { name: "pixelate", what: "six coarse noisy blocks across", reversible: false, make: pixelate::make },
    Kind { name: "blur", what: "a blur, which can be undone in part", reversible: true, make: blur::make },
    Kind { name: "image", what: "a picture of yours", reversible: false, make: image::make },
];

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Kind {
    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// What fills masks of this kind.
    pub(super) fn filling(&self, choice: &Choice<'_>) -> Result<Box<dyn Filling>, Fault> {
        (self.make)(choice)
    }
}

/// What a user chose beside the kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    /// Red, green and blue of `solid`.
    pub colour: [u8; 3],
    /// The picture of `image`.
    pub picture: Option<&'a Path>,
}

/// A picture that is being masked.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub canvas: &'a Canvas,
    pub bytes: &'a [u8],
    /// What nothing may be made of: privacy zones.
    pub zones: Option<&'a Stencil>,
}

impl<'a> Source<'a> {
    /// A picture without privacy zones.
    pub fn new(canvas: &'a Canvas, bytes: &'a [u8]) -> Self {
        Self { canvas, bytes, zones: None }
    }
}

/// Makes what goes into a region.
pub(super) trait Filling: Send {
    /// What goes into `region` of a picture that is shown at the stream time `at`.
    fn patch(&mut self, source: Source<'_>, region: &Region, at: Duration) -> Patch;
}

/// Colours on a grid over a rectangle.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Patch {
    pub over: Rect,
    pub columns: usize,
    pub rows: usize,
    /// Row by row; as many as `columns` times `rows`, and at least one.
    pub colours: Vec<Colour>,
    /// Whether colours run into each other.
    pub smooth: bool,
}

impl Patch {
    /// One colour.
    pub fn flat(over: Rect, colour: Colour) -> Self {
        Self { over, columns: 1, rows: 1, colours: vec![colour], smooth: false }
    }

    /// Mean colours of a picture on a grid of `columns` by `rows` over `over`; black where that is outside or touches a
    /// privacy zone.
    pub fn means(source: Source<'_>, over: Rect, columns: usize, rows: usize) -> Self {
        let (dx, dy) = (over.w / columns as f32, over.h / rows as f32);
        let black = source.canvas.colour([0; 3]);
        let mean = |index: usize| {
            let (x, y) = (over.x + (index % columns) as f32 * dx, over.y + (index / columns) as f32 * dy);
            let cell = [x.floor(), y.floor(), (x + dx).ceil(), (y + dy).ceil()].map(|edge| edge as i32);
            let hidden = source.zones.is_some_and(|zones| zones.touches(cell));
            source.canvas.mean(source.bytes, cell).filter(|_| !hidden).unwrap_or(black)
        };
        let colours = (0..columns * rows).map(mean).collect();
        Self { over, columns, rows, colours, smooth: false }
    }

    /// The row of pixels at `y`.
    pub fn row(&self, y: f32) -> Row<'_> {
        let place = (y - self.over.y) / self.over.h * self.rows as f32;
        let (first, second, down) = neighbours(place, self.rows, self.smooth);
        let of = |row: usize| &self.colours[row * self.columns..(row + 1) * self.columns];
        Row { patch: self, above: of(first), below: of(second), down }
    }
}

/// A row of pixels of a patch.
pub(super) struct Row<'a> {
    patch: &'a Patch,
    above: &'a [Colour],
    below: &'a [Colour],
    /// How much of it is `below`, 0 to 1.
    down: f32,
}

impl Row<'_> {
    /// The colour of the pixel at `x`.
    pub fn colour(&self, x: f32) -> Colour {
        let Patch { over, columns, smooth, .. } = self.patch;
        let (first, second, right) = neighbours((x - over.x) / over.w * *columns as f32, *columns, *smooth);
        if !smooth {
            return self.above[first];
        }
        std::array::from_fn(|component| {
            let across = |row: &[Colour]| {
                let (a, b) = (f32::from(row[first][component]), f32::from(row[second][component]));
                a + (b - a) * right
            };
            let above = across(self.above);
            (above + (across(self.below) - above) * self.down) as u8
        })
    }
}

/// The two cells of `count` between which `place` is, and how much of it is the second's, 0 to 1.
fn neighbours(place: f32, count: usize, smooth: bool) -> (usize, usize, f32) {
    let within = |value: f32| (value as usize).min(count - 1);
    let place = if smooth { place - 0.5 } else { place }.max(0.0);
    (within(place), within(place + 1.0), place - place.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn the_default_is_one_that_cannot_be_undone() {
        assert!(!KINDS[0].reversible);
        assert!(KINDS.iter().all(|kind| Kind::by_name(kind.name).is_some_and(|found| found.name == kind.name)));
    }

    #[test]
    fn a_grid_holds_the_means_of_its_cells() {
        let canvas = Canvas::rgb(Size::new(4, 2));
        let bytes: Vec<u8> = (0..8_u8).flat_map(|n| [n % 4 * 10; 3]).collect();
        let source = Source::new(&canvas, &bytes);
        let mut patch = Patch::means(source, Rect::new(0.0, 0.0, 4.0, 2.0), 2, 1);
        assert_eq!(patch.colours, [[5; 3], [25; 3]]);
        let colour = |patch: &Patch, x: f32, y: f32| patch.row(y).colour(x);
        assert_eq!(
            [(1.0, 1.0), (2.0, 0.0), (-9.0, 99.0)].map(|(x, y)| colour(&patch, x, y)),
            [[5; 3], [25; 3], [5; 3]]
        );
        patch.smooth = true;
        assert_eq!(colour(&patch, 2.0, 1.0), [15; 3]);
    }
}
