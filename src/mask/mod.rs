//! Which parts of a frame are hidden, the proof that it may be shown, and the pixels.
//!
//! Frames wait in a delay line until analyses bracket them; what cannot be proven goes out wholly covered. The painter
//! then writes what may be shown, and only that, into its destination: [`MaskedFrame`] has no other maker, and no sink takes
//! anything else.
//!
//! | module | what happens there |
//! |---|---|
//! | [`config`](Config) | whose faces, and how |
//! | [`who`](Exemptions) | who goes unmasked at one analysis |
//! | [`sighting`](Sighting) | what one analysis knows of faces |
//! | `strands` | the faces of the frames that are held |
//! | `strand` | where each may be at any instant |
//! | `unseen` | where it may be while no analysis finds it |
//! | `looks` `trail` | where it was in frames that nobody analysed, by what it looks like |
//! | `links` | which faces are found again as other tracks |
//! | `motion` `way` | boxes that move, and those that stand for where they came along |
//! | [`hold`] | how long a frame is held |
//! | [`policy`](Policy) | what goes into the delay line, and what comes out |
//! | [`line`](Line) | release by proof |
//! | [`evidence`](Evidence) | the other book, by which each release is checked once more |
//! | `stretch` `rhythm` | what two analyses prove of the frames between; whether these come as they use to |
//! | [`cut`](Cuts) `shots` | where a stream is cut, and which frames go on from each other |
//! | [`glimpse`](Surroundings) | what is seen between two frames alone |
//! | [`ruling`](Ruling) | shown with masks, or covered, and why |
//! | `shape` `stencil` | which pixels |
//! | [`kinds`](KINDS) | what takes their place: a file and a table line each |
//! | [`painter`](Painter) | copies and masks in one go |
//! | [`still`](StillMask) | the same for one picture |
//! | [`masked`](MaskedFrame) | what comes out |
//! | [`test_face`](TestFace) | whether the detector sees at all |

mod config;
mod cut;
mod evidence;
mod glimpse;
pub mod hold;
mod kinds;
mod line;
#[cfg(test)]
mod line_tests;
mod links;
mod looks;
mod masked;
mod motion;
mod painter;
#[cfg(test)]
mod painter_tests;
mod policy;
mod rhythm;
mod ruling;
mod shape;
mod shots;
mod sighting;
mod stencil;
mod still;
mod strand;
mod strands;
#[cfg(test)]
mod strands_tests;
mod stretch;
mod test_face;
mod trail;
#[cfg(test)]
mod trail_tests;
mod unseen;
mod way;
mod who;

pub use config::{Audit, Config, Settings};
pub use cut::{Cut, Cuts, Signature};
pub use evidence::Evidence;
pub use glimpse::Surroundings;
pub use hold::Hold;
pub use kinds::{KINDS, Kind};
pub use line::Line;
pub use masked::{MaskedFrame, MaskedStill, Outcome, Places, out_layout};
pub use painter::{Painter, TooSmall};
pub use policy::{Analysis, Lookahead, Policy, Release};
pub use ruling::{Bracket, Cause, Plan, Ruling};
pub use shape::{Region, Shape};
pub use sighting::{Sighting, untracked};
pub use still::{JPEG_QUALITY, StillMask};
pub use strands::{Margins, still_regions};
pub use test_face::TestFace;
pub use who::{Exempt, Exemptions, Who};
