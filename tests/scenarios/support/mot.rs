//! Scores tracks against truth: CLEAR-MOT (Bernardin and Stiefelhagen, 2008) and IDF1 (Ristani et al., 2016) at an
//! overlap of 0.5, by the rules of the `motmetrics` package, against which it was checked.

use std::collections::{BTreeMap, HashMap};

use visor::geometry::Rect;
use visor::track::assign::Assigner;

/// Boxes with their identities, by frame.
pub type Boxes = BTreeMap<u64, Vec<(u64, Rect)>>;

/// Sums over one sequence or several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// True boxes.
    pub truth: usize,
    /// Boxes given.
    pub given: usize,
    /// Given boxes that match no true one.
    pub false_positives: usize,
    /// True boxes that no given one matches.
    pub misses: usize,
    /// True objects matched by another identity than the last time.
    pub switches: usize,
    /// Boxes matched under the best one-to-one mapping of identities.
    pub identity_hits: usize,
}

impl Score {
    /// Multiple object tracking accuracy, in percent.
    pub fn mota(&self) -> f64 {
        100.0 - 100.0 * (self.false_positives + self.misses + self.switches) as f64 / self.truth as f64
    }

    /// Harmonic mean of identity precision and recall, in percent.
    pub fn idf1(&self) -> f64 {
        200.0 * self.identity_hits as f64 / (self.truth + self.given) as f64
    }
}

impl std::ops::Add for Score {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            truth: self.truth + other.truth,
            given: self.given + other.given,
            false_positives: self.false_positives + other.false_positives,
            misses: self.misses + other.misses,
            switches: self.switches + other.switches,
            identity_hits: self.identity_hits + other.identity_hits,
        }
    }
}

impl std::iter::Sum for Score {
    fn sum<I: Iterator<Item = Self>>(scores: I) -> Self {
        scores.fold(Self::default(), |sum, score| sum + score)
    }
}

/// Boxes of MOT text. With `truth`, lines whose seventh field is 0 are left out: they are not to be found.
pub fn read(text: &str, truth: bool) -> Boxes {
    let mut boxes = Boxes::new();
    for line in text.lines() {
        let fields: Vec<f64> = line.split([',', ' ']).filter_map(|field| field.parse().ok()).collect();
        if fields.len() < 6 || (truth && fields.get(6) == Some(&0.0)) {
            continue;
        }
        let rect = Rect::new(fields[2] as f32, fields[3] as f32, fields[4] as f32, fields[5] as f32);
        boxes.entry(fields[0] as u64).or_default().push((fields[1] as u64, rect));
    }
    boxes
}

/// Keeps every `step`-th frame, from the first on, and numbers them anew.
pub fn thinned(boxes: &Boxes, step: u64) -> Boxes {
    let kept = boxes.iter().filter(|(frame, _)| (*frame - 1) % step == 0);
    kept.map(|(frame, boxes)| ((frame - 1) / step + 1, boxes.clone())).collect()
}

/// Scores `given` against `truth` over all frames.
pub fn score(truth: &Boxes, given: &Boxes) -> Score {
    let mut score = Score::default();
    let mut last: HashMap<u64, u64> = HashMap::new();
    let mut together: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    let frames = truth.keys().chain(given.keys().filter(|frame| !truth.contains_key(frame)));
    for frame in frames {
        let objects = truth.get(frame).map_or(&[][..], Vec::as_slice);
        let tracks = given.get(frame).map_or(&[][..], Vec::as_slice);
        score.truth += objects.len();
        score.given += tracks.len();
        for (object, a) in objects {
            for (track, _) in tracks.iter().filter(|(_, b)| a.iou(*b) >= 0.5) {
                *together.entry((*object, *track)).or_default() += 1;
            }
        }
        let pairs = matched(objects, tracks, &last);
        score.false_positives += tracks.len() - pairs.len();
        score.misses += objects.len() - pairs.len();
        for (object, track) in pairs {
            let former = last.insert(object, track);
            score.switches += usize::from(former.is_some_and(|former| former != track));
        }
    }
    score.identity_hits = identity_hits(&together);
    score
}

/// Pairs of one frame: those of earlier frames as long as they overlap, then as many more as possible, best overlap.
fn matched(objects: &[(u64, Rect)], tracks: &[(u64, Rect)], last: &HashMap<u64, u64>) -> Vec<(u64, u64)> {
    let mut pairs = Vec::new();
    for (object, rect) in objects {
        let kept = tracks.iter().find(|(track, other)| last.get(object) == Some(track) && rect.iou(*other) >= 0.5);
        let free = kept.filter(|(track, _)| pairs.iter().all(|(_, taken)| taken != track));
        pairs.extend(free.map(|(track, _)| (*object, *track)));
    }
    let open: Vec<_> = objects.iter().filter(|(o, _)| pairs.iter().all(|(taken, _)| taken != o)).collect();
    let unused: Vec<_> = tracks.iter().filter(|(t, _)| pairs.iter().all(|(_, taken)| taken != t)).collect();
    let mut assigner = Assigner::default();
    assigner.begin(unused.len());
    for (_, rect) in &open {
        assigner.row();
        for (column, (_, other)) in unused.iter().enumerate() {
            let overlap = f64::from(rect.iou(*other));
            assigner.candidate(column, if overlap >= 0.5 { 100.0 + overlap } else { 0.0 });
        }
    }
    assigner.solve();
    for (row, (object, _)) in open.iter().enumerate() {
        pairs.extend(assigner.column_of(row).map(|column| (*object, unused[column].0)));
    }
    pairs
}

fn identity_hits(together: &BTreeMap<(u64, u64), usize>) -> usize {
    let mut tracks: Vec<u64> = together.keys().map(|&(_, track)| track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    let mut objects: Vec<u64> = together.keys().map(|&(object, _)| object).collect();
    objects.dedup();
    let mut assigner = Assigner::default();
    assigner.begin(tracks.len());
    for object in &objects {
        assigner.row();
        for (column, track) in tracks.iter().enumerate() {
            assigner.candidate(column, together.get(&(*object, *track)).map_or(0.0, |&n| n as f64));
        }
    }
    assigner.solve();
    let pairs = objects.iter().enumerate().filter_map(|(row, o)| assigner.column_of(row).map(|c| (*o, tracks[c])));
    pairs.map(|pair| together[&pair]).sum()
}
