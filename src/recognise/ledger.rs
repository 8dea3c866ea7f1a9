//! All tracks of one camera, and who each of them is. Runs no model and looks at no picture.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::{Bar, Standing};
use super::dossier::{Dossier, Finding, Likeness, Proposal};
use super::fusion::Crop;
use super::gallery::{Gallery, Hit};
use super::rejoin::Memory;
use super::strangers::Strangers;
use super::{Change, Identity, Reason, Verdict};
use crate::clock::Monotonic;

/// Who is known, and who was seen: shared by all cameras. Clones share it.
#[derive(Clone)]
pub struct People {
    /// Those who were enrolled.
    pub gallery: Gallery,
    /// Those who were not.
    pub strangers: Strangers,
}

impl People {
    /// What is asked of a score in the gallery as it is.
    pub fn bar(&self) -> Bar {
        let calibration = self.gallery.settings().calibration;
        let (threshold, margin) = (self.gallery.threshold(), self.gallery.margin());
        Bar { threshold, margin, pair: calibration.pair, scale: calibration.impostors.scale }
    }
}

/// The tracks of one camera. At one instant no two of them are the same person or the same stranger.
#[derive(Debug, Default)]
pub struct Ledger {
    dossiers: BTreeMap<u64, Dossier>,
    memory: Memory,
}

impl Ledger {
    /// The dossier of a track that the tracker follows (`present`) or has lost.
    pub fn open(&mut self, track: u64, present: bool, now: Monotonic) -> &mut Dossier {
        let dossier = self.dossiers.entry(track).or_default();
        if dossier.present && !present {
            let departed = dossier.depart(Some(track), now);
            self.memory.put(departed);
        } else if !dossier.present
            && present
            && let Some(departed) = self.memory.recall(track)
        {
            dossier.resume(departed);
        }
        dossier.present = present;
        dossier.quality = None;
        dossier
    }

    /// What is known of a track.
    pub fn dossier(&self, track: u64) -> Option<&Dossier> {
        self.dossiers.get(&track)
    }

    /// The same, to be changed.
    pub fn dossier_mut(&mut self, track: u64) -> Option<&mut Dossier> {
        self.dossiers.get_mut(&track)
    }

    /// Takes in a face that was found in a track's box.
    pub fn learn(&mut self, track: u64, crop: &Crop, people: &People, now: Monotonic) {
        let bar = people.bar();
        let likeness = self.likeness(track, crop, people, &bar);
        let Some(dossier) = self.dossiers.get_mut(&track) else { return };
        let proof = dossier.says_by_itself(crop, &people.gallery, &bar);
        match dossier.compare(crop, &bar, likeness) {
            Finding::Same => dossier.learn(crop),
            Finding::Unclear => return,
            Finding::Other => {
                let departed = dossier.depart(None, now);
                self.memory.put(departed);
                dossier.restart(crop);
            }
        }
        dossier.prove(proof);
        if let Some(alias) = dossier.alias() {
            people.strangers.meet(alias, dossier.evidence.fused(), now);
        }
    }

    /// Whom a face in a track's box looks like, where it is not like what is known of the track.
    fn likeness(&self, track: u64, crop: &Crop, people: &People, bar: &Bar) -> Likeness {
        let Some(dossier) = self.dossiers.get(&track) else { return Likeness::None };
        if dossier.looks_like(&crop.embedding, bar) {
            return Likeness::None;
        }
        let first = people.gallery.search(&crop.embedding).first.filter(|first| bar.agrees(first.score));
        let is_own = |first: &Hit| dossier.person().is_some_and(|person| *first.person.id == **person);
        let mut others = self.dossiers.iter().filter(|(id, other)| **id != track && other.present);
        let mut seen = || {
            let present = others.any(|(_, other)| other.looks_like(&crop.embedding, bar));
            present || self.memory.resembles(&crop.embedding, bar)
        };
        match first {
            Some(first) if is_own(&first) => Likeness::Own,
            Some(_) => Likeness::Another,
            None if seen() => Likeness::Another,
            None => Likeness::None,
        }
    }

