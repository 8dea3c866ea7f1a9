//! What goes into a delay line and what comes out.

use std::time::Duration;

use super::hold::Hold;
use super::ruling::Ruling;
use super::sighting::Sighting;
use super::strands::Margins;
use crate::frame::Frame;

/// When frames are released.
#[derive(Debug)]
pub enum Lookahead {
    /// A live camera: each frame as long after its arrival as the hold says, so that the stream flows evenly.
    Held(Hold),
    /// A live camera without delay: each frame as soon as it is analysed itself; the hold bounds how long that may take.
    Own(Hold),
    /// A file: once frames so much later have been analysed, or the file has ended.
    File(Duration),
}

/// How a camera's frames are released.
#[derive(Debug)]
pub struct Policy {
    /// When.
    pub lookahead: Lookahead,
    /// Frames that are held at most.
    pub capacity: usize,
    /// How much larger than a face its mask is.
    pub margins: Margins,
    /// Nobody is masked: a decision of the configuration. Zones are covered all the same, and nothing is shown unproven.
    pub nobody: bool,
}

/// What the analysis of one frame found. Making one says that the model ran on that frame and gave sound outputs.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The frame's number.
    pub number: u64,
    /// The frame's stream time.
    pub at: Duration,
    /// The generation, as [`Line::generation`](super::Line::generation) gave it when the frame was handed to the analysis.
    pub generation: u64,
    /// All that was found or is believed to be there.
    pub sightings: Vec<Sighting>,
    /// Whoever went unmasked before is masked in the frames that are held: somebody who did may have been forgotten since.
    pub withdrawn: bool,
}

/// A frame that leaves the line.
#[derive(Clone, Debug)]
pub struct Release {
    /// The frame, with its unmasked pixels: for the [`Painter`](super::Painter) alone.
    pub frame: Frame,
    /// What becomes of it.
    pub ruling: Ruling,
}
