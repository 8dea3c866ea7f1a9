//! The best person and the next, exactly: the answer is that of comparing every reference in `f32`.

use std::sync::Arc;

use super::person::{Person, PersonId};
use super::segment::{Block, ROWS, Rows};
use super::vector::{Probe, cosine, slack};
use crate::simd::bytes::Kernel;

/// Rows on the shortlist from which on it is gone through for those that a risen floor excludes.
const TIDY: usize = 4096;

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
struct Leaders {
    most: usize,
    list: Vec<Leader>,
}

impl Leaders {
    fn new(most: usize) -> Self {
        Self { most, list: Vec::new() }
    }

    fn offer(&mut self, new: Leader) {
        match self.list.iter().position(|leader| leader.owner == new.owner) {
            Some(own) if new.is_before(&self.list[own]) => drop(self.list.remove(own)),
            Some(_) => return,
            None => {}
        }
        let place = self.list.iter().position(|leader| new.is_before(leader)).unwrap_or(self.list.len());
        self.list.insert(place, new);
        self.list.truncate(self.most);
    }

    /// Whoever scores less is not among them.
    fn floor(&self) -> f32 {
        if self.list.len() < self.most {
            f32::NEG_INFINITY
        } else {
            self.list.last().map_or(f32::INFINITY, |l| l.score)
        }
    }

    fn of(&self, owner: &PersonId) -> Option<&Leader> {
        self.list.iter().find(|leader| leader.owner == *owner)
    }
}

/// What is searched for.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) probe: &'a Probe<'a>,
    /// How many people are wanted.
    pub(super) most: usize,
    /// Whose references do not count.
    pub(super) skip: &'a [PersonId],
}

/// The people nearest to a probe, best first: the same as if every row were compared exactly.
///
/// Rows are compared in bytes, which gives bounds of the true cosine (see [`super::vector`]). Each of the wanted people
/// has a row whose lower bound is at least the floor, so whoever's upper bound is below it is not one of them. What is
/// left, usually a handful, is compared exactly.
pub(super) fn nearest(rows: &Rows, query: Query<'_>) -> Vec<Leader> {
    let mut leaders = Leaders::new(query.most);
    for spot in shortlist(rows, query) {
        if leaders.floor() > spot.highest {
            break;
        }
        let label = &spot.block.labels()[spot.row];
        if leaders.of(&label.owner).is_some_and(|own| own.score > spot.highest) {
            continue;
        }
        let score = cosine(spot.block.exact(spot.row), query.probe.exact);
        leaders.offer(Leader { owner: label.owner.clone(), score, reference: label.reference });
    }
    leaders.list
}

/// A row that may be one of the nearest.
struct Spot<'a> {
    block: Block<'a>,
    row: usize,
    /// Upper bound of its cosine.
    highest: f32,
}

/// Every row that may be the best of one of the wanted people, the likeliest first.
fn shortlist<'a>(rows: &'a Rows, query: Query<'_>) -> Vec<Spot<'a>> {
    let mut certain = Leaders::new(query.most);
    let mut spots: Vec<Spot<'a>> = Vec::new();
    let (mut floor, mut tidy_at) = (f32::NEG_INFINITY, TIDY);
    let mut scan = Scan::new(query.probe);
    for block in rows.blocks() {
        scan.look(block);
        // Without a branch for each, since hardly any block holds one.
        if !scan.highest(block).iter().fold(false, |any, &highest| any | (highest >= floor)) {
            continue;
        }
        for (row, label) in block.labels().iter().enumerate() {
            let (lowest, highest) = scan.bounds(block, row);
            if highest < floor || query.skip.contains(&label.owner) {
                continue;
            }
            certain.offer(Leader { owner: label.owner.clone(), score: lowest, reference: label.reference });
            floor = certain.floor();
            spots.push(Spot { block, row, highest });
        }
        if spots.len() >= tidy_at {
            spots.retain(|spot| spot.highest >= floor);
            tidy_at = TIDY.max(2 * spots.len());
        }
    }
    spots.retain(|spot| spot.highest >= floor);
    spots.sort_unstable_by(|a, b| b.highest.total_cmp(&a.highest));
    spots
}

