//! Intel's face re-identification nets (Open Model Zoo, face-reidentification-retail-0095): 256 numbers of a 128-pixel
//! face, BGR as bytes are; normalisation is inside the graph.

/// Trained for cosine: the numbers are used as they come.
pub(super) fn finish(_: &mut [f32]) {}
