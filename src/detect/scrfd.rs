//! SCRFD (Guo et al., 2021; InsightFace). Scores, box distances and landmark offsets at strides 8, 16, 32, two anchors a
//! cell; models without landmarks have six outputs instead of nine.

use super::family::{Mismatch, cells, grid, rows, values};
use super::found::Found;
use crate::geometry::{Point, Rect, Size};
use crate::infer::Outputs;

const STRIDES: [u32; 3] = [8, 16, 32];
const ANCHORS: usize = 2;

/// Decodes distances from an anchor's point (the cell's corner) to the box's sides, in strides.
pub(super) fn decode(outputs: &Outputs, input: Size, found: &mut Found) -> Result<(), Mismatch> {
    let with_marks = match outputs.len() {
        9 => true,
        6 => false,
        found => return Err(Mismatch::Count { expected: "9, or 6 without landmarks", found }),
    };
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let (columns, lines) = grid(input, stride);
        let count = columns * lines * ANCHORS;
        let scores = values(outputs, level, count)?;
        let sides = rows::<4>(values(outputs, 3 + level, 4 * count)?);
        let marks = match with_marks {
            true => rows::<10>(values(outputs, 6 + level, 10 * count)?),
            false => &[],
        };
        for (cell, (column, row)) in cells(input, stride).enumerate() {
            let stride = stride as f32;
            let (x, y) = (column * stride, row * stride);
            for i in cell * ANCHORS..(cell + 1) * ANCHORS {
                if !found.wants(scores[i]) {
                    continue;
                }
                let [left, top, right, bottom] = sides[i].map(|side| side * stride);
                let mark = |m: &[f32; 10], n: usize| Point::new(x + m[2 * n] * stride, y + m[2 * n + 1] * stride);
                let landmarks = marks.get(i).map(|m| std::array::from_fn(|n| mark(m, n)));
                found.push(Rect::new(x - left, y - top, left + right, top + bottom), scores[i], landmarks);
            }
        }
    }
    Ok(())
}
