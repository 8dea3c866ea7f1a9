//! References as rows of numbers: immutable, shared between snapshots, overwritten with zeros when the last one goes.

use std::io;
use std::sync::Arc;

use super::calibration::Own;
use super::person::PersonId;
use super::vector::{Vector, padded};
use crate::simd::pages::{HUGE, Pages};

/// Rows of a small segment, and of a block of any: what is compared at a time.
pub(super) const ROWS: usize = 256;

/// Rows of a large segment, whose bytes fill a huge page.
fn large(dimension: usize) -> usize {
    (HUGE / padded(dimension) / ROWS * ROWS).max(ROWS)
}

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

/// Some references. What a search reads of each lies together.
struct Segment {
    dimension: usize,
    exact: Pages<f32>,
    coarse: Pages<u8>,
    scales: Vec<f32>,
    errors: Vec<f32>,
    labels: Vec<Label>,
}

impl Segment {
    fn new(dimension: usize, rows: &[Row<'_>]) -> io::Result<Self> {
        let mut exact = Pages::zeroed(rows.len() * dimension)?;
        let mut coarse = Pages::zeroed(rows.len() * padded(dimension))?;
        let places = exact.chunks_exact_mut(dimension).zip(coarse.chunks_exact_mut(padded(dimension)));
        for ((exact, coarse), row) in places.zip(rows) {
            exact.copy_from_slice(row.exact);
            coarse.copy_from_slice(row.coarse);
        }
        let (scales, errors) = rows.iter().map(|row| (row.scale, row.error)).unzip();
        let labels = rows.iter().map(|row| row.label.clone()).collect();
        Ok(Self { dimension, exact, coarse, scales, errors, labels })
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn exact(&self, index: usize) -> &[f32] {
        &self.exact[index * self.dimension..][..self.dimension]
    }

    /// The rows in portions of at most [`ROWS`].
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        (0..self.len()).step_by(ROWS).map(|first| Block { segment: self, first, len: ROWS.min(self.len() - first) })
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

/// Neighbouring rows of a segment.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    segment: &'a Segment,
    first: usize,
    len: usize,
}

impl<'a> Block<'a> {
    pub(super) fn len(self) -> usize {
        self.len
    }

    pub(super) fn labels(self) -> &'a [Label] {
        &self.segment.labels[self.first..][..self.len]
    }

    /// Row `index`, exactly.
    pub(super) fn exact(self, index: usize) -> &'a [f32] {
        self.segment.exact(self.first + index)
    }

    /// All rows in bytes, one after the other.
    pub(super) fn coarse(self) -> &'a [u8] {
        let row = padded(self.segment.dimension);
        &self.segment.coarse[self.first * row..][..self.len * row]
    }

    /// What a byte of each row is worth.
    pub(super) fn scales(self) -> &'a [f32] {
        &self.segment.scales[self.first..][..self.len]
    }

    /// How far each row's bytes are from the truth, at most.
    pub(super) fn errors(self) -> &'a [f32] {
        &self.segment.errors[self.first..][..self.len]
    }
}

/// All rows of one kind: first large segments, then fewer full small ones than make a large one, then one that is not full.
///
/// A reference that comes is thus copied together with fewer than [`ROWS`] others, and once more when its small segment
/// becomes part of a large one.
#[derive(Clone, Default)]
pub(super) struct Rows {
    segments: Vec<Arc<Segment>>,
}

