//! Where events go: one file a sink, one table line.
//!
//! [`Hub`] numbers each event once, under one lock, and hands it to every sink in that order. A [`Sink`] never makes it
//! wait: each has a bounded queue of its own and counts what that cannot hold. What is not an event (a camera's status,
//! its faces, its switches) stands on the [`Board`]; a sink reads from there what it wants to say.

mod appearances;
mod board;
mod history;
mod hub;
mod jpeg;
pub mod log;
pub mod mqtt;
mod person;
mod presence;
mod preview;
pub mod restream;
mod snapshot;
mod subjects;
mod switch;
mod video;
mod vitals;
pub mod webhook;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::event::Event;
use crate::fault::Fault;

pub use appearances::{Appearance, Appearances, End, Held, Summary, Who};
pub use board::{Audited, Board, CameraState, CameraStats, CameraStatus, GalleryStats};
pub use history::{History, Reached, Stretch};
pub use hub::Hub;
pub use person::{Erased, Forgotten, Looked, PersonAnswer, PersonCommand, PersonWish};
pub use presence::{PersonState, Presence};
pub use preview::{Detail, Keenness, Previews, Screen, Shown, Still, Viewer, Viewfinder, no_picture};
pub use snapshot::{Lens, Photographer, Snapshot, Snapshots, Studio};
pub use subjects::{GRACE, Subject, Subjects};
pub use switch::{SWITCHES, Switch, SwitchCommand, SwitchLine, SwitchWishes};
pub use video::VideoTaker;
pub use vitals::{Rates, Vitals};

/// A receiver of events and of the board's changes. Both calls come under the hub's lock: they must not block.
pub trait Sink: Send + Sync {
    /// Its name in [`SINKS`], in logs and in metrics.
    fn name(&self) -> &'static str;

    /// Takes one event into its queue. Where that is full it drops one, counts it and says so.
    fn event(&self, event: &Arc<Event>);

    /// Takes a track's best shot, where it has a use for such.
    fn snapshot(&self, snapshot: &Arc<Snapshot>);

    /// The board is not what it was.
    fn changed(&self);

    /// Takes out the pictures of a camera that are still to be delivered: they were taken under other settings or switches.
    fn withdraw(&self, _camera: &str) {}

    /// Takes whom nobody is to be told of any more out of what is still to be delivered, and drops what it keeps of them.
    /// Gives how much it kept.
    fn forget(&self, whom: Forgotten<'_>) -> usize;

    /// Delivers what it can until `deadline`, then stops for good. Counts what is left over as lost, unless it is to be
    /// [bequeathed](Sink::bequeath).
    fn close(&self, deadline: Instant);

    /// Events that were left over when it was closed, oldest first, for the sink that takes its place.
    fn bequeath(&self) -> Vec<Arc<Event>> {
        Vec::new()
    }

    /// Takes on the part of `settings` that is its own and goes on with what waits; what nobody is to get any more it delivers
    /// until `deadline`. `false`: it cannot, and another one has to take its place.
    ///
    /// # Errors
    /// A thread cannot be started; it then goes on as it was.
    fn goes_on_under(&self, _settings: &Settings, _deadline: Instant) -> Result<bool, Fault> {
        Ok(false)
    }

    /// A sink of this name, under `settings`, will take its place after [`Sink::close`], if they ask for one: what it
    /// would leave behind where that one does not look is to go with it.
    fn succeeded_by(&self, settings: &Settings);
}

/// What a sink may use.
#[derive(Clone)]
pub struct Context {
    /// The cameras as they are now.
    pub board: Arc<Board>,
    /// Takes what users ask of a camera's switches.
    pub switches: Arc<SwitchWishes>,
    /// Takes what users ask of the gallery.
    pub people: Sender<PersonCommand>,
}

/// Settings of all sinks, resolved.
#[derive(Clone, Default)]
pub struct Settings {
    /// One log line an event.
    pub log: bool,
    /// The broker; `None` for no MQTT.
    pub mqtt: Option<mqtt::Settings>,
    /// Receivers of webhooks.
    pub webhooks: Vec<webhook::Settings>,
}

/// Starts a sink; `None` where the settings leave it off.
pub type Open = fn(&Settings, &Context) -> Result<Option<Arc<dyn Sink>>, Fault>;

/// One kind of sink.
pub struct SinkLine {
    /// Its name.
    pub name: &'static str,
    /// Starts it.
    pub open: Open,
}

/// Every sink there is.
pub static SINKS: &[SinkLine] = &[
    SinkLine { name: log::NAME, open: log::open },
    SinkLine { name: mqtt::NAME, open: mqtt::open },
    SinkLine { name: webhook::NAME, open: webhook::open },
];

/// Locks `mutex`. A panic elsewhere leaves queues and counters whole, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
