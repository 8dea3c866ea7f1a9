//! How the gallery's own references score against each other: those of one person, and those of different people.
//!
//! The two heaps lie apart where people can be told apart, and the threshold stands between them. Of a large gallery as many
//! references are compared as a bounded time allows, evenly picked, so that the same gallery gives the same numbers.

use std::collections::HashMap;
use std::time::SystemTime;

use super::person::PersonId;
use super::snapshot::Snapshot;
use super::store::Gallery;
use super::vector::cosine;

/// Bars of a histogram, over cosines from -1 to 1.
pub const BARS: usize = 80;

/// References that are compared with each other: about a million pairs, some tens of milliseconds.
const MOST_REFERENCES: usize = 1500;

/// References of one person that are compared with each other.
const MOST_OF_ONE: usize = 20;

/// People whose references are compared with each other.
const MOST_PEOPLE: usize = 2000;

/// Pairs of people that are named, the most similar first.
const MOST_ALIKE: usize = 10;

/// Cosines of many pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// How many pairs have a cosine in each of [`BARS`] equal parts of -1 to 1.
    pub bars: [u64; BARS],
    /// All of them.
    pub pairs: u64,
    /// Those that reach the threshold.
    pub reach: u64,
}

/// Two people and the highest cosine of a reference of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike {
    /// Ids, the smaller first.
    pub people: [PersonId; 2],
    /// Cosine.
    pub score: f32,
}

/// Both heaps, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// People of the gallery.
    pub people: usize,
    /// Their references.
    pub references: usize,
    /// Whether not all of them were compared.
    pub sampled: bool,
    /// Pairs of references of one person.
    pub genuine: Histogram,
    /// Pairs of references of different people.
    pub impostor: Histogram,
    /// The people who are most alike.
    pub alike: Vec<Alike>,
    /// The threshold that the pairs were held against.
    pub threshold: f32,
}

impl Histogram {
    const EMPTY: Self = Self { bars: [0; BARS], pairs: 0, reach: 0 };

    fn count(&mut self, score: f32, threshold: f32) {
        let bar = ((score + 1.0) / 2.0 * BARS as f32) as usize;
        self.bars[bar.min(BARS - 1)] += 1;
        self.pairs += 1;
        self.reach += u64::from(score >= threshold);
    }
}

/// References of one person, as rows of numbers.
struct Faces<'a> {
    owner: &'a PersonId,
    rows: Vec<&'a [f32]>,
}

impl Gallery {
    /// Compares references with each other; whoever's time is over is left out.
    pub fn spread(&self) -> Spread {
        let snapshot = self.snapshot();
        let threshold = self.threshold();
        let people = by_owner(&snapshot);
        let references: usize = people.iter().map(|faces| faces.rows.len()).sum();
        let (genuine, all_of_each) = genuine(&people, threshold);
        let (impostor, alike) = impostor(&people, references, threshold);
        let sampled = !all_of_each || references > MOST_REFERENCES;
        Spread { people: people.len(), references, sampled, genuine, impostor, alike, threshold }
    }
}

/// By id, so that what is picked does not depend on chance.
fn by_owner(snapshot: &Snapshot) -> Vec<Faces<'_>> {
    let expired = snapshot.expired(SystemTime::now());
    let mut people: HashMap<&PersonId, Vec<&[f32]>> = HashMap::new();
    for block in snapshot.references.blocks() {
        for (row, label) in block.labels().iter().enumerate().filter(|(_, label)| !expired.contains(&label.owner)) {
            people.entry(&label.owner).or_default().push(block.exact(row));
        }
    }
    let mut people: Vec<_> = people.into_iter().map(|(owner, rows)| Faces { owner, rows }).collect();
    people.sort_unstable_by(|a, b| a.owner.cmp(b.owner));
    people
}

/// At most `most` of `items`, evenly picked.
fn evenly<T>(items: &[T], most: usize) -> impl Iterator<Item = &T> {
    let taken = items.len().min(most);
    (0..taken).map(move |n| &items[n * items.len() / taken])
}

