//! What is known of one track.

use std::time::Duration;

use super::continuity::{Continuity, Sighting};
use super::decide::{Bar, STRANGER_AFTER, Standing};
use super::fusion::{Crop, Evidence, Pose};
use super::gallery::{Gallery, Hit, Ranking};
use super::rejoin::Departed;
use super::schedule::{Offer, Schedule, Urgency};
use super::vigil::Proof;
use super::{Embedding, Identity, Quality, Reason};
use crate::clock::Monotonic;

/// A face counts as having been usable all the time between two analyses this far apart.
const USABLE_GAP: Duration = Duration::from_millis(500);
/// A stranger who scores almost like somebody of the gallery is looked at for this many times as long.
const LONGER: u32 = 2;

/// One track over its life.
#[derive(Debug)]
pub struct Dossier {
    /// Who it is, as it was last told.
    pub identity: Identity,
    /// Faces of it that are one person's.
    pub evidence: Evidence,
    /// The gallery's people most like the evidence; `None` where it has to be searched (again).
    pub ranking: Option<Ranking>,
    /// Fitness of its face in this analysis.
    pub quality: Option<Quality>,
    /// Whether the tracker follows it at present.
    pub present: bool,
    /// Its last detection.
    pub at: Duration,
    continuity: Continuity,
    schedule: Schedule,
    usable: Duration,
    last_usable: Option<Duration>,
    unclear: u32,
    new: bool,
    /// The last face was not the track's, and something else speaks against its being the same person too.
    contradicted: bool,
    /// Why the last usable face was none, while nothing better is known.
    refused: Option<Reason>,
    /// What its last face said by itself.
    proof: Option<Proof>,
    /// How often its face is embedded because the person may go unmasked.
    watched: Option<Duration>,
}

impl Default for Dossier {
    fn default() -> Self {
        Self {
            identity: Identity::Undecided { reason: None },
            evidence: Evidence::default(),
            ranking: None,
            quality: None,
            present: false,
            at: Duration::ZERO,
            continuity: Continuity::default(),
            schedule: Schedule::default(),
            usable: Duration::ZERO,
            last_usable: None,
            unclear: 0,
            new: false,
            contradicted: false,
            refused: None,
            proof: None,
            watched: None,
        }
    }
}

/// What an embedding says of the track it was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The same person as before, or the first face at all.
    Same,
    /// Another person: what was known before is of somebody else.
    Other,
    /// Nothing for sure.
    Unclear,
}

/// Whom a face looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// The person whose name the track has.
    Own,
    /// Another person of the gallery, or another track, be it here or away.
    Another,
    /// Nobody.
    None,
}

/// What follows from the gallery alone.
#[derive(Clone, Debug)]
pub enum Proposal {
    /// It is this person, this far ahead of the next.
    Known(Hit, Option<f32>),
    /// It cannot be told yet.
    Undecided(Option<Reason>),
    /// It is nobody of the gallery.
    Nobody,
}

impl Dossier {
    /// From now on its face is embedded at least so often, where that is possible.
    pub fn watch(&mut self, every: Option<Duration>) {
        self.watched = every;
    }

    /// Takes in a detection; says how urgently its face should be embedded, if it should.
    pub fn see(&mut self, sighting: Sighting, quality: Quality, pose: Option<Pose>) -> Option<Urgency> {
        self.at = sighting.at;
        self.quality = Some(quality);
        self.continuity.see(sighting);
        self.refused = quality.reason;
        let pose = pose.filter(|_| quality.reason.is_none())?;
        let since = self.last_usable.map_or(Duration::ZERO, |last| sighting.at.saturating_sub(last));
        if since <= USABLE_GAP && !self.continuity.is_doubtful() {
            self.usable += since;
        }
        self.last_usable = Some(sighting.at);
        self.schedule.wants(&self.offer(quality, pose))
    }

    fn offer(&self, quality: Quality, pose: Pose) -> Offer {
        Offer {
            at: self.at,
            quality: quality.score,
            new_pose: !self.evidence.has(pose),
            first: self.evidence.crops() == 0,
            decided: !matches!(self.identity, Identity::Undecided { .. }),
            doubtful: self.is_doubtful(),
            urgent: self.continuity.is_urgent() || self.unclear > 0,
            watched: self.watched,
        }
    }

    /// Notes that its face is being embedded, whatever comes of it.
    pub fn note_attempt(&mut self, pose: Pose) {
        if let Some(quality) = self.quality {
            self.schedule.note(&self.offer(quality, pose));
        }
    }

    /// Whether a face that was found in the track's box is the track's. `likeness` says whom else it looks like.
    pub fn compare(&mut self, crop: &Crop, bar: &Bar, likeness: Likeness) -> Finding {
        self.proof = None;
        let Some(fused) = self.evidence.fused() else { return Finding::Same };
        let cosine = fused.cosine(&crop.embedding);
        let doubtful = self.continuity.is_doubtful();
        let (same, differs) = (bar.agrees(cosine), bar.differs(cosine));
        if same || likeness == Likeness::Own || !doubtful && !differs {
            return Finding::Same;
        }
        self.unclear += 1;
        self.contradicted = doubtful && differs;
        // Half a face behind somebody, or a grimace, looks like nobody: what is known of the track is kept for a while.
        let patience = match (doubtful, differs) {
            _ if differs && likeness == Likeness::Another => 1,
            (true, true) => 2,
            (true, false) => 3,
            (false, _) => 4,
        };
        if self.unclear >= patience { Finding::Other } else { Finding::Unclear }
    }

    /// Whether `face` is much like what is known of the track.
    pub fn looks_like(&self, face: &Embedding, bar: &Bar) -> bool {
        self.evidence.fused().is_some_and(|fused| bar.agrees(fused.cosine(face)))
    }

