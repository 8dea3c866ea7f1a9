//! Tracks that were lost, ended or found to be two people's: whoever comes back is known by the first good face.

use std::collections::VecDeque;
use std::time::Duration;

use super::decide::Bar;
use super::fusion::Evidence;
use super::{Embedding, Identity};
use crate::clock::Monotonic;

/// How long a track may be away and still be joined to.
const KEPT: Duration = Duration::from_secs(60);
/// Tracks remembered at once; beyond that the oldest goes.
const MOST: usize = 64;
/// A single face joins this many scales above the threshold for a pair.
const SURE: f32 = 2.0;

/// What was known of a track that is away.
#[derive(Debug)]
pub struct Departed {
    /// Its number, while the tracker may still take it up again.
    pub track: Option<u64>,
    /// Who it was.
    pub identity: Identity,
    /// What was seen of it.
    pub evidence: Evidence,
    /// For how long its face could be used.
    pub usable: Duration,
    /// When it went.
    pub since: Monotonic,
}

/// Tracks of one camera that are away.
#[derive(Debug, Default)]
pub struct Memory(VecDeque<Departed>);

impl Memory {
    /// Keeps a track for when it comes back.
    pub fn put(&mut self, departed: Departed) {
        if departed.evidence.fused().is_some() {
            self.0.push_back(departed);
            self.0.drain(..self.0.len().saturating_sub(MOST));
        }
    }

    /// The tracker has taken up track `id` again.
    pub fn recall(&mut self, id: u64) -> Option<Departed> {
        let index = self.0.iter().position(|departed| departed.track == Some(id))?;
        self.0.remove(index)
    }

    /// The track that `face` belongs to: one stands out, and `admits` it.
    pub fn join(&mut self, face: &Embedding, bar: &Bar, admits: impl Fn(&Identity) -> bool) -> Option<Departed> {
        let score = |departed: &Departed| departed.evidence.fused().map_or(-1.0, |fused| fused.cosine(face));
        let mut scores: Vec<_> = self.0.iter().enumerate().map(|(index, departed)| (score(departed), index)).collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let &(best, index) = scores.first()?;
        let identity = &self.0[index].identity;
        let is_rival = |&(score, index): &(f32, usize)| {
            let other = &self.0[index].identity;
            best - score < bar.margin && !matches!(other, Identity::Undecided { .. }) && !same(identity, other)
        };
        let stands_out = !scores[1..].iter().any(is_rival);
        let joins = best >= bar.pair + SURE * bar.scale && stands_out && admits(identity);
        if joins { self.0.remove(index) } else { None }
    }

    /// Whether `face` is much like one of them.
    pub fn resembles(&self, face: &Embedding, bar: &Bar) -> bool {
        let like = |departed: &Departed| departed.evidence.fused().map(|fused| fused.cosine(face));
        self.0.iter().filter_map(like).any(|cosine| bar.agrees(cosine))
    }

    /// Forgets what is too old, and whom `keeps` refuses.
    pub fn sweep(&mut self, now: Monotonic, keeps: impl Fn(&Identity) -> bool) {
        self.0.retain(|departed| now.since(departed.since) < KEPT && keeps(&departed.identity));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The tracker's numbers will be given anew.
    pub fn renumber(&mut self) {
        self.0.iter_mut().for_each(|departed| departed.track = None);
    }
}

fn same(a: &Identity, b: &Identity) -> bool {
    match (a, b) {
        (Identity::Known { person: a, .. }, Identity::Known { person: b, .. })
        | (Identity::Stranger { alias: a, .. }, Identity::Stranger { alias: b, .. }) => a == b,
        _ => false,
    }
}
