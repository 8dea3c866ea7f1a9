//! The short way from a picture's planes to planes of floats, where the processor and the picture's shape allow it:
//! each row of the model's input is made at once, from rows of bytes that stay in the nearest cache.

use super::colour::ToChannels;
use super::input::View;
use super::scale::{Across, Axis, Plane};
use crate::simd::channels::{Avx512, Columns};
use crate::simd::scale::Avx2;

/// What each component's row becomes, and the rows.
#[derive(Debug)]
pub(super) struct Straight {
    processor: (Avx2, Avx512),
    columns: [Columns; 3],
    /// A row of each plane, where it is made of several.
    lines: [Vec<u8>; 3],
}

impl Straight {
    /// For pictures like `view`, scaled across as said.
    pub(super) fn new(view: View<'_>, across: &[Across; 3]) -> Option<Self> {
        let processor = (Avx2::detect()?, Avx512::detect()?);
        let planes = (0..view.planes()).map(|index| view.plane(index));
        let widths: Vec<usize> = planes.flat_map(|plane| vec![plane.width; plane.step]).collect();
        let columns = |n: usize| across[n].windows(*widths.get(n)?);
        let columns = [columns(0)?, columns(1)?, columns(2)?];
        Some(Self { processor, columns, lines: [(); 3].map(|()| Vec::new()) })
    }

    /// Makes row `n` of the input; luma's rows are scaled as the first axis says, chroma's as the second.
    pub(super) fn row(
        &mut self,
        view: View<'_>,
        (rows, n): (&[Axis; 2], usize),
        colour: &ToChannels,
        outs: [&mut [f32]; 3],
    ) {
        let Self { processor: (avx2, avx512), columns, lines } = self;
        let mut sources = [&[][..]; 3];
        let mut free = &mut sources[..];
        for (index, line) in lines.iter_mut().enumerate().take(view.planes()) {
            let plane = view.plane(index);
            let (taken, rest) = free.split_at_mut(plane.step);
            taken.fill(scaled(*avx2, plane, rows[index.min(1)].window(n), line));
            free = rest;
        }
        colour.straight(*avx512, columns.each_ref(), sources, outs);
    }
}

/// One row of a plane, scaled down: the plane's own where it is made of a single one.
fn scaled<'a>(avx2: Avx2, plane: Plane<'a>, (start, weights): (usize, &[u16]), line: &'a mut Vec<u8>) -> &'a [u8] {
    let used = |weight: &u16| *weight > 0;
    let first = weights.iter().position(used).unwrap_or(0);
    let last = weights.iter().rposition(used).unwrap_or(0);
    let start = start + first;
    let rows = &plane.bytes[start * plane.stride..];
    if first == last {
        avx2.foresee(rows, plane.stride, plane.width);
        return plane.row(start);
    }
    line.resize(plane.width, 0);
    avx2.blend(rows, plane.stride, &weights[first..=last], line);
    line
}
