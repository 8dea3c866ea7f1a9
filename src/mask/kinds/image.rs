//! A picture over the face.

use std::time::Duration;

use super::{Choice, Filling, Patch, Source};
use crate::canvas::{Canvas, Colour};
use crate::detect::{View, still};
use crate::fault::Fault;
use crate::geometry::Rect;
use crate::mask::shape::Region;

/// Most columns and rows that are kept of the picture.
const SIDE: usize = 192;

struct Image {
    columns: usize,
    rows: usize,
    rgb: Vec<Colour>,
}

pub(super) fn make(choice: &Choice<'_>) -> Result<Box<dyn Filling>, Fault> {
    let path = choice.picture.ok_or_else(|| {
        Fault::config("the mask is a picture and none is named").remedy("name a file, or choose another kind of mask")
    })?;
    let still = still::open(path)?.ok_or_else(|| Fault::config(format!("{}: not a picture", path.display())))?;
    let View::Rgb { size, bytes } = still.view() else {
        return Err(Fault::internal(format!("{}: a still picture without colours", path.display())));
    };
    let (columns, rows) = ((size.width as usize).min(SIDE), (size.height as usize).min(SIDE));
    let whole = Rect::new(0.0, 0.0, size.width as f32, size.height as f32);
    let rgb = Patch::means(Source::new(&Canvas::rgb(size), bytes), whole, columns, rows).colours;
    Ok(Box::new(Image { columns, rows, rgb }))
}

impl Filling for Image {
    fn patch(&mut self, source: Source<'_>, region: &Region, _at: Duration) -> Patch {
        let colours = self.rgb.iter().map(|&rgb| source.canvas.colour(rgb)).collect();
        Patch { over: region.bounds(), columns: self.columns, rows: self.rows, colours, smooth: true }
    }
}