    /// Takes in a face that is the track's.
    pub fn learn(&mut self, crop: &Crop) {
        self.evidence.add(crop);
        self.ranking = None;
        self.continuity.settle();
        self.unclear = 0;
        self.contradicted = false;
        self.new = self.evidence.crops() == 1;
    }

    /// What a face says by itself of who is in the box; that it is nobody of the gallery only where it is the same nobody.
    pub(super) fn says_by_itself(&self, crop: &Crop, gallery: &Gallery, bar: &Bar) -> Option<Proof> {
        let proof = Proof::of(&crop.embedding, crop.at, gallery, bar)?;
        (proof.names_somebody() || self.looks_like(&crop.embedding, bar)).then_some(proof)
    }

    /// Notes what the face that was taken in last says by itself.
    pub(super) fn prove(&mut self, proof: Option<Proof>) {
        self.proof = proof;
    }

    /// What says for certain, at present, that its identity is the right one.
    pub(super) fn proof(&self, revision: u64) -> Option<&Proof> {
        let certain = self.present && !self.is_doubtful();
        self.proof.as_ref().filter(|proof| certain && proof.is_for(&self.identity, revision))
    }

    /// Gives up what is known of the track's person, for the memory; the identity stays until the next decision.
    pub fn depart(&mut self, track: Option<u64>, since: Monotonic) -> Departed {
        let departed = Departed {
            track,
            identity: self.identity.clone(),
            evidence: std::mem::take(&mut self.evidence),
            usable: std::mem::take(&mut self.usable),
            since,
        };
        self.ranking = None;
        self.proof = None;
        self.unclear = 0;
        self.contradicted = false;
        self.last_usable = None;
        departed
    }

    /// The box shows somebody else from now on, of whom `crop` is the first face.
    pub fn restart(&mut self, crop: &Crop) {
        self.identity = Identity::Undecided { reason: None };
        self.schedule.restart();
        self.learn(crop);
    }

    /// Something outside of the track speaks against who it is: the next face is looked at at once.
    pub fn suspect(&mut self) {
        self.continuity.suspect(self.at);
    }

    /// Whether the box may show somebody else than what is known of.
    pub fn is_doubtful(&self) -> bool {
        self.continuity.is_doubtful() || self.unclear > 0
    }

    /// Whether its first face has just been seen: it may be that of a track that went away. Asked once.
    pub fn is_new(&mut self) -> bool {
        std::mem::take(&mut self.new)
    }

    /// Takes over what was known of the same person.
    pub fn resume(&mut self, departed: Departed) {
        self.evidence.absorb(departed.evidence);
        self.usable += departed.usable;
        self.identity = departed.identity;
        self.ranking = None;
    }

    /// What the gallery says. A name that was given is kept with some slack; while the box may show somebody else
    /// nothing new is decided.
    pub fn propose(&self, bar: &Bar) -> Proposal {
        let doubtful = self.continuity.is_doubtful();
        if self.evidence.crops() == 0 || self.contradicted || self.continuity.is_broken(self.at) {
            return Proposal::Undecided(self.refused);
        }
        let Some(Ranking { first: Some(first), second, .. }) = &self.ranking else { return self.nobody(doubtful) };
        let ahead = second.as_ref().map(|second| first.score - second.score);
        if let Identity::Known { person, .. } = &self.identity {
            if *first.person.id == **person {
                return if bar.keeps(first.score) { Proposal::Known(first.clone(), ahead) } else { self.nobody(false) };
            }
            let second = second.as_ref().filter(|second| *second.person.id == **person && bar.keeps(second.score));
            if let Some(second) = second.filter(|second| first.score - second.score < bar.margin) {
                return Proposal::Known(second.clone(), Some(second.score - first.score));
            }
        }
        match bar.judge(first.score, ahead, &self.evidence) {
            _ if doubtful => self.nobody(true),
            Standing::Accepted => Proposal::Known(first.clone(), ahead),
            Standing::Open => Proposal::Undecided(None),
            Standing::Ambiguous => Proposal::Undecided(Some(Reason::Ambiguous)),
            Standing::Below => self.nobody(doubtful),
        }
    }

    /// An alias stays while the box may show somebody else; nothing new is decided.
    fn nobody(&self, doubtful: bool) -> Proposal {
        match &self.identity {
            Identity::Undecided { reason } if doubtful => Proposal::Undecided(self.refused.or(*reason)),
            Identity::Known { .. } if doubtful => Proposal::Undecided(self.refused),
            _ => Proposal::Nobody,
        }
    }

    /// Whether enough was seen to call somebody who is `nobody` of the gallery a stranger.
    pub fn is_strange(&self, bar: &Bar) -> bool {
        let nearly = self.nearest().is_some_and(|score| bar.keeps(score));
        let asked = if nearly { STRANGER_AFTER * LONGER } else { STRANGER_AFTER };
        self.usable >= asked && self.evidence.crops() >= 2
    }

    /// Cosine to the nearest person of the gallery.
    pub fn nearest(&self) -> Option<f32> {
        self.ranking.as_ref()?.first.as_ref().map(|first| first.score)
    }

    /// The alias that it goes by.
    pub fn alias(&self) -> Option<&std::sync::Arc<str>> {
        match &self.identity {
            Identity::Stranger { alias, .. } => Some(alias),
            _ => None,
        }
    }

    /// The person whose name it has.
    pub fn person(&self) -> Option<&std::sync::Arc<str>> {
        match &self.identity {
            Identity::Known { person, .. } => Some(person),
            _ => None,
        }
    }
}
