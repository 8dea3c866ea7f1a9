//! References as rows of numbers: immutable, shared between snapshots, overwritten with zeros when the last one goes.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::calibration::Own;
use super::person::PersonId;

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

/// A reference on its way into a segment.
pub(super) struct Row<'a> {
    /// Of length one.
    pub(super) values: &'a [f32],
    pub(super) label: Label,
}

/// Up to [`ROWS`] references.
pub(super) struct Segment {
    dimension: usize,
    values: Zeroizing<Vec<f32>>,
    labels: Vec<Label>,
}

impl Segment {
    fn new<'a>(dimension: usize, rows: impl Iterator<Item = Row<'a>>) -> Self {
        // Of their full size at once: a vector that grows leaves copies behind.
        let mut segment = Self {
            dimension,
            values: Zeroizing::new(Vec::with_capacity(ROWS * dimension)),
            labels: Vec::with_capacity(ROWS),
        };
        for row in rows.take(ROWS) {
            segment.values.extend_from_slice(row.values);
            segment.labels.push(row.label);
        }
        segment
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn labels(&self) -> &[Label] {
        &self.labels
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dimension..][..self.dimension]
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| Row { values: self.row(index), label: self.labels[index].clone() })
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
    pub(super) fn with<'a>(&'a self, dimension: usize, more: impl Iterator<Item = Row<'a>>) -> Self {
        let mut segments = self.segments.clone();
        segments.pop_if(|last| last.len() < ROWS);
        let open = self.segments.get(segments.len());
        pack(dimension, open.into_iter().flat_map(|open| open.rows()).chain(more), &mut segments);
        Self { segments }
    }

    /// These rows without those of `gone`; copies the segments that hold such, and the last one.
    pub(super) fn without(&self, dimension: usize, gone: impl Fn(&Label) -> bool) -> Self {
        let touched = |segment: &Arc<Segment>| segment.len() < ROWS || segment.labels.iter().any(&gone);
        let (touched, mut segments): (Vec<_>, Vec<_>) = self.segments.iter().cloned().partition(touched);
        pack(dimension, touched.iter().flat_map(|s| s.rows()).filter(|row| !gone(&row.label)), &mut segments);
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
            assert_eq!(segment.values.len(), segment.len() * segment.dimension);
        }
    }
}

fn pack<'a>(dimension: usize, rows: impl Iterator<Item = Row<'a>>, segments: &mut Vec<Arc<Segment>>) {
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        segments.push(Arc::new(Segment::new(dimension, &mut rows)));
    }
}
