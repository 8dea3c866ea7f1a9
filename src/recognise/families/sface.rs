//! SFace (OpenCV zoo): 128 numbers of a 112-pixel face on ArcFace's template, RGB as bytes are.

/// Trained for cosine: the numbers are used as they come.
pub(super) fn finish(_: &mut [f32]) {}
