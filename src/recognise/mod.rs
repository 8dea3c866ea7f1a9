//! A track becomes a person: aligned embeddings, a gallery in memory, and an identity that holds over time.
//!
//! | module | what happens there |
//! |---|---|
//! | [`embedding`] | what a model says of a face |
//! | [`identity`] | who a track is, and why not |
//! | [`align`] [`warp`] | a face as a model wants it, straight from the planes |
//! | [`landmarks`] | landmarks for detectors that give none |
//! | [`closeup`] | faces of stills, looked at twice |
//! | [`quality`] | how fit a face is for recognition |
//! | [`grading`] | the faces of a picture as answers show them |
//! | [`families`] [`embedder`] | aligned face → embedding |
//! | [`verification`] [`identification`] | how well similarities tell people apart; how often a track is named |
//! | [`gallery`] | the people who are known, in memory only |
//! | [`fusion`] [`decide`] | what a track's faces say together, and what that is worth |
//! | [`schedule`] [`continuity`] | when a face is worth an embedding; whether it is still the same face |
//! | [`vigil`] | who may go unmasked is verified all the time |
//! | [`strangers`] [`rejoin`] | who is not enrolled but was here before; who was away for a moment |
//! | [`dossier`] [`ledger`] | what is known of a track; of all tracks of a camera |
//! | [`recogniser`] | one camera's recognition |
//! | [`still`] | who is on a picture |

pub mod align;
pub mod closeup;
mod config;
pub mod continuity;
pub mod decide;
pub mod dossier;
pub mod embedder;
pub mod embedding;
pub mod families;
pub mod fusion;
pub mod gallery;
pub mod grading;
pub mod identification;
pub mod identity;
pub mod landmarks;
pub mod ledger;
#[cfg(test)]
mod ledger_tests;
mod patch;
pub mod quality;
pub mod recogniser;
pub mod rejoin;
pub mod schedule;
pub mod still;
pub mod strangers;
pub mod verification;
pub mod vigil;
pub mod warp;

pub use closeup::{Closeup, LookError, Portrait};
pub use config::Config;
pub use embedder::Embedder;
pub use embedding::Embedding;
pub use gallery::Gallery;
pub use grading::GradedFace;
pub use identity::{Change, Identity, Impression, Quality, Reason, Verdict};
pub use landmarks::Landmarker;
pub use ledger::People;
pub use recogniser::Recogniser;
pub use strangers::Strangers;
pub use vigil::Vigil;
