//! The best person and the next, exactly.

use std::sync::Arc;

use super::calibration::Own;
use super::person::{Person, PersonId};
use super::segment::Rows;

/// Somebody who looks like a probe.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Who.
    pub person: Arc<Person>,
    /// Cosine to the nearest of the person's references.
    pub score: f32,
    /// That reference.
    pub reference: u64,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// The nearest person; `None` in an empty gallery, or where the probe is no face at all.
    pub first: Option<Hit>,
    /// The nearest other person.
    pub second: Option<Hit>,
    /// The gallery's revision that was searched.
    pub revision: u64,
}

impl Ranking {
    /// How far the first stands before the second; `None` where there is no second.
    pub fn margin(&self) -> Option<f32> {
        Some(self.first.as_ref()?.score - self.second.as_ref()?.score)
    }
}

/// A person's best reference so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leader {
    pub(super) owner: PersonId,
    pub(super) score: f32,
    pub(super) reference: u64,
}

impl Leader {
    /// Higher scores first; of equal ones the older reference.
    fn is_before(&self, other: &Self) -> bool {
        self.score > other.score || self.score == other.score && self.reference < other.reference
    }
}

/// The best of each of the `most` nearest people, best first.
pub(super) struct Leaders {
    most: usize,
    list: Vec<Leader>,
}

impl Leaders {
    pub(super) fn new(most: usize) -> Self {
        Self { most, list: Vec::new() }
    }

    pub(super) fn offer(&mut self, new: Leader) {
        match self.list.iter().position(|leader| leader.owner == new.owner) {
            Some(own) if new.is_before(&self.list[own]) => drop(self.list.remove(own)),
            Some(_) => return,
            None => {}
        }
        let place = self.list.iter().position(|leader| new.is_before(leader)).unwrap_or(self.list.len());
        self.list.insert(place, new);
        self.list.truncate(self.most);
    }

    pub(super) fn into_list(self) -> Vec<Leader> {
        self.list
    }
}

/// What is searched for.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    /// Of length one.
    pub(super) probe: &'a [f32],
    /// How many people are wanted.
    pub(super) most: usize,
    /// Whose references do not count.
    pub(super) skip: &'a [PersonId],
}

/// The people nearest to a probe, best first.
pub(super) fn nearest(rows: &Rows, query: Query<'_>) -> Vec<Leader> {
    let mut leaders = Leaders::new(query.most);
    for segment in rows.segments() {
        for (index, label) in segment.labels().iter().enumerate() {
            let score = cosine(segment.row(index), query.probe);
            if !query.skip.contains(&label.owner) {
                leaders.offer(Leader { owner: label.owner.clone(), score, reference: label.reference });
            }
        }
    }
    leaders.into_list()
}

/// As [`nearest`], without people to whom the probe is nearer as what they are not.
pub(super) fn nearest_unless_vetoed(rows: &Rows, anchors: &Rows, query: Query<'_>) -> Vec<Leader> {
    let mut skip = query.skip.to_vec();
    loop {
        let leaders = nearest(rows, Query { skip: &skip, ..query });
        let vetoed = |leader: &&Leader| vetoes(anchors, query.probe, leader);
        let vetoed: Vec<_> = leaders.iter().filter(vetoed).map(|leader| leader.owner.clone()).collect();
        if vetoed.is_empty() {
            return leaders;
        }
        skip.extend(vetoed);
    }
}

/// Whether an anchor of the leader is as near to the probe as the leader's best reference.
fn vetoes(anchors: &Rows, probe: &[f32], leader: &Leader) -> bool {
    anchors.segments().iter().any(|segment| {
        let own = segment.labels().iter().enumerate().filter(|(_, label)| label.owner == leader.owner);
        own.into_iter().any(|(index, _)| cosine(segment.row(index), probe) >= leader.score)
    })
}

/// How the references of others score against `row`: pairs, and those of at least `high`.
pub(super) fn own_scores(rows: &Rows, row: &[f32], owner: &str, high: f32) -> Own {
    let mut own = Own::default();
    for segment in rows.segments() {
        let others = segment.labels().iter().enumerate().filter(|(_, label)| *label.owner != *owner);
        for (index, _) in others {
            own.pairs += 1;
            own.high += u64::from(cosine(segment.row(index), row) >= high);
        }
    }
    own
}

/// Of two vectors of length one.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b).clamp(-1.0, 1.0)
}

/// Sums in a fixed order, so that a score is the same on every machine.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0f32; LANES];
    for (a, b) in a.zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}
