//! What must happen to events one after the other: their numbers, who of them may be shown, and to whom they go.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Board, Sink};
use super::parking::Parking;
use crate::clock::Monotonic;
use crate::event::{Event, Number, TrackNumbers};

/// What the lock guards: counters and the fan-out belong together, or two cameras' events could overtake each other.
/// Counters of a camera stay when it goes, since it may come back within the boot.
#[derive(Default)]
pub(super) struct Order {
    boot_seq: u64,
    seq: BTreeMap<Arc<str>, u64>,
    pub(super) tracks: BTreeMap<Arc<str>, TrackNumbers>,
    /// How often pictures were withdrawn, of any camera, and the number of a camera's last time.
    pub(super) withdrawals: u64,
    pub(super) withdrawn: BTreeMap<String, u64>,
    pub(super) sinks: Vec<Arc<dyn Sink>>,
    /// Those that are being closed: they get nothing more, and must forget nevertheless.
    leaving: Vec<Arc<dyn Sink>>,
    /// Who may be shown: whoever was forgotten a moment ago may still be named by what was under way then. Without it all.
    pub(super) known: Option<Known>,
    /// The number of the withdrawal by which everybody was forgotten the last time.
    pub(super) erased: u64,
    /// And when that was.
    pub(super) erased_at: Option<Monotonic>,
}

/// Whether somebody is known, by id.
type Known = Box<dyn Fn(&str) -> bool + Send>;

impl Order {
    pub(super) fn knows(&self, person: &str) -> bool {
        self.known.as_ref().is_none_or(|known| known(person))
    }

    pub(super) fn without_unknown(&self, event: Arc<Event>) -> Arc<Event> {
        match &event.identity.person {
            Some(person) if !self.knows(person) => Arc::new(event.anonymous()),
            _ => event,
        }
    }

    pub(super) fn next(&mut self, camera: &Arc<str>, board: &Board) -> Number {
        self.boot_seq += 1;
        let seq = self.seq.entry(Arc::clone(camera)).or_default();
        *seq += 1;
        Number { boot_id: Arc::clone(board.boot_id()), seq: *seq, boot_seq: self.boot_seq }
    }

    /// Every sink that may still show something.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<dyn Sink>> {
        self.sinks.iter().chain(&self.leaving)
    }

    /// Takes the sinks called `name` out, to be closed; events wait in `parking` meanwhile.
    pub(super) fn park(&mut self, name: &str, parking: &Arc<Parking>) -> Vec<Arc<dyn Sink>> {
        let old = self.replace(name, Some(Arc::<Parking>::clone(parking)));
        self.leaving.clone_from(&old);
        old
    }

    /// From now on nobody gets anything more. Gives those that are to be closed, or are being closed already.
    pub(super) fn dismiss(&mut self) -> Vec<Arc<dyn Sink>> {
        self.leaving.append(&mut self.sinks);
        self.leaving.clone()
    }

    /// What closed sinks could not deliver waits with what came since.
    pub(super) fn pass_on(&mut self, parking: &Parking) {
        parking.inherit(self.leaving.drain(..).flat_map(|sink| sink.bequeath()).collect());
    }

    /// Takes the sinks called `name` out, puts `new` in, and returns those taken out.
    pub(super) fn replace(&mut self, name: &str, new: Option<Arc<dyn Sink>>) -> Vec<Arc<dyn Sink>> {
        let (gone, kept) = std::mem::take(&mut self.sinks).into_iter().partition(|sink| sink.name() == name);
        self.sinks = kept;
        self.sinks.extend(new);
        gone
    }
}
