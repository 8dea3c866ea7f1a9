//! How well a gallery's people can be told apart: each reference once taken out and searched for among the others.

use std::collections::HashMap;
use std::sync::Arc;

use super::person::PersonId;
use super::search::{self, Leader, Query};
use super::segment::{Label, Rows};
use super::store::Gallery;
use super::vector::{Vector, cosine};

/// Pairs of people who look alike that are named at most.
const MOST_PAIRS: usize = 100;

/// Two people who look alike: their most similar references.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// One.
    pub a: PersonId,
    /// The other.
    pub b: PersonId,
    /// Cosine of the two references.
    pub score: f32,
    /// Where they come from.
    pub sources: [Arc<str>; 2],
}

/// Each reference of people with several, searched for among all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaveOneOut {
    /// References that were searched for.
    pub probes: usize,
    /// Those nearest to another reference of the same person: rank-1 accuracy is their share.
    pub right: usize,
    /// Those that get the right name at the gallery's threshold and margin.
    pub named: usize,
    /// Those that get a wrong name at them.
    pub wrong: usize,
}

/// What is to be said about a gallery.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// People with one reference only: nothing can be said of how well they are recognised.
    pub alone: Vec<PersonId>,
    /// How well the others are.
    pub leave_one_out: LeaveOneOut,
    /// The two most similar people; `None` in a gallery of less than two.
    pub most_confusable: Option<Pair>,
    /// Every two people who score at the threshold or above, the most similar first.
    pub look_alikes: Vec<Pair>,
    /// Least cosine of a known person to use.
    pub threshold: f32,
    /// Least distance to the next person to use.
    pub margin: f32,
}

impl Gallery {
    /// Searches for each reference among the others: as many searches as there are references.
    pub fn advise(&self) -> Advice {
        let snapshot = self.snapshot();
        let (threshold, margin) = (self.threshold(), self.margin());
        let mut alone: Vec<_> =
            snapshot.people.iter().filter(|p| p.references.len() == 1).map(|p| p.id.clone()).collect();
        alone.sort();
        let mut leave_one_out = LeaveOneOut::default();
        let mut pairs: HashMap<[PersonId; 2], (f32, [u64; 2])> = HashMap::new();
        for Scores { label, own, other } in scores(&snapshot.references) {
            if let Some(own) = own {
                leave_one_out.count(own, other.as_ref().map_or(-1.0, |other| other.score), (threshold, margin));
            }
            let Some(other) = other else { continue };
            let mut sides = [(label.owner, label.reference), (other.owner, other.reference)];
            sides.sort();
            let [(a, of_a), (b, of_b)] = sides;
            let found = (other.score, [of_a, of_b]);
            let best = pairs.entry([a, b]).or_insert(found);
            if found.0 > best.0 {
                *best = found;
            }
        }
        let source = |person: &PersonId, reference: u64| {
            let person = snapshot.people.get(person)?;
            person.references.iter().find(|r| r.id == reference).map(|r| Arc::clone(&r.source))
        };
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .filter_map(|([a, b], (score, [of_a, of_b]))| {
                let sources = [source(&a, of_a)?, source(&b, of_b)?];
                Some(Pair { a, b, score, sources })
            })
            .collect();
        pairs.sort_by(|x, y| y.score.total_cmp(&x.score).then_with(|| (&x.a, &x.b).cmp(&(&y.a, &y.b))));
        let most_confusable = pairs.first().cloned();
        pairs.retain(|pair| pair.score >= threshold);
        pairs.truncate(MOST_PAIRS);
        Advice { alone, leave_one_out, most_confusable, look_alikes: pairs, threshold, margin }
    }
}

impl LeaveOneOut {
    fn count(&mut self, own: f32, other: f32, (threshold, margin): (f32, f32)) {
        self.probes += 1;
        self.right += usize::from(own > other);
        self.named += usize::from(own >= threshold && own - other >= margin);
        self.wrong += usize::from(other >= threshold && other - own >= margin);
    }
}

/// How one reference scores against the rest.
struct Scores {
    label: Label,
    /// Against the nearest of the same person's others.
    own: Option<f32>,
    /// Against the nearest of other people's.
    other: Option<Leader>,
}

fn scores(rows: &Rows) -> impl Iterator<Item = Scores> {
    let mut by_owner: HashMap<&PersonId, Vec<(u64, &[f32])>> = HashMap::new();
    for block in rows.blocks() {
        for (row, label) in block.labels().iter().enumerate() {
            by_owner.entry(&label.owner).or_default().push((label.reference, block.exact(row)));
        }
    }
    rows.blocks().flat_map(|block| (0..block.len()).map(move |row| (block, row))).filter_map(move |(block, row)| {
        let (label, exact) = (block.labels()[row].clone(), block.exact(row));
        let same = by_owner.get(&label.owner).into_iter().flatten().filter(|(id, _)| *id != label.reference);
        let own = same.map(|(_, other)| cosine(exact, other)).max_by(f32::total_cmp);
        let vector = Vector::of(exact)?;
        let query = Query { probe: &vector.probe(), most: 1, skip: std::slice::from_ref(&label.owner) };
        let other = search::nearest(rows, query).pop();
        Some(Scores { label, own, other })
    })
}
