//! SSD-MobileNet faces. TensorFlow's four outputs (boxes, classes, scores, count) after suppression in the graph, or plain
//! boxes and scores of all anchors. Boxes are (top, left, bottom, right) as shares of the input.

use super::family::{Mismatch, rows, tensor, values};
use super::found::Found;
use crate::geometry::{Rect, Size};
use crate::infer::Outputs;

/// The class of a face in TensorFlow's numbering, where 0 is the background.
const FACE: f32 = 1.0;

/// Reads either layout; there are no landmarks.
pub(super) fn decode(outputs: &Outputs, input: Size, found: &mut Found) -> Result<(), Mismatch> {
    match outputs.len() {
        4 => {
            let slots = tensor(outputs, 1).data.len();
            let boxes = rows::<4>(values(outputs, 0, 4 * slots)?);
            let classes = tensor(outputs, 1).data;
            let scores = values(outputs, 2, slots)?;
            let filled = values(outputs, 3, 1)?[0];
            found.must_be_number(filled);
            let slots = boxes.iter().zip(scores).zip(classes).take(filled as usize);
            for ((corners, score), _) in slots.filter(|(_, class)| **class == FACE) {
                push(*corners, *score, input, found);
            }
        }
        2 => {
            let anchors = tensor(outputs, 1).data.len();
            let boxes = rows::<4>(values(outputs, 0, 4 * anchors)?);
            for (corners, score) in boxes.iter().zip(tensor(outputs, 1).data) {
                push(*corners, *score, input, found);
            }
        }
        found => return Err(Mismatch::Count { expected: "4, or 2 without classes", found }),
    }
    Ok(())
}

fn push([top, left, bottom, right]: [f32; 4], score: f32, input: Size, found: &mut Found) {
    if found.wants(score) {
        let (width, height) = (input.width as f32, input.height as f32);
        let (x, y) = (left * width, top * height);
        found.push(Rect::new(x, y, right * width - x, bottom * height - y), score, None);
    }
}
