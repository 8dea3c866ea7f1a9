//! RetinaFace (Deng et al., 2020) as Pytorch_Retinaface exports it: boxes, scores and landmarks relative to priors.
//!
//! Two layouts of the same numbers: three outputs with scores after softmax, or one whose rows are 4 box values,
//! 2 score logits and 10 landmark values.

use super::family::{Mismatch, cells, grid, rows, values};
use super::found::Found;
use crate::geometry::{Point, Rect, Size};
use crate::infer::Outputs;

/// Stride of each level, and the sides of its two priors.
const LEVELS: [(u32, [f32; 2]); 3] = [(8, [16.0, 32.0]), (16, [64.0, 128.0]), (32, [256.0, 512.0])];

/// By how much the regressions of centres and sides were scaled for training.
const CENTRE_VARIANCE: f32 = 0.1;
const SIDE_VARIANCE: f32 = 0.2;

/// Decodes either layout.
pub(super) fn decode(outputs: &Outputs, input: Size, found: &mut Found) -> Result<(), Mismatch> {
    let count: usize =
        LEVELS.iter().map(|(stride, _)| grid(input, *stride)).map(|(columns, lines)| columns * lines * 2).sum();
    match outputs.len() {
        3 => {
            let boxes = rows::<4>(values(outputs, 0, 4 * count)?);
            let scores = rows::<2>(values(outputs, 1, 2 * count)?);
            let marks = rows::<10>(values(outputs, 2, 10 * count)?);
            decode_rows(input, found, |i| (boxes[i], scores[i][1], marks[i]));
        }
        1 => {
            let all = rows::<16>(values(outputs, 0, 16 * count)?);
            decode_rows(input, found, |i| {
                let [x, y, w, h, none, face, ref marks @ ..] = all[i];
                ([x, y, w, h], 1.0 / (1.0 + (none - face).exp()), *marks)
            });
        }
        found => return Err(Mismatch::Count { expected: "3, or 1 with everything", found }),
    }
    Ok(())
}

fn decode_rows(input: Size, found: &mut Found, row_at: impl Fn(usize) -> ([f32; 4], f32, [f32; 10])) {
    for (i, (centre, side)) in priors(input).enumerate() {
        let ([x, y, w, h], score, marks) = row_at(i);
        if !found.wants(score) {
            continue;
        }
        let reach = CENTRE_VARIANCE * side;
        let (w, h) = ((w * SIDE_VARIANCE).exp() * side, (h * SIDE_VARIANCE).exp() * side);
        let rect = Rect::new(centre.x + x * reach - w / 2.0, centre.y + y * reach - h / 2.0, w, h);
        let mark = |n: usize| Point::new(centre.x + marks[2 * n] * reach, centre.y + marks[2 * n + 1] * reach);
        found.push(rect, score, Some(std::array::from_fn(mark)));
    }
}

/// Centre and side of each prior, in the order of the outputs.
fn priors(input: Size) -> impl Iterator<Item = (Point, f32)> {
    LEVELS.into_iter().flat_map(move |(stride, sides)| {
        cells(input, stride).flat_map(move |(column, row)| {
            let centre = Point::new((column + 0.5) * stride as f32, (row + 0.5) * stride as f32);
            sides.map(|side| (centre, side))
        })
    })
}
