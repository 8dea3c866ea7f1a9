//! YuNet (Wu et al., 2023; libfacedetection). Twelve outputs: class, objectness, box and landmarks at strides 8, 16, 32.

use super::family::{Mismatch, cells, expect_count, grid, rows, values};
use super::found::Found;
use crate::geometry::{Point, Rect, Size};
use crate::infer::Outputs;

const STRIDES: [u32; 3] = [8, 16, 32];

/// Decodes cls, obj, bbox and kps, each at three strides. The score is the geometric mean of class and objectness.
pub(super) fn decode(outputs: &Outputs, input: Size, found: &mut Found) -> Result<(), Mismatch> {
    expect_count(outputs, 4 * STRIDES.len(), "12")?;
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let (columns, lines) = grid(input, stride);
        let count = columns * lines;
        let class = values(outputs, level, count)?;
        let object = values(outputs, 3 + level, count)?;
        let boxes = rows::<4>(values(outputs, 6 + level, 4 * count)?);
        let marks = rows::<10>(values(outputs, 9 + level, 10 * count)?);
        let stride = stride as f32;
        for (i, (column, row)) in cells(input, stride as u32).enumerate() {
            let score = (class[i].clamp(0.0, 1.0) * object[i].clamp(0.0, 1.0)).sqrt();
            if !found.wants(score) {
                continue;
            }
            let [x, y, w, h] = boxes[i];
            let (w, h) = (w.exp() * stride, h.exp() * stride);
            let rect = Rect::new((column + x) * stride - w / 2.0, (row + y) * stride - h / 2.0, w, h);
            let mark = |n: usize| Point::new((column + marks[i][2 * n]) * stride, (row + marks[i][2 * n + 1]) * stride);
            found.push(rect, score, Some(std::array::from_fn(mark)));
        }
    }
    Ok(())
}
