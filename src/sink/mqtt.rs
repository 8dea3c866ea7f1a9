//! MQTT: events with QoS 1 out of a bounded outbox, states on retained topics, switches in.
//!
//! A thread `sink-mqtt` owns the connection. The hub only puts events into the outbox and wakes it, so that no camera
//! ever waits for a broker. What is to stand on retained topics is derived from the board each time it changes
//! (`states`), and published again after each reconnect.
//!
//! Exactness is kept here and not in rumqttc: its event loop forgets unacknowledged publishes when the broker kept no
//! session, and can wedge on a packet id. Each connection therefore gets a fresh one with a clean session, an event
//! leaves the outbox on its PUBACK alone, and after a reconnect the outbox is sent again from its first event: no hole,
//! no disorder, and twice only what was on its way when the connection broke.

mod config;
mod connection;
mod discovery;
mod outbox;
mod people;
mod standing;
mod states;
mod tls;
mod topics;
mod worker;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use tokio::sync::Notify;
use tracing::warn;

use super::snapshot::drop_one;
use super::{Board, Context, Forgotten, Sink, Snapshot, lock};
use crate::event::Event;
use crate::fault::Fault;
use crate::metrics::EVENTS_LOST;
use config::Place;
use outbox::Outbox;
use people::Desk;
use worker::Worker;

pub use config::{BrokerUrl, CREDENTIAL, Config, Settings};

/// Name of this sink.
pub const NAME: &str = "mqtt";

/// Best shots that wait for a broker that is away, or slow.
const SNAPSHOTS: usize = 32;

/// What the thread may take beyond a deadline to notice it.
const GRACE: Duration = Duration::from_millis(200);

/// Starts the sink where `settings` name a broker. That it cannot be reached is no fault: the outbox fills meanwhile.
pub fn open(settings: &super::Settings, context: &Context) -> Result<Option<Arc<dyn Sink>>, Fault> {
    let Some(settings) = &settings.mqtt else { return Ok(None) };
    let shared = Arc::new(Shared {
        outbox: Mutex::new(Outbox::new(settings.outbox)),
        wake: Notify::new(),
        board_changed: AtomicBool::new(true),
        closing: Mutex::new(None),
        overflowing: AtomicBool::new(false),
        board: Arc::clone(&context.board),
        desk: Desk::default(),
        clearing: AtomicBool::new(false),
        has_heir: AtomicBool::new(false),
        snapshots: Mutex::default(),
    });
    // a counter's first step is no increase to whoever had not seen it before
    shared.lose(0, "outbox_full");
    let place = settings.place();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::unavailable(format!("cannot start the runtime of sink-mqtt: {e}")))?;
    let (end, done) = bounded(0);
    let worker = Worker::new(settings.clone(), context.clone(), Arc::clone(&shared));
    let work = move || {
        let _end = end;
        runtime.block_on(worker.run());
        // A name's look-up that hangs must not keep the thread.
        runtime.shutdown_background();
    };
    std::thread::Builder::new()
        .name("sink-mqtt".to_owned())
        .spawn(work)
        .map_err(|e| Fault::internal(format!("cannot start the thread sink-mqtt: {e}")))?;
    Ok(Some(Arc::new(MqttSink { shared, done, place })))
}

/// What the hub's side and the thread share.
struct Shared {
    /// Full: the oldest event that is not on its way is dropped, counted, and the count is published.
    outbox: Mutex<Outbox>,
    wake: Notify,
    board_changed: AtomicBool,
    /// Set once, when the sink is to end.
    closing: Mutex<Option<Instant>>,
    /// Said once for each time that the outbox fills up.
    overflowing: AtomicBool,
    /// Counts what becomes of events.
    board: Arc<Board>,
    /// Bounded on both ways; what does not fit is refused, and whoever asked is told.
    desk: Desk,
    /// Best shots that wait for the broker. Full: the oldest is dropped, and counted.
    snapshots: Mutex<VecDeque<Arc<Snapshot>>>,
    /// Nobody will look after the retained topics: they go with the sink.
    clearing: AtomicBool,
    /// Another sink will take over what could not be delivered.
    has_heir: AtomicBool,
}

impl Shared {
    fn lose(&self, events: u64, reason: &'static str) {
        self.board.by_mqtt.lost.fetch_add(events, Ordering::Relaxed);
        metrics::counter!(EVENTS_LOST, "sink" => NAME, "reason" => reason).increment(events);
    }

    fn closing(&self) -> Option<Instant> {
        *lock(&self.closing)
    }
}

struct MqttSink {
    shared: Arc<Shared>,
    done: Receiver<()>,
    place: Place,
}

impl Sink for MqttSink {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&self, event: &Arc<Event>) {
        if lock(&self.shared.outbox).push(Arc::clone(event)) {
            self.shared.lose(1, "outbox_full");
            if !self.shared.overflowing.swap(true, Ordering::Relaxed) {
                warn!("mqtt outbox is full: the oldest events are lost until the broker takes more");
            }
        }
        self.shared.wake.notify_one();
    }

    fn snapshot(&self, snapshot: &Arc<Snapshot>) {
        let mut waiting = lock(&self.shared.snapshots);
        if waiting.len() == SNAPSHOTS
            && let Some(oldest) = waiting.pop_front()
        {
            drop_one(&oldest.camera, "queue_full");
        }
        waiting.push_back(Arc::clone(snapshot));
        drop(waiting);
        self.shared.wake.notify_one();
    }

    fn withdraw(&self, camera: &str) {
        lock(&self.shared.snapshots).retain(|snapshot| *snapshot.camera != *camera);
    }

    fn changed(&self) {
        self.shared.board_changed.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }

    fn forget(&self, whom: Forgotten<'_>) -> usize {
        let events = lock(&self.shared.outbox).forget(whom);
        let mut waiting = lock(&self.shared.snapshots);
        let before = waiting.len();
        waiting.retain(|snapshot| !whom.has(snapshot.person.as_deref()));
        events + before - waiting.len()
    }

    fn succeeded_by(&self, settings: &super::Settings) {
        let same_place = settings.mqtt.as_ref().is_some_and(|successor| successor.place() == self.place);
        self.shared.clearing.store(!same_place, Ordering::Relaxed);
        self.shared.has_heir.store(settings.mqtt.is_some(), Ordering::Relaxed);
    }

    fn close(&self, deadline: Instant) {
        *lock(&self.shared.closing) = Some(deadline);
        self.shared.wake.notify_one();
        // The thread keeps the deadline itself; this waits for its word, and only for that long.
        let in_time = !self.done.recv_deadline(deadline + GRACE).is_err_and(|e| e.is_timeout());
        if !self.shared.has_heir.load(Ordering::Relaxed) {
            let left = self.bequeath().len() as u64;
            if left > 0 {
                self.shared.lose(left, "shutdown");
                warn!(events = left, "events lost: the broker did not take them before the end");
            }
        }
        lock(&self.shared.snapshots).drain(..).for_each(|snapshot| drop_one(&snapshot.camera, "shutdown"));
        if !in_time {
            warn!("the mqtt connection did not end in time");
        }
    }

    fn bequeath(&self) -> Vec<Arc<Event>> {
        lock(&self.shared.outbox).abandon()
    }
}
