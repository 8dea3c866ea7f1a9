//! The list of live tracks, and their life cycle: opened, matched or missed, confirmed, ended.

use std::time::Duration;

use super::{Track, TrackState};
use crate::detect::Detection;
use crate::geometry::{Point, Rect};

/// Live tracks with what an algorithm keeps beside each (`M`, its motion model). Vectors are reused: nothing is
/// allocated once they have held the largest crowd.
#[derive(Debug)]
pub struct Roster<M> {
    tracks: Vec<Track>,
    notes: Vec<Note<M>>,
    ended: Vec<Track>,
    issued: u64,
}

#[derive(Debug)]
struct Note<M> {
    motion: M,
    announced: bool,
    condemned: bool,
}

impl<M> Default for Roster<M> {
    fn default() -> Self {
        Self { tracks: Vec::new(), notes: Vec::new(), ended: Vec::new(), issued: 0 }
    }
}

impl<M> Roster<M> {
    /// Begins an analysis: nothing has ended in it, and nothing been matched.
    pub fn begin(&mut self) {
        self.ended.clear();
        self.tracks.iter_mut().for_each(|track| track.detection = None);
    }

    /// Opens a tentative track at a detection that no track explains; its index.
    pub fn open(&mut self, detection: &Detection, at: Duration, motion: M) -> usize {
        self.issued += 1;
        self.tracks.push(Track {
            id: self.issued,
            rect: detection.rect,
            velocity: Point::default(),
            state: TrackState::Tentative,
            detection: Some(*detection),
            score: detection.score,
            first_seen: at,
            last_seen: at,
            hits: 1,
        });
        // All may end at once: room is made now and not then.
        self.ended.reserve(self.tracks.len());
        self.notes.push(Note { motion, announced: false, condemned: false });
        self.tracks.len() - 1
    }

    /// Notes that track `index` was seen as `detection`. Its state is the algorithm's to change.
    pub fn hit(&mut self, index: usize, detection: &Detection, at: Duration) {
        let track = &mut self.tracks[index];
        track.detection = Some(*detection);
        track.score = detection.score;
        track.last_seen = at;
        track.hits = track.hits.saturating_add(1);
    }

    /// Announces track `index`.
    pub fn confirm(&mut self, index: usize) {
        self.tracks[index].state = TrackState::Confirmed;
        self.notes[index].announced = true;
    }

    /// Takes track `index` out of what is followed at present: lost where it was once announced, tentative otherwise.
    pub fn suspend(&mut self, index: usize) {
        let announced = self.notes[index].announced;
        self.tracks[index].state = if announced { TrackState::Lost } else { TrackState::Tentative };
    }

    /// Says where track `index` is, and how it moves.
    pub fn place(&mut self, index: usize, rect: Rect, velocity: Point) {
        self.tracks[index].rect = rect;
        self.tracks[index].velocity = velocity;
    }

    /// Ends every track that `keep` refuses; those that had been announced are then in [`Roster::ended`].
    pub fn sweep(&mut self, mut keep: impl FnMut(&Track, &M) -> bool) {
        for index in self.indices() {
            self.notes[index].condemned = !keep(&self.tracks[index], &self.notes[index].motion);
        }
        self.bury();
    }

    /// Ends every track that `superseded` finds to be so in sight of all others.
    pub fn sweep_among(&mut self, superseded: impl Fn(&Track, &[Track]) -> bool) {
        for index in self.indices() {
            self.notes[index].condemned = superseded(&self.tracks[index], &self.tracks);
        }
        self.bury();
    }

    fn bury(&mut self) {
        let mut kept = 0;
        for index in self.indices() {
            if !self.notes[index].condemned {
                self.tracks.swap(kept, index);
                self.notes.swap(kept, index);
                kept += 1;
            } else if self.notes[index].announced {
                self.ended.push(Track { state: TrackState::Lost, ..self.tracks[index].clone() });
            }
        }
        self.tracks.truncate(kept);
        self.notes.truncate(kept);
    }

    /// Indices of the live tracks, good until the next [`Roster::open`] or [`Roster::sweep`].
    pub fn indices(&self) -> std::ops::Range<usize> {
        0..self.tracks.len()
    }

    /// Live tracks, oldest first.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Announced tracks that ended in this analysis.
    pub fn ended(&self) -> &[Track] {
        &self.ended
    }

    /// What the algorithm keeps beside track `index`.
    pub fn motion(&self, index: usize) -> &M {
        &self.notes[index].motion
    }

    /// The same, to be changed.
    pub fn motion_mut(&mut self, index: usize) -> &mut M {
        &mut self.notes[index].motion
    }
}
