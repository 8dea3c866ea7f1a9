//! Where events wait for a sink that is being started anew.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tracing::warn;

use crate::event::Event;
use crate::metrics::EVENTS_LOST;
use crate::sink::{Board, Forgotten, Settings, Sink, Snapshot, lock, mqtt};

/// Name of [`Parking`].
pub(super) const NAME: &str = "parking";

/// Keeps events for a sink that is being started anew. Full: the oldest is dropped, as in an outbox, and counted as that sink's.
pub(super) struct Parking {
    /// Whom for.
    sink: String,
    board: Arc<Board>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    /// So many of them, the oldest, the sink before was to deliver.
    inherited: usize,
}

/// A change-over takes seconds; a hundred busy cameras fill no more than this.
const PARKED: usize = 10_000;

/// Why events are lost where no sink follows.
const SHUTDOWN: &str = "shutdown";

impl Parking {
    /// Nothing yet, for the sink of this name.
    pub(super) fn new(sink: &str, board: &Arc<Board>) -> Self {
        Self { sink: sink.to_owned(), board: Arc::clone(board), waiting: Mutex::default() }
    }

    /// Takes what the sink before could not deliver: it is older than all that came since.
    pub(super) fn inherit(&self, left: Vec<Arc<Event>>) {
        let mut waiting = lock(&self.waiting);
        waiting.inherited += left.len();
        left.into_iter().rev().for_each(|event| waiting.events.push_front(event));
    }

    /// Nobody is there to take what came.
    pub(super) fn lose(&self) {
        self.count(self.take().len(), SHUTDOWN);
    }

    /// Nobody is wanted to take what came; but the sink before was to deliver what it left.
    pub(super) fn dissolve(&self) {
        let inherited = std::mem::take(&mut *lock(&self.waiting)).inherited;
        self.count(inherited, SHUTDOWN);
    }

    /// What came so far, oldest first.
    pub(super) fn take(&self) -> VecDeque<Arc<Event>> {
        std::mem::take(&mut *lock(&self.waiting)).events
    }

    fn count(&self, events: usize, reason: &'static str) {
        if events == 0 {
            return;
        }
        if self.sink == mqtt::NAME {
            self.board.by_mqtt.lost.fetch_add(events as u64, Ordering::Relaxed);
        }
        metrics::counter!(EVENTS_LOST, "sink" => self.sink.clone(), "reason" => reason).increment(events as u64);
        if reason == SHUTDOWN {
            warn!(sink = self.sink, events, "events lost: nobody is there to take them on");
        }
    }
}

impl Sink for Parking {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&self, event: &Arc<Event>) {
        let mut waiting = lock(&self.waiting);
        if waiting.events.len() >= PARKED {
            waiting.events.pop_front();
            waiting.inherited = waiting.inherited.saturating_sub(1);
            self.count(1, "queue_full");
        }
        waiting.events.push_back(Arc::clone(event));
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    fn forget(&self, whom: Forgotten<'_>) -> usize {
        whom.anonymise(lock(&self.waiting).events.iter_mut())
    }

    fn succeeded_by(&self, _: &Settings) {}

    fn close(&self, _: Instant) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;

    #[test]
    fn what_is_lost_while_a_sink_is_started_anew_is_counted_as_its_own() {
        let board = Arc::new(Board::new("boot".into()));
        let lost = || board.by_mqtt.lost.load(Ordering::Relaxed);
        let parked = |sink: &str, inherited: usize, came: usize| {
            let parking = Parking::new(sink, &board);
            parking.inherit(vec![fixture::event("front", 1); inherited]);
            (0..came).for_each(|_| parking.event(&fixture::event("front", 2)));
            parking
        };
        parked(mqtt::NAME, 2, 3).lose();
        assert_eq!(lost(), 5);
        parked(mqtt::NAME, 2, 3).dissolve();
        assert_eq!(lost(), 7, "what came since, nobody waits for");
        parked("webhook", 2, 3).lose();
        assert_eq!(lost(), 7);
        let full = parked(mqtt::NAME, 2, PARKED);
        assert_eq!((lost(), full.take().len()), (9, PARKED));
    }
}