/// Compares one block after the other with a probe, in bytes.
struct Scan<'a> {
    probe: &'a Probe<'a>,
    kernel: Kernel,
    /// What rounding may add to a bound.
    slack: f32,
    sums: [i32; ROWS],
    highest: [f32; ROWS],
}

impl<'a> Scan<'a> {
    fn new(probe: &'a Probe<'a>) -> Self {
        let (kernel, slack) = (Kernel::best(), slack(probe.exact.len()));
        Self { probe, kernel, slack, sums: [0; ROWS], highest: [0.0; ROWS] }
    }

    /// Computes the bounds of a block's rows.
    fn look(&mut self, block: Block<'_>) {
        let count = block.len();
        self.kernel.dots(block.coarse(), &self.probe.coarse, &mut self.sums[..count]);
        let (offset, scale) = (self.probe.offset, self.probe.scale);
        let (least, growth) = (self.probe.error + self.slack, 1.0 + self.probe.error);
        let rows = self.sums[..count].iter().zip(block.scales()).zip(block.errors());
        for (highest, ((sum, row_scale), error)) in self.highest.iter_mut().zip(rows) {
            *highest = row_scale * (scale * (sum - offset) as f32) + error * growth + least;
        }
    }

    /// Upper bounds of the rows of the block that was looked at.
    fn highest(&self, block: Block<'_>) -> &[f32] {
        &self.highest[..block.len()]
    }

    /// Lower and upper bound of a row's cosine.
    fn bounds(&self, block: Block<'_>, row: usize) -> (f32, f32) {
        let highest = self.highest[row];
        (highest - 2.0 * self.error(block, row), highest)
    }

