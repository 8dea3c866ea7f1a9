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
    book: Mutex<Book>,
    reached: watch::Sender<Reached>,
}

#[derive(Debug, Default)]
struct Book {
    events: VecDeque<Arc<Event>>,
    /// `boot_seq` of the newest event when all were erased the last time.
    erased: u64,
}

/// How far the history goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// `boot_seq` of the newest event; 0 before the first one.
    pub newest: u64,
    /// How often somebody was forgotten: what was read before may show them.
    pub forgotten: u64,
    /// There will be no more.
    pub closed: bool,
}

/// What came after an event.
#[derive(Debug, Default)]
pub struct Stretch {
    /// So many were erased on purpose …
    pub erased: u64,
    /// … so many are not remembered any more …
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
        (lock(&self.book).events.len(), MOST)
    }

    /// The events after the one with this `boot_seq`, `most` of them at most.
    pub fn after(&self, boot_seq: u64, most: usize) -> Stretch {
        let Book { events, erased } = &*lock(&self.book);
        let next = boot_seq.saturating_add(1);
        // whoever reads must come past what was erased, also where nothing came since
        let oldest =
            events.front().map_or_else(|| self.reached.borrow().newest.saturating_add(1), |event| event.boot_seq);
        let gone = oldest.saturating_sub(next);
        let erased = erased.saturating_sub(boot_seq).min(gone);
        let skipped = usize::try_from(next.saturating_sub(oldest)).unwrap_or(usize::MAX);
        Stretch { erased, lost: gone - erased, events: events.iter().skip(skipped).take(most).cloned().collect() }
    }
}

impl Sink for History {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn event(&self, event: &Arc<Event>) {
        let mut book = lock(&self.book);
        if book.events.len() == MOST {
            book.events.pop_front();
        }
        book.events.push_back(Arc::clone(event));
        drop(book);
        self.reached.send_modify(|reached| reached.newest = event.boot_seq);
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    /// With everybody all events go: they say who was where without a name, too.
    fn forget(&self, whom: Forgotten<'_>) -> usize {
        let mut book = lock(&self.book);
        let gone = match whom {
            Forgotten::Person(_) => whom.anonymise(book.events.iter_mut()),
            Forgotten::Everybody => {
                book.erased = self.reached.borrow().newest;
                std::mem::take(&mut book.events).len()
            }
        };
        drop(book);
        self.reached.send_modify(|reached| reached.forgotten += 1);
        gone
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
    fn what_was_erased_on_purpose_is_not_lost() {
        let history = History::default();
        (1..=3).for_each(|seq| history.event(&fixture::event("front", seq)));
        assert_eq!(history.forget(Forgotten::Everybody), 3);
        let gone = history.after(1, 9);
        assert_eq!((gone.erased, gone.lost, gone.events.len()), (2, 0, 0));
        (4..=MOST as u64 + 5).for_each(|seq| history.event(&fixture::event("front", seq)));
        let gone = history.after(1, 1);
        assert_eq!((gone.erased, gone.lost, seqs(&gone)), (2, 2, vec![6]));
        let rest = history.after(3, 1);
        assert_eq!((rest.erased, rest.lost, seqs(&rest)), (0, 2, vec![6]));
        assert_eq!(history.reached().borrow().forgotten, 1);
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
