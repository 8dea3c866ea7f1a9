//! ArcFace and what followed it (InsightFace): MobileFaceNet with 128 numbers, ResNets with 512, of a 112-pixel face. InsightFace's
//! ONNX files want RGB as (v - 127.5) / 127.5, or / 128 in older ones; other exports have it inside.

/// Trained for cosine: the numbers are used as they come.
pub(super) fn finish(_: &mut [f32]) {}