    /// Gives tracks whose first face was seen what was known of those that went away.
    fn rejoin(&mut self, bar: &Bar) {
        let new: Vec<u64> = self.dossiers.iter_mut().filter_map(|(id, d)| d.is_new().then_some(*id)).collect();
        for track in new {
            let others = self.dossiers.iter().filter(|(id, other)| **id != track && other.present);
            let taken: Vec<Identity> = others.map(|(_, other)| other.identity.clone()).collect();
            let Some(dossier) = self.dossiers.get_mut(&track) else { continue };
            let Some(face) = dossier.evidence.fused() else { continue };
            let admits = |identity: &Identity| !taken.iter().any(|taken| is_same(taken, identity));
            if let Some(departed) = self.memory.join(face, bar, admits) {
                dossier.resume(departed);
            }
        }
    }

    /// Decides who each track is, and says so in `verdicts`. `former` are the identities that were told before.
    pub fn decide(&mut self, people: &People, now: Monotonic, former: &Former, verdicts: &mut Vec<Verdict>) {
        let bar = people.bar();
        let revision = people.gallery.revision();
        self.memory.sweep(now, |identity| is_still_known(identity, &people.gallery));
        self.rejoin(&bar);
        let mut proposals: BTreeMap<u64, Proposal> = BTreeMap::new();
        for (id, dossier) in &mut self.dossiers {
            if dossier.ranking.as_ref().is_none_or(|ranking| ranking.revision != revision) {
                dossier.ranking = dossier.evidence.fused().map(|fused| people.gallery.search(fused));
            }
            if dossier.present {
                proposals.insert(*id, dossier.propose(&bar));
            } else if !is_still_known(&dossier.identity, &people.gallery) {
                dossier.identity = Identity::Undecided { reason: None };
            }
        }
        self.settle_rivals(&mut proposals, bar.margin);
        self.adopt(proposals, people, &bar, now);
        verdicts.extend(self.dossiers.iter().map(|(&track, dossier)| {
            let proof = dossier.proof(revision);
            Verdict {
                track,
                identity: dossier.identity.clone(),
                quality: dossier.quality,
                doubtful: dossier.is_doubtful(),
                change: change(former.get(&track), &dossier.identity),
                verified: proof.map(|proof| proof.at),
                tags: proof.map(|proof| Arc::clone(&proof.tags)).unwrap_or_default(),
                impression: dossier.evidence.impression(),
            }
        }));
    }

    /// Of several tracks that would be one person, the one with the best score is; one that has the name already keeps
    /// it unless another is better by a margin.
    fn settle_rivals(&mut self, proposals: &mut BTreeMap<u64, Proposal>, margin: f32) {
        let mut best: BTreeMap<Arc<str>, (u64, f32)> = BTreeMap::new();
        let mut beaten = Vec::new();
        for (&track, proposal) in proposals.iter() {
            let Proposal::Known(hit, _) = proposal else { continue };
            let holds = self.dossiers.get(&track).and_then(Dossier::person).is_some_and(|p| **p == *hit.person.id);
            let new = (track, if holds { hit.score + margin } else { hit.score });
            let leader = best.entry(hit.person.id.shared()).or_insert(new);
            if leader.0 != track {
                beaten.push(if new.1 > leader.1 { std::mem::replace(leader, new).0 } else { track });
            }
        }
        for track in beaten {
            let dispute = Proposal::Undecided(Some(Reason::Ambiguous));
            let Some(Proposal::Known(hit, _)) = proposals.insert(track, dispute) else { continue };
            let winner = best.get(&*hit.person.id).map(|leader| leader.0);
            let settled = self.dossiers.get(&track).is_some_and(|loser| loser.identity == DISPUTED);
            for rival in [Some(track), winner].into_iter().flatten().filter(|_| !settled) {
                self.dossiers.entry(rival).or_default().suspect();
            }
        }
    }

    fn adopt(&mut self, proposals: BTreeMap<u64, Proposal>, people: &People, bar: &Bar, now: Monotonic) {
        let mut aliases: Vec<Arc<str>> = Vec::new();
        let mut nobodies = Vec::new();
        for (track, proposal) in proposals {
            let Some(dossier) = self.dossiers.get_mut(&track) else { continue };
            keep_up(&mut dossier.identity, &people.strangers);
            match proposal {
                Proposal::Known(hit, ahead) => {
                    if let Some(alias) = dossier.alias() {
                        people.strangers.forget(alias);
                    }
                    dossier.identity = known(&hit, ahead);
                }
                Proposal::Undecided(reason) => dossier.identity = Identity::Undecided { reason },
                // A name is taken back before an alias is given.
                Proposal::Nobody if dossier.person().is_some() => {
                    dossier.identity = Identity::Undecided { reason: Some(Reason::BelowThreshold) };
                }
                Proposal::Nobody => match dossier.alias() {
                    Some(alias) if aliases.contains(alias) => dossier.identity = DISPUTED,
                    Some(alias) => aliases.push(Arc::clone(alias)),
                    None => nobodies.push(track),
                },
            }
        }
        for track in nobodies {
            let Some(dossier) = self.dossiers.get_mut(&track) else { continue };
            dossier.identity = stranger(dossier, &mut aliases, people, bar, now);
        }
    }