impl Rows {
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.segments.iter().flat_map(|segment| segment.blocks())
    }

    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.len()).sum()
    }

    /// These rows and `more`; copies no large segment, and small ones only where they become a large one.
    ///
    /// # Errors
    /// There is no memory left.
    pub(super) fn with<'a>(&'a self, dimension: usize, more: Vec<Row<'a>>) -> io::Result<Self> {
        let large = large(dimension);
        let small = self.segments.iter().position(|segment| segment.len() < large).unwrap_or(self.segments.len());
        let rows: usize = self.segments[small..].iter().map(|segment| segment.len()).sum();
        let closed = |segment: &&Arc<Segment>| segment.len() == ROWS && rows + more.len() < large;
        let kept = small + self.segments[small..].iter().take_while(closed).count();
        let mut segments = self.segments[..kept].to_vec();
        let repacked = self.segments[kept..].iter().flat_map(|segment| segment.rows());
        pack(dimension, repacked.chain(more).collect(), &mut segments)?;
        Ok(Self { segments })
    }

    /// These rows without those of `gone`; copies the large segments that hold such, and the small ones. Removing must not
    /// fail, so it ends the process where there is no memory left, as everything else does then.
    pub(super) fn without(&self, dimension: usize, gone: impl Fn(&Label) -> bool) -> Self {
        if !self.labels().any(&gone) {
            return self.clone();
        }
        let stays = |segment: &Arc<Segment>| segment.len() == large(dimension) && !segment.labels.iter().any(&gone);
        let (mut segments, touched): (Vec<_>, Vec<_>) = self.segments.iter().cloned().partition(stays);
        let rest = touched.iter().flat_map(|segment| segment.rows()).filter(|row| !gone(&row.label));
        if pack(dimension, rest.collect(), &mut segments).is_err() {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<[f32; ROWS]>());
        }
        Self { segments }
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &Label> {
        self.segments.iter().flat_map(|segment| &segment.labels)
    }

    /// What holds for all rows at any time.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let lengths: Vec<_> = self.segments.iter().map(|segment| segment.len()).collect();
        assert!(lengths.is_sorted_by(|a, b| a >= b) && lengths.last() != Some(&0), "{lengths:?}");
        for segment in &self.segments {
            let large = large(segment.dimension);
            assert!(segment.len() == large || segment.len() <= ROWS, "{lengths:?}");
            assert_eq!(segment.exact.len(), segment.len() * segment.dimension);
            assert_eq!(segment.coarse.len(), segment.len() * padded(segment.dimension));
            assert!(lengths.iter().filter(|len| **len < large).sum::<usize>() < large, "{lengths:?}");
        }
        assert!(lengths.iter().filter(|len| **len < ROWS).count() <= 1, "{lengths:?}");
    }
}

/// Puts rows into as few segments as there are sizes for.
fn pack(dimension: usize, rows: Vec<Row<'_>>, segments: &mut Vec<Arc<Segment>>) -> io::Result<()> {
    let large = large(dimension);
    let mut rest = &rows[..];
    while !rest.is_empty() {
        let size = if rest.len() >= large { large } else { ROWS.min(rest.len()) };
        let (some, others) = rest.split_at(size);
        segments.push(Arc::new(Segment::new(dimension, some)?));
        rest = others;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::Embedding;

    /// So many that two small segments make a large one.
    const DIMENSION: usize = 4096;

    fn vector(reference: u64) -> Vector {
        let values: Vec<f32> =
            (0..DIMENSION as u64).map(|n| ((n * reference) % 17) as f32 - 8.0 + n as f32 / 1e4).collect();
        Vector::new(&Embedding::new(&values), DIMENSION).unwrap()
    }

    fn add(rows: &Rows, references: std::ops::Range<u64>) -> Rows {
        let vectors: Vec<_> = references.clone().map(vector).collect();
        let owner = PersonId::new("alice").unwrap();
        let label = |reference| Label { owner: owner.clone(), reference, own: Own::default() };
        rows.with(DIMENSION, vectors.iter().zip(references).map(|(v, r)| Row::new(v, label(r))).collect()).unwrap()
    }

    /// Each reference is there once, with its own numbers.
    fn check_rows(rows: &Rows, expected: impl Iterator<Item = u64>) {
        rows.check_invariants();
        let mut found: Vec<_> = rows.labels().map(|label| label.reference).collect();
        found.sort_unstable();
        assert_eq!(found, expected.collect::<Vec<_>>());
        for block in rows.blocks() {
            let last = block.len() - 1;
            let (label, vector) = (&block.labels()[last], vector(block.labels()[last].reference));
            assert_eq!(block.exact(last), &vector.exact[..], "{label:?}");
            assert_eq!(block.coarse().chunks(padded(DIMENSION)).last().unwrap(), &vector.coarse[..]);
            assert_eq!((block.scales()[last], block.errors()[last]), (vector.scale, vector.error));
        }
    }

    #[test]
    fn rows_come_and_go_in_segments_of_two_sizes() {
        let mut rows = Rows::default();
        for n in 0..4 {
            rows = add(&rows, 150 * n..150 * (n + 1));
            check_rows(&rows, 0..150 * (n + 1));
        }
        rows = add(&rows, 600..1300);
        check_rows(&rows, 0..1300);
        let before: Vec<_> = rows.segments.iter().map(Arc::as_ptr).collect();
        let more = add(&rows, 1300..1301);
        let shared = more.segments.iter().filter(|segment| before.contains(&Arc::as_ptr(segment))).count();
        assert_eq!((shared, more.segments.len()), (3, 4), "a row that comes copies no full segment");
        let fewer = more.without(DIMENSION, |label| label.reference % 3 == 1 && label.reference < 400);
        check_rows(&fewer, (0..1301).filter(|n| n % 3 != 1 || *n >= 400));
        assert!(fewer.segments.iter().any(|segment| before.contains(&Arc::as_ptr(segment))));
        check_rows(&fewer.without(DIMENSION, |_| true), 0..0);
        check_rows(&rows, 0..1300);
    }
}
