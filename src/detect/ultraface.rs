//! UltraFace (Linzaer). Two outputs that the graph has decoded: scores after softmax, corners as shares of the input.

use super::family::{Mismatch, expect_count, rows, tensor, values};
use super::found::Found;
use crate::geometry::{Rect, Size};
use crate::infer::Outputs;

/// Reads the boxes; there are no landmarks.
pub(super) fn decode(outputs: &Outputs, input: Size, found: &mut Found) -> Result<(), Mismatch> {
    expect_count(outputs, 2, "2")?;
    let count = tensor(outputs, 0).data.len() / 2;
    let scores = rows::<2>(values(outputs, 0, 2 * count)?);
    let boxes = rows::<4>(values(outputs, 1, 4 * count)?);
    let (width, height) = (input.width as f32, input.height as f32);
    for ([_, score], [left, top, right, bottom]) in scores.iter().zip(boxes) {
        if found.wants(*score) {
            let (x, y) = (left * width, top * height);
            found.push(Rect::new(x, y, right * width - x, bottom * height - y), *score, None);
        }
    }
    Ok(())
}
