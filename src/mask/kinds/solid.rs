//! One flat colour: nothing of the face is left.

use std::time::Duration;

use super::{Choice, Filling, Patch, Source};
use crate::fault::Fault;
use crate::mask::shape::Region;

struct Solid([u8; 3]);

pub(super) fn make(choice: &Choice<'_>) -> Result<Box<dyn Filling>, Fault> {
    Ok(Box::new(Solid(choice.colour)))
}

impl Filling for Solid {
    fn patch(&mut self, source: Source<'_>, region: &Region, _at: Duration) -> Patch {
        Patch::flat(region.bounds(), source.canvas.colour(self.0))
    }
}
