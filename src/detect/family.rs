//! Model families: one decoder a file, one line each in [`FAMILIES`].

use super::found::Found;
use super::{centerface, retinaface, scrfd, ssd, ultraface, yunet};
use crate::geometry::Size;
use crate::infer::{Outputs, TensorView};

/// Turns the outputs of a run on one picture into faces, in pixels of the model's input (whose size is given).
pub type Decode = fn(&Outputs, Size, &mut Found) -> Result<(), Mismatch>;

/// A family of models that share the meaning of their outputs.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name in manifests.
    pub name: &'static str,
    /// Its decoder.
    pub decode: Decode,
}

/// All families; a new one is a file and a line here.
pub const FAMILIES: &[Family] = &[
    Family { name: "yunet", decode: yunet::decode },
    Family { name: "scrfd", decode: scrfd::decode },
    Family { name: "retinaface", decode: retinaface::decode },
    Family { name: "centerface", decode: centerface::decode },
    Family { name: "ultraface", decode: ultraface::decode },
    Family { name: "ssd", decode: ssd::decode },
];

/// The family of this name.
pub fn find(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

/// Outputs that are not what the family gives for an input of this size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another number of outputs.
    #[error("expected {expected} outputs, found {found}")]
    Count {
        /// What the family has.
        expected: &'static str,
        /// What came.
        found: usize,
    },
    /// An output with another number of values.
    #[error("output {index}: expected {expected} values, found {found}")]
    Length {
        /// Place in the manifest's list, from 0.
        index: usize,
        /// What follows from the input's size.
        expected: usize,
        /// What came.
        found: usize,
    },
}

/// The values of output `index`, which must be `expected` many.
pub(super) fn values(outputs: &Outputs, index: usize, expected: usize) -> Result<&[f32], Mismatch> {
    let data = outputs.get(index).map_or(&[][..], |tensor| tensor.data);
    if data.len() == expected { Ok(data) } else { Err(Mismatch::Length { index, expected, found: data.len() }) }
}

/// Refuses anything but `count` outputs.
pub(super) fn expect_count(outputs: &Outputs, count: usize, expected: &'static str) -> Result<(), Mismatch> {
    if outputs.len() == count { Ok(()) } else { Err(Mismatch::Count { expected, found: outputs.len() }) }
}

/// Rows of a tensor whose last dimension is `N`.
pub(super) fn rows<const N: usize>(tensor: &[f32]) -> &[[f32; N]] {
    tensor.as_chunks::<N>().0
}

/// The cells of a feature map at `stride`, row by row, as (column, row); sides are rounded up as convolutions do.
pub(super) fn cells(input: Size, stride: u32) -> impl Iterator<Item = (f32, f32)> {
    let (columns, rows) = grid(input, stride);
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (column as f32, row as f32)))
}

/// Columns and rows of a feature map at `stride`.
pub(super) fn grid(input: Size, stride: u32) -> (usize, usize) {
    (input.width.div_ceil(stride) as usize, input.height.div_ceil(stride) as usize)
}

/// An output that may be absent.
pub(super) fn tensor(outputs: &Outputs, index: usize) -> TensorView<'_> {
    outputs.get(index).unwrap_or(TensorView { shape: &[], data: &[] })
}