/// Pairs of one person each, and whether these are all.
fn genuine(people: &[Faces<'_>], threshold: f32) -> (Histogram, bool) {
    let several: Vec<_> = people.iter().filter(|faces| faces.rows.len() > 1).collect();
    let mut histogram = Histogram::EMPTY;
    let mut all = several.len() <= MOST_PEOPLE;
    for faces in evenly(&several, MOST_PEOPLE) {
        all &= faces.rows.len() <= MOST_OF_ONE;
        let rows: Vec<_> = evenly(&faces.rows, MOST_OF_ONE).collect();
        for (n, one) in rows.iter().enumerate() {
            rows[..n].iter().for_each(|other| histogram.count(cosine(one, other), threshold));
        }
    }
    (histogram, all)
}

/// Pairs of different people, and who of them is most alike.
fn impostor(people: &[Faces<'_>], references: usize, threshold: f32) -> (Histogram, Vec<Alike>) {
    let mut rows: Vec<(usize, &[f32])> = Vec::with_capacity(references);
    people.iter().enumerate().for_each(|(n, faces)| rows.extend(faces.rows.iter().map(|row| (n, *row))));
    let rows: Vec<_> = evenly(&rows, MOST_REFERENCES).collect();
    let mut histogram = Histogram::EMPTY;
    let mut best: HashMap<(usize, usize), f32> = HashMap::new();
    for (n, (one, a)) in rows.iter().enumerate() {
        for (other, b) in rows[..n].iter().filter(|(other, _)| other != one) {
            let score = cosine(a, b);
            histogram.count(score, threshold);
            if score >= threshold {
                // by id already: the others come before
                let highest = best.entry((*other, *one)).or_insert(score);
                *highest = highest.max(score);
            }
        }
    }
    let name = |n: usize| people[n].owner.clone();
    let alike = best.into_iter().map(|((a, b), score)| Alike { people: [name(a), name(b)], score });
    let mut alike: Vec<_> = alike.collect();
    alike.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.people.cmp(&b.people)));
    alike.truncate(MOST_ALIKE);
    (histogram, alike)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{EACH, faces, gallery as synthetic};
    use super::super::tests::{enrol, gallery};
    use super::*;

    #[test]
    fn the_pairs_of_one_and_of_two_people_are_counted_apart() {
        let gallery = gallery();
        assert_eq!((gallery.spread().genuine.pairs, gallery.spread().impostor.pairs), (0, 0));
        enrol(&gallery, "Alice", &[1, 2, 3]);
        enrol(&gallery, "Bob", &[4, 5]);
        let spread = gallery.spread();
        assert_eq!((spread.people, spread.references, spread.sampled), (2, 5, false));
        assert_eq!((spread.genuine.pairs, spread.impostor.pairs), (3 + 1, 3 * 2));
        for histogram in [&spread.genuine, &spread.impostor] {
            assert_eq!(histogram.bars.iter().sum::<u64>(), histogram.pairs);
        }
        assert_eq!(spread.threshold, gallery.threshold());
        assert!(spread.alike.is_empty());
    }

    #[test]
    fn who_looks_like_somebody_else_is_named() {
        let gallery = gallery();
        enrol(&gallery, "Alice", &[1]);
        enrol(&gallery, "Bob", &[1, 2]);
        enrol(&gallery, "Carol", &[9]);
        let spread = gallery.spread();
        let [alike] = &spread.alike[..] else { panic!("{:?}", spread.alike) };
        assert_eq!((&*alike.people[0], &*alike.people[1]), ("alice", "bob"));
        assert!(alike.score > 0.999 && spread.impostor.reach == 1);
        assert_eq!(spread.impostor.bars[BARS - 1], 1, "the highest cosine is within the last bar");
    }

    #[test]
    fn of_a_large_gallery_an_even_share_is_compared() {
        let count = MOST_REFERENCES * 3;
        let spread = synthetic(16, faces(16, count, 7)).unwrap().spread();
        assert_eq!((spread.references, spread.sampled), (count, true));
        let picked = MOST_REFERENCES as u64;
        assert!(spread.impostor.pairs > picked * (picked - 1) / 2 * 9 / 10);
        assert_eq!(spread.genuine.pairs as usize, count / EACH * (EACH * (EACH - 1) / 2));
        assert_eq!(evenly(&[0, 1, 2, 3, 4, 5], 3).copied().collect::<Vec<_>>(), [0, 2, 4]);
    }
}
