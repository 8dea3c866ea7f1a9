//! References as rows of numbers: immutable, shared between snapshots, overwritten with zeros when the last one goes.

use std::io;
use std::sync::Arc;

use super::calibration::Own;
use super::person::PersonId;
use super::vector::{Vector, padded};
use crate::simd::pages::Pages;

/// Rows of a full segment: what a change copies at most, for each segment that it touches.
pub(super) const ROWS: usize = 256;

/// Whose a row is.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) owner: PersonId,
    pub(super) reference: u64,
    /// How it scored against the references of other people when it came.
    pub(super) own: Own,
}

/// A reference as it is stored.
pub(super) struct Row<'a> {
    /// Of length one.
    pub(super) exact: &'a [f32],
    /// The same in bytes, see [`Vector`].
    pub(super) coarse: &'a [u8],
    pub(super) scale: f32,
    pub(super) error: f32,
    pub(super) label: Label,
}

impl<'a> Row<'a> {
    pub(super) fn new(vector: &'a Vector, label: Label) -> Self {
        let Vector { exact, coarse, scale, error } = vector;
        Self { exact, coarse, scale: *scale, error: *error, label }
    }
}

/// Up to [`ROWS`] references. What a search reads of each lies together.
pub(super) struct Segment {
    dimension: usize,
    exact: Pages<f32>,
    coarse: Pages<u8>,
    scales: Vec<f32>,
    errors: Vec<f32>,
    labels: Vec<Label>,
}

impl Segment {
    fn new(dimension: usize, rows: Vec<Row<'_>>) -> io::Result<Self> {
        let mut exact = Pages::zeroed(rows.len() * dimension)?;
        let mut coarse = Pages::zeroed(rows.len() * padded(dimension))?;
        let places = exact.chunks_exact_mut(dimension).zip(coarse.chunks_exact_mut(padded(dimension)));
        for ((exact, coarse), row) in places.zip(&rows) {
            exact.copy_from_slice(row.exact);
            coarse.copy_from_slice(row.coarse);
        }
        let (scales, errors) = rows.iter().map(|row| (row.scale, row.error)).unzip();
        let labels = rows.into_iter().map(|row| row.label).collect();
        Ok(Self { dimension, exact, coarse, scales, errors, labels })
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Row `index`, exactly.
    pub(super) fn exact(&self, index: usize) -> &[f32] {
        &self.exact[index * self.dimension..][..self.dimension]
    }

    /// All rows in bytes, one after the other.
    pub(super) fn coarse(&self) -> &[u8] {
        &self.coarse
    }

    /// What a byte of each row is worth.
    pub(super) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// How far each row's bytes are from the truth, at most.
    pub(super) fn errors(&self) -> &[f32] {
        &self.errors
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let coarse = self.coarse.chunks_exact(padded(self.dimension));
        coarse.enumerate().map(|(index, coarse)| Row {
            exact: self.exact(index),
            coarse,
            scale: self.scales[index],
            error: self.errors[index],
            label: self.labels[index].clone(),
        })
    }
}

/// All rows of one kind: every segment but the last is full, none is empty.
#[derive(Clone, Default)]
pub(super) struct Rows {
    segments: Vec<Arc<Segment>>,
}

impl Rows {
    pub(super) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    pub(super) fn len(&self) -> usize {
        let full = self.segments.len().saturating_sub(1) * ROWS;
        full + self.segments.last().map_or(0, |last| last.len())
    }

    /// These rows and `more`; copies no full segment.
    ///
    /// # Errors
    /// There is no memory left.
    pub(super) fn with<'a>(&'a self, dimension: usize, more: impl Iterator<Item = Row<'a>>) -> io::Result<Self> {
        let mut segments = self.segments.clone();
        segments.pop_if(|last| last.len() < ROWS);
        let open = self.segments.get(segments.len());
        pack(dimension, open.into_iter().flat_map(|open| open.rows()).chain(more), &mut segments)?;
        Ok(Self { segments })
    }

    /// These rows without those of `gone`; copies the segments that hold such, and the last one. Removing must not fail, so
    /// it ends the process where there is no memory left, as everything else does then.
    pub(super) fn without(&self, dimension: usize, gone: impl Fn(&Label) -> bool) -> Self {
        let touched = |segment: &Arc<Segment>| segment.len() < ROWS || segment.labels.iter().any(&gone);
        let (touched, mut segments): (Vec<_>, Vec<_>) = self.segments.iter().cloned().partition(touched);
        let rest = touched.iter().flat_map(|segment| segment.rows()).filter(|row| !gone(&row.label));
        if pack(dimension, rest, &mut segments).is_err() {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<[f32; ROWS]>());
        }
        Self { segments }
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &Label> {
        self.segments.iter().flat_map(|segment| segment.labels())
    }

    /// What holds for all rows at any time.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        for (index, segment) in self.segments.iter().enumerate() {
            let last = index + 1 == self.segments.len();
            assert!(segment.len() == ROWS || last && segment.len() > 0, "segment {index} holds {}", segment.len());
            assert_eq!(segment.exact.len(), segment.len() * segment.dimension);
            assert_eq!(segment.coarse.len(), segment.len() * padded(segment.dimension));
        }
    }
}

fn pack<'a>(
    dimension: usize,
    mut rows: impl Iterator<Item = Row<'a>>,
    segments: &mut Vec<Arc<Segment>>,
) -> io::Result<()> {
    loop {
        let some: Vec<_> = rows.by_ref().take(ROWS).collect();
        if some.is_empty() {
            return Ok(());
        }
        segments.push(Arc::new(Segment::new(dimension, some)?));
    }
}