    /// The tracker has given up a track: what was known of it, for its last event.
    pub fn end(&mut self, track: u64, now: Monotonic) -> Option<Dossier> {
        let mut dossier = self.dossiers.remove(&track)?;
        if let Some(departed) = self.memory.recall(track) {
            self.memory.put(super::rejoin::Departed { track: None, ..departed });
        } else {
            self.memory.put(dossier.depart(None, now));
        }
        Some(dossier)
    }

    /// Drops tracks that the tracker does not name any more.
    pub fn retain(&mut self, named: impl Fn(u64) -> bool) {
        self.dossiers.retain(|track, _| named(*track));
    }

    /// The stream broke: all tracks are gone, and their numbers will be given anew.
    pub fn clear(&mut self, now: Monotonic) {
        self.memory.renumber();
        for dossier in std::mem::take(&mut self.dossiers).values_mut() {
            self.memory.put(dossier.depart(None, now));
        }
    }

    /// Tracks that are away and may be joined.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.memory.len()
    }

    /// Identities as they were told last.
    pub fn identities(&self) -> Former {
        self.dossiers.iter().map(|(track, dossier)| (*track, dossier.identity.clone())).collect()
    }
}

/// What a track is whose person or stranger another one is.
const DISPUTED: Identity = Identity::Undecided { reason: Some(Reason::Ambiguous) };

/// Who tracks were before an analysis.
pub type Former = BTreeMap<u64, Identity>;

pub(super) fn known(hit: &Hit, margin: Option<f32>) -> Identity {
    let (person, name) = (hit.person.id.shared(), Arc::clone(&hit.person.name));
    Identity::Known { person, name, score: hit.score, margin }
}

/// Who somebody is that is nobody of the gallery: a stranger known by an alias, a new one, or nobody yet.
fn stranger(dossier: &Dossier, taken: &mut Vec<Arc<str>>, people: &People, bar: &Bar, now: Monotonic) -> Identity {
    let score = dossier.nearest();
    let undecided = |reason| Identity::Undecided { reason: Some(reason) };
    let Some(fused) = dossier.evidence.fused() else { return undecided(Reason::BelowThreshold) };
    let (likeness, asked) = people.strangers.find(fused, taken, now);
    let met = likeness.filter(|like| asked.judge(like.score, like.ahead, &dossier.evidence) == Standing::Accepted);
    let alias = match met {
        Some(likeness) => Some(likeness.alias),
        None if dossier.is_strange(bar) => people.strangers.admit(&dossier.evidence, taken, now),
        None => None,
    };
    let Some(alias) = alias else { return undecided(Reason::BelowThreshold) };
    people.strangers.meet(&alias, Some(fused), now);
    taken.push(Arc::clone(&alias));
    Identity::Stranger { alias, score }
}

/// A stranger who was found to be another one, too, has that one's alias from then on.
fn keep_up(identity: &mut Identity, strangers: &Strangers) {
    if let Identity::Stranger { alias, .. } = identity
        && let Some(present) = strangers.present_alias(alias)
    {
        *alias = present;
    }
}

fn is_still_known(identity: &Identity, gallery: &Gallery) -> bool {
    match identity {
        Identity::Known { person, .. } => gallery.holds(person),
        _ => true,
    }
}

fn is_same(a: &Identity, b: &Identity) -> bool {
    match (a, b) {
        (Identity::Known { person: a, .. }, Identity::Known { person: b, .. })
        | (Identity::Stranger { alias: a, .. }, Identity::Stranger { alias: b, .. }) => a == b,
        _ => false,
    }
}

pub(super) fn change(old: Option<&Identity>, new: &Identity) -> Option<Change> {
    let is_decided = |identity: &Identity| !matches!(identity, Identity::Undecided { .. });
    match (old.filter(|old| is_decided(old)), is_decided(new)) {
        (None, true) => Some(Change::Identified),
        (Some(_), false) => Some(Change::Retracted),
        (Some(old), true) if !is_same(old, new) => Some(Change::Revised),
        _ => None,
    }
}
