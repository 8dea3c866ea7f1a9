//! Removal: people and references go, and their numbers are overwritten once no search sees them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Gallery, Writer};
use crate::recognise::gallery::person::{Person, PersonId, Reference};
use crate::recognise::gallery::segment::Label;
use crate::recognise::gallery::snapshot::Snapshot;

/// How long a removal waits for searches that still see what goes; the next change or sweep looks again.
const LAST_READERS: Duration = Duration::from_millis(200);

impl Gallery {
    /// Removes the person and everything of theirs. Once this returns no new search sees them, and their numbers are
    /// overwritten unless a search that began before takes very long. `false`: there was nobody of this id.
    pub fn forget(&self, person: &str) -> bool {
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let known = next.people.get(person).is_some();
        if known {
            self.drop_people(&mut next, &BTreeSet::from([person]));
            self.publish(&mut writer, next);
            wait_for_readers(&mut writer);
        }
        known
    }

    /// Removes everybody.
    pub fn forget_all(&self) {
        let mut writer = self.lock();
        let revision = self.0.current.load().revision;
        self.publish(&mut writer, Snapshot { revision, ..Snapshot::default() });
        wait_for_readers(&mut writer);
    }

    /// Removes single references or anchors; a person who has no reference left goes as a whole, unless made by name
    /// alone. Gives how many there were.
    pub fn remove(&self, references: &[u64]) -> usize {
        let gone: BTreeSet<u64> = references.iter().copied().collect();
        let mut writer = self.lock();
        let mut next = Snapshot::clone(&self.0.current.load());
        let listed = |list: &[Reference]| list.iter().filter(|reference| gone.contains(&reference.id)).count();
        let touched: Vec<_> =
            next.people.iter().filter(|p| listed(&p.references) + listed(&p.anchors) > 0).cloned().collect();
        let removed = touched.iter().map(|p| listed(&p.references) + listed(&p.anchors)).sum();
        if removed == 0 {
            return 0;
        }
        let mut empty = BTreeSet::new();
        for person in &touched {
            let mut rest = Person::clone(person);
            rest.references.retain(|reference| !gone.contains(&reference.id));
            rest.anchors.retain(|anchor| !gone.contains(&anchor.id));
            if rest.references.is_empty() && !rest.declared {
                empty.insert(&*person.id);
            }
            next.put(Arc::new(rest));
        }
        self.drop_rows(&mut next, |label| gone.contains(&label.reference));
        if !empty.is_empty() {
            self.drop_people(&mut next, &empty);
        }
        self.publish(&mut writer, next);
        wait_for_readers(&mut writer);
        removed
    }

    /// Removes people whose time is over, and frees what searches have let go of. Meant to be called once a second.
    pub fn sweep(&self, now: SystemTime) -> Vec<PersonId> {
        let mut writer = self.lock();
        writer.bury();
        let snapshot = self.0.current.load();
        let expired = snapshot.expired(now);
        if !expired.is_empty() {
            let mut next = Snapshot::clone(&snapshot);
            drop(snapshot);
            self.drop_people(&mut next, &expired.iter().map(|id| &**id).collect());
            self.publish(&mut writer, next);
            wait_for_readers(&mut writer);
        }
        expired
    }

    fn drop_people(&self, next: &mut Snapshot, gone: &BTreeSet<&str>) {
        self.drop_rows(next, |label| gone.contains(&*label.owner));
        gone.iter().for_each(|person| next.people.remove(person));
        next.note_expiry();
    }

    fn drop_rows(&self, next: &mut Snapshot, gone: impl Fn(&Label) -> bool) {
        let dimension = self.0.settings.dimension;
        let dropped = next.references.labels().filter(|label| gone(label));
        next.own = dropped.fold(next.own, |own, label| own.minus(label.own));
        next.references = next.references.without(dimension, &gone);
        next.anchors = next.anchors.without(dimension, &gone);
    }
}

fn wait_for_readers(writer: &mut Writer) {
    let deadline = Instant::now() + LAST_READERS;
    writer.bury();
    while !writer.retired.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
        writer.bury();
    }
}
