//! A blur. It hides a face from people and not from machines: who knows that a picture is blurred can undo much of it, and
//! recognisers find out who it is by comparing with blurred pictures. For where it should only look discreet.

use std::time::Duration;

use super::{Choice, Filling, Patch, Source};
use crate::fault::Fault;
use crate::mask::shape::Region;

/// Means on each side of a mask, between which colours run into each other.
const MEANS: usize = 9;

struct Blur;

pub(super) fn make(_choice: &Choice<'_>) -> Result<Box<dyn Filling>, Fault> {
    Ok(Box::new(Blur))
}

impl Filling for Blur {
    fn patch(&mut self, source: Source<'_>, region: &Region, _at: Duration) -> Patch {
        Patch { smooth: true, ..Patch::means(source, region.bounds(), MEANS, MEANS) }
    }
}