    /// How far an estimate may be from the truth.
    fn error(&self, block: Block<'_>, row: usize) -> f32 {
        let error = block.errors()[row];
        error + (1.0 + error) * self.probe.error + self.slack
    }
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
fn vetoes(anchors: &Rows, probe: &Probe<'_>, leader: &Leader) -> bool {
    anchors.blocks().any(|block| {
        let mut own = block.labels().iter().enumerate().filter(|(_, label)| label.owner == leader.owner);
        own.any(|(index, _)| cosine(block.exact(index), probe.exact) >= leader.score)
    })
}

/// How many references of others score about `high` or more against `probe`.
pub(super) fn count_high(rows: &Rows, probe: &Probe<'_>, owner: &PersonId, high: f32) -> u64 {
    let mut scan = Scan::new(probe);
    let mut count = 0;
    for block in rows.blocks() {
        scan.look(block);
        let is_high = |&row: &usize| scan.highest[row] - scan.error(block, row) >= high;
        let others = (0..block.len()).filter(is_high).filter(|&row| block.labels()[row].owner != *owner);
        count += others.count() as u64;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recognise::Embedding;
    use crate::recognise::gallery::calibration::Own;
    use crate::recognise::gallery::segment::{Label, Row};
    use crate::recognise::gallery::vector::Vector;

    /// How the rows of a gallery lie to each other and to the probe.
    #[derive(Clone, Copy, Debug)]
    enum Kind {
        /// In all directions.
        Random,
        /// All but the same: the bytes cannot tell them apart.
        NearTies,
        /// Few different ones, many times.
        Doubles,
        /// Nearer to the probe one after the other, so that the floor rises with each.
        Ascending,
    }

    struct Case {
        rows: Rows,
        probe: Vector,
    }

    fn case(kind: Kind, dimension: usize, count: usize, people: usize, seed: u64) -> Case {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut direction = || -> Vec<f32> { (0..dimension).map(|_| random.f32() - 0.5).collect() };
        let (probe, few) = (direction(), [direction(), direction(), direction()]);
        let vectors: Vec<_> = (0..count)
            .map(|n| {
                let other = direction();
                let towards = |share: f32| probe.iter().zip(&other).map(|(p, o)| p + share * o).collect();
                let values: Vec<f32> = match kind {
                    Kind::Random => other,
                    Kind::NearTies => towards(10f32.powi(-3 - (n % 5) as i32)),
                    Kind::Doubles => few[n % few.len()].clone(),
                    Kind::Ascending => towards(2.0 - 1.9 * n as f32 / count as f32),
                };
                Vector::new(&Embedding::new(&values), dimension).unwrap()
            })
            .collect();
        let label = |n: usize| Label {
            owner: PersonId::new(&format!("p{}", (n * 7919 + seed as usize % 100) % people)).unwrap(),
            reference: n as u64,
            own: Own::default(),
        };
        let stored = vectors.iter().enumerate().map(|(n, vector)| Row::new(vector, label(n)));
        let rows = Rows::default().with(dimension, stored.collect()).unwrap();
        rows.check_invariants();
        Case { rows, probe: Vector::new(&Embedding::new(&probe), dimension).unwrap() }
    }

    fn brute_force(rows: &Rows, query: Query<'_>) -> Vec<Leader> {
        let mut leaders = Leaders::new(query.most);
        for block in rows.blocks() {
            for (row, label) in block.labels().iter().enumerate().filter(|(_, l)| !query.skip.contains(&l.owner)) {
                let score = cosine(block.exact(row), query.probe.exact);
                leaders.offer(Leader { owner: label.owner.clone(), score, reference: label.reference });
            }
        }
        leaders.list
    }

    fn check_exact(Case { rows, probe }: &Case, most: usize) {
        let nobody = PersonId::new("p0").unwrap();
        for skip in [&[][..], std::slice::from_ref(&nobody)] {
            let query = Query { probe: &probe.probe(), most, skip };
            assert_eq!(nearest(rows, query), brute_force(rows, query));
        }
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_brute_force(
            kind in prop::sample::select(vec![Kind::Random, Kind::NearTies, Kind::Doubles, Kind::Ascending]),
            dimension in prop::sample::select(vec![1usize, 3, 64, 100, 128, 256, 512]),
            count in 0usize..1500,
            people in 1usize..200,
            most in prop::sample::select(vec![1usize, 2, 2, 7]),
            seed: u64,
        ) {
            check_exact(&case(kind, dimension, count, people, seed), most);
        }
    }

    #[test]
    fn a_shortlist_that_overflows_loses_nobody() {
        check_exact(&case(Kind::Ascending, 16, 20_000, 20_000, 1), 2);
        check_exact(&case(Kind::NearTies, 16, 20_000, 20_000, 2), 2);
    }

    #[test]
    fn few_rows_are_compared_exactly() {
        let Case { rows, probe } = case(Kind::Random, 512, 10_000, 5_000, 3);
        let spots = shortlist(&rows, Query { probe: &probe.probe(), most: 2, skip: &[] });
        assert!((2..50).contains(&spots.len()), "{}", spots.len());
    }

    #[test]
    fn high_scores_of_others_are_counted() {
        let Case { rows, probe } = case(Kind::Random, 64, 3000, 10, 4);
        let owner = PersonId::new("p3").unwrap();
        let labels: Vec<_> = rows.labels().collect();
        let exact = rows
            .blocks()
            .flat_map(|b| (0..b.len()).map(move |row| (b, row)))
            .map(|(b, row)| cosine(b.exact(row), &probe.exact));
        let expected = exact.zip(labels).filter(|(score, label)| *score >= 0.2 && label.owner != owner).count() as u64;
        let counted = count_high(&rows, &probe.probe(), &owner, 0.2);
        assert!(expected > 50 && counted.abs_diff(expected) < 10, "{counted} instead of {expected}");
    }
}
