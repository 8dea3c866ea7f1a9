//! The last events, for whoever comes back and asks what was missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;

use super::{Forgotten, Hub, Settings, Sink, Snapshot, lock};
use crate::event::Event;

/// Events that are remembered, some kilobytes each at most. Full: the oldest is forgotten, and whoever asks for it is told how
/// many are gone.
const MOST: usize = 10_000;

/// The last events of all cameras. Each of those who read has a place of its own in it, so that a slow one holds up neither
/// the others nor what publishes, and takes no memory.
#[derive(Debug, Default)]
pub struct History {
    events: Mutex<VecDeque<Arc<Event>>>,
    reached: watch::Sender<Reached>,
}

/// How far the history goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// `boot_seq` of the newest event; 0 before the first one.
    pub newest: u64,
    /// There will be no more.
    pub closed: bool,
}

/// What came after an event.
#[derive(Debug, Default)]
pub struct Stretch {
    /// So many are not remembered any more …
    pub lost: u64,
    /// … and then came these.
    pub events: Vec<Arc<Event>>,
}

impl History {
    /// Name of this sink.
    pub const NAME: &str = "history";

    /// Of what `hub` publishes from now on.
    pub fn of(hub: &Hub) -> Arc<Self> {
        let history = Arc::<Self>::default();
        hub.attach(Arc::<Self>::clone(&history));
        history
    }

    /// Says when there is something new.
    pub fn reached(&self) -> watch::Receiver<Reached> {
        self.reached.subscribe()
    }

    /// How many events are remembered, and how many can be at most.
    pub fn fill(&self) -> (usize, usize) {
        (lock(&self.events).len(), MOST)
    }

    /// The events after the one with this `boot_seq`, `most` of them at most.
    pub fn after(&self, boot_seq: u64, most: usize) -> Stretch {
        let events = lock(&self.events);
        let Some(oldest) = events.front().map(|event| event.boot_seq) else {
            // whoever reads must come past what was erased
            let lost = self.reached.borrow().newest.saturating_sub(boot_seq);
            return Stretch { lost, events: Vec::new() };
        };
        let skipped = usize::try_from((boot_seq + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let lost = oldest.saturating_sub(boot_seq + 1);
        Stretch { lost, events: events.iter().skip(skipped).take(most).cloned().collect() }
    }
}

impl Sink for History {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn event(&self, event: &Arc<Event>) {
        let mut events = lock(&self.events);
        if events.len() == MOST {
            events.pop_front();
        }
        events.push_back(Arc::clone(event));
        drop(events);
        self.reached.send_modify(|reached| reached.newest = event.boot_seq);
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    /// With everybody all events go: they say who was where without a name, too.
    fn forget(&self, whom: Forgotten<'_>) -> usize {
        let mut events = lock(&self.events);
        match whom {
            Forgotten::Person(_) => whom.anonymise(events.iter_mut()),
            Forgotten::Everybody => std::mem::take(&mut *events).len(),
        }
    }

    fn close(&self, _: Instant) {
        self.reached.send_modify(|reached| reached.closed = true);
    }

    fn succeeded_by(&self, _: &Settings) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::recognise::Identity;

    fn seqs(stretch: &Stretch) -> Vec<u64> {
        stretch.events.iter().map(|event| event.boot_seq).collect()
    }

    #[test]
    fn what_came_after_an_event_is_there_until_it_is_too_long_ago() {
        let history = History::default();
        let mut reached = history.reached();
        assert!(history.after(0, 9).events.is_empty());
        (1..=3).for_each(|seq| history.event(&fixture::event("front", seq)));
        assert!(reached.has_changed().unwrap() && reached.borrow_and_update().newest == 3);
        assert_eq!(seqs(&history.after(0, 9)), [1, 2, 3]);
        assert_eq!(seqs(&history.after(1, 1)), [2]);
        assert!(seqs(&history.after(3, 9)).is_empty() && seqs(&history.after(u64::MAX - 1, 9)).is_empty());

        (4..=MOST as u64 + 3).for_each(|seq| history.event(&fixture::event("front", seq)));
        assert_eq!(history.fill(), (MOST, MOST));
        let (gone, whole) = (history.after(1, 2), history.after(3, 1));
        assert_eq!((gone.lost, seqs(&gone)), (2, vec![4, 5]));
        assert_eq!((whole.lost, seqs(&whole)), (0, vec![4]));
        history.close(Instant::now());
        assert!(reached.borrow().closed);
    }

    #[test]
    fn a_person_who_is_forgotten_is_forgotten_here() {
        let history = History::default();
        let alice = Identity::Known { person: "alice".into(), name: "Alice".into(), score: 0.7, margin: None };
        history.event(&Arc::new(Event { identity: (&alice).into(), ..fixture::event("front", 1).as_ref().clone() }));
        history.forget(Forgotten::Person("bob"));
        assert!(history.after(0, 1).events[0].shows("alice"));
        history.forget(Forgotten::Person("alice"));
        let kept = history.after(0, 1).events;
        assert!(!kept[0].shows("alice") && kept[0].identity.name.is_none() && kept[0].boot_seq == 1);
    }
}
