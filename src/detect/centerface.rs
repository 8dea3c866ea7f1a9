//! CenterFace (Xu et al., 2020). Four planes at stride 4: heat, log size, offset, landmarks.

use super::family::{Mismatch, cells, expect_count, grid, values};
use super::found::Found;
use crate::geometry::{Point, Rect, Size};
use crate::infer::Outputs;

const STRIDE: u32 = 4;

/// Decodes each hot cell; sizes and offsets come as (height, width) and (y, x), landmarks as shares of the box.
pub(super) fn decode(outputs: &Outputs, input: Size, found: &mut Found) -> Result<(), Mismatch> {
    expect_count(outputs, 4, "4")?;
    let (columns, lines) = grid(input, STRIDE);
    let count = columns * lines;
    let heat = values(outputs, 0, count)?;
    let (log_h, log_w) = values(outputs, 1, 2 * count)?.split_at(count);
    let (down, across) = values(outputs, 2, 2 * count)?.split_at(count);
    let marks = values(outputs, 3, 10 * count)?;
    let stride = STRIDE as f32;
    for (i, (column, row)) in cells(input, STRIDE).enumerate() {
        if !found.wants(heat[i]) {
            continue;
        }
        let (w, h) = (log_w[i].exp() * stride, log_h[i].exp() * stride);
        let x = (column + across[i] + 0.5) * stride - w / 2.0;
        let y = (row + down[i] + 0.5) * stride - h / 2.0;
        let mark = |n: usize| Point::new(x + marks[(2 * n + 1) * count + i] * w, y + marks[2 * n * count + i] * h);
        found.push(Rect::new(x, y, w, h), heat[i], Some(std::array::from_fn(mark)));
    }
    Ok(())
}
