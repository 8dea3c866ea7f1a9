//! Where events wait for a sink that is being started anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::event::Event;
use crate::metrics::EVENTS_LOST;
use crate::sink::{Forgotten, Settings, Sink, Snapshot, lock};

/// Name of [`Parking`].
pub(super) const NAME: &str = "parking";

/// Keeps events for a sink that is being started anew. Full: the oldest is dropped, as in an outbox.
#[derive(Default)]
pub(super) struct Parking {
    events: Mutex<VecDeque<Arc<Event>>>,
}

/// A change-over takes seconds; a hundred busy cameras fill no more than this.
const PARKED: usize = 10_000;

impl Parking {
    /// Takes what the sink before could not deliver: it is older than all that came since.
    pub(super) fn inherit(&self, left: Vec<Arc<Event>>) {
        let mut events = lock(&self.events);
        left.into_iter().rev().for_each(|event| events.push_front(event));
    }

    /// Nobody is there to take what came.
    pub(super) fn lose(&self, sink: &str) {
        let labels = [("sink", sink.to_owned()), ("reason", "shutdown".to_owned())];
        metrics::counter!(EVENTS_LOST, &labels).increment(self.take().len() as u64);
    }

    /// What came so far, oldest first.
    pub(super) fn take(&self) -> VecDeque<Arc<Event>> {
        std::mem::take(&mut *lock(&self.events))
    }
}

impl Sink for Parking {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&self, event: &Arc<Event>) {
        let mut events = lock(&self.events);
        if events.len() >= PARKED {
            events.pop_front();
            metrics::counter!(EVENTS_LOST, "sink" => NAME, "reason" => "queue_full").increment(1);
        }
        events.push_back(Arc::clone(event));
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    fn forget(&self, whom: Forgotten<'_>) -> usize {
        whom.anonymise(lock(&self.events).iter_mut())
    }

    fn succeeded_by(&self, _: &Settings) {}

    fn close(&self, _: Instant) {}
}
