//! A track becomes a person: aligned embeddings, a gallery in memory, and an identity that holds over time.
//!
//! | module | what happens there |
//! |---|---|
//! | [`embedding`] | what a model says of a face |
//! | [`identity`] | who a track is, and why not |

pub mod embedding;
pub mod identity;

pub use embedding::Embedding;
pub use identity::{Change, Identity, Quality, Reason, Verdict};
