//! Events that the broker has not acknowledged yet, oldest first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;
use crate::sink::Forgotten;

/// A bounded queue that an event leaves only once it was acknowledged. Full: the oldest event that is not on its way
/// is dropped, because after an outage the newest ones say what is going on.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    capacity: usize,
    /// Entries before this one are on their way; those from it on were not sent over the present connection.
    next: usize,
    /// Of the next event to come.
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    event: Arc<Event>,
    acknowledged: bool,
}

impl Outbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), capacity: capacity.max(1), next: 0, serial: 0 }
    }

    /// Takes an event. Returns whether another one (or, with all on their way, this one) had to be dropped for it.
    pub(super) fn push(&mut self, event: Arc<Event>) -> bool {
        self.entries.push_back(Entry { serial: self.serial, event, acknowledged: false });
        self.serial += 1;
        let full = self.entries.len() > self.capacity;
        if full {
            self.entries.remove(self.next);
        }
        full
    }

    /// The next event to send; it counts as on its way from now on.
    pub(super) fn send_next(&mut self) -> Option<(u64, Arc<Event>)> {
        let entry = self.entries.get(self.next)?;
        self.next += 1;
        Some((entry.serial, Arc::clone(&entry.event)))
    }

    /// The broker has the event. An out-of-order acknowledgement waits for those before it.
    pub(super) fn acknowledge(&mut self, serial: u64) {
        if let Ok(index) = self.entries.binary_search_by_key(&serial, |entry| entry.serial) {
            self.entries[index].acknowledged = true;
        }
        while self.entries.front().is_some_and(|entry| entry.acknowledged) {
            self.entries.pop_front();
            self.next = self.next.saturating_sub(1);
        }
    }

    /// Takes those who are forgotten out of the events that wait; one that is on its way is so too when it has to be sent
    /// again. Gives how many showed them.
    pub(super) fn forget(&mut self, whom: Forgotten<'_>) -> usize {
        whom.anonymise(self.entries.iter_mut().map(|entry| &mut entry.event))
    }

    /// The connection broke: whatever was not acknowledged is to be sent again, in order.
    pub(super) fn rewind(&mut self) {
        self.entries.retain(|entry| !entry.acknowledged);
        self.next = 0;
    }

    /// Events not yet acknowledged.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.entries.iter().take(self.next).filter(|entry| entry.acknowledged).count()
    }

    /// Empties it. Returns the events that were not acknowledged.
    pub(super) fn abandon(&mut self) -> Vec<Arc<Event>> {
        self.next = 0;
        self.entries.drain(..).filter(|entry| !entry.acknowledged).map(|entry| entry.event).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::fixture;

    fn outbox(capacity: usize, events: u64) -> Outbox {
        let mut outbox = Outbox::new(capacity);
        (1..=events).for_each(|seq| assert!(!outbox.push(fixture::event("front", seq))));
        outbox
    }

    fn send_all(outbox: &mut Outbox) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| outbox.send_next().map(|(serial, event)| (serial, event.seq))).collect()
    }

    #[test]
    fn an_event_leaves_on_acknowledgement_only() {
        let mut outbox = outbox(10, 3);
        let sent = send_all(&mut outbox);
        assert_eq!(outbox.len(), 3);
        outbox.acknowledge(sent[1].0);
        assert_eq!(outbox.len(), 2);
        outbox.rewind();
        assert_eq!(send_all(&mut outbox).iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn what_overflows_is_the_oldest_that_is_not_on_its_way() {
        let mut outbox = outbox(3, 3);
        let on_its_way = outbox.send_next().unwrap();
        assert!(outbox.push(fixture::event("front", 4)));
        assert_eq!(send_all(&mut outbox).iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [3, 4]);
        assert!(outbox.push(fixture::event("front", 5)));
        assert!(outbox.send_next().is_none());
        outbox.acknowledge(on_its_way.0);
        assert!(!outbox.push(fixture::event("front", 6)));
        assert_eq!(outbox.send_next().unwrap().1.seq, 6);
    }

    proptest! {
        /// Whatever happens in between, each event is acknowledged or dropped and counted, and order is kept.
        #[test]
        fn nothing_vanishes(steps in prop::collection::vec(0_u8..4, 0..400), capacity in 1_usize..12) {
            let mut outbox = Outbox::new(capacity);
            let (mut seq, mut lost, mut delivered) = (0_u64, 0_usize, 0_usize);
            let mut flying: Vec<(u64, u64)> = Vec::new();
            for step in steps {
                match step {
                    0 => { seq += 1; lost += usize::from(outbox.push(fixture::event("front", seq))); }
                    1 => if let Some((serial, event)) = outbox.send_next() {
                        prop_assert!(flying.last().is_none_or(|(_, last)| *last < event.seq));
                        flying.push((serial, event.seq));
                    },
                    2 => if !flying.is_empty() {
                        outbox.acknowledge(flying.remove(seq as usize % flying.len()).0);
                        delivered += 1;
                    },
                    _ => { flying.clear(); outbox.rewind(); }
                }
                prop_assert_eq!(outbox.len() + lost + delivered, seq as usize);
                prop_assert!(outbox.len() <= capacity);
            }
        }
    }
}
