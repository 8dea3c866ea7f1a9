//! The thread that encodes and publishes what is due.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::album::{Album, Due, Photo};
use super::{Snapshot, drop_one};
use crate::event::Event;
use crate::fault::Fault;
use crate::sink::{Forgotten, Hub, Settings, Sink, lock};

/// Name of the thread, and of the sink by which it hears of tracks.
const NAME: &str = "snapshots";

/// How often what is due is looked for, and how much is published then at most: forty pictures a second.
const TICK: Duration = Duration::from_millis(100);
const AT_ONCE: usize = 4;

/// Keeps the best shot of each track, and publishes it in time. Dropping it ends its thread.
pub struct Studio {
    album: Arc<Mutex<Album>>,
    /// Ends the thread when it goes.
    stop: Mutex<Option<Sender<()>>>,
    done: Receiver<()>,
}

impl Studio {
    /// Starts the thread, and has `hub` tell it of tracks.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(hub: &Hub) -> Result<Arc<Self>, Fault> {
        let album = Arc::<Mutex<Album>>::default();
        let (stop, stopped) = bounded::<()>(0);
        let (end, done) = bounded::<()>(0);
        let (kept, publisher) = (Arc::clone(&album), hub.clone());
        let work = move || {
            let _end = end;
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let withdrawals = publisher.withdrawals();
                let due = lock(&kept).due(Instant::now(), AT_ONCE);
                due.into_iter().for_each(|due| publish(due, &publisher, withdrawals));
            }
        };
        std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(work)
            .map_err(|e| Fault::unavailable(format!("cannot start the thread {NAME}: {e}")))?;
        let studio = Arc::new(Self { album, stop: Mutex::new(Some(stop)), done });
        hub.attach(Arc::<Self>::clone(&studio));
        Ok(studio)
    }

    pub(super) fn open(&self, camera: &Arc<str>) {
        lock(&self.album).open(camera);
    }

    pub(super) fn put(&self, camera: &str, photo: Photo) {
        lock(&self.album).put(camera, photo);
    }
}

fn publish(Due { camera, person, photo }: Due, hub: &Hub, withdrawals: u64) {
    let Some(jpeg) = photo.crop.jpeg() else { return drop_one(&camera, "not_encoded") };
    let (track, captured_at) = (photo.track, photo.captured_at);
    let snapshot = Arc::new(Snapshot { camera, track, person, captured_at, jpeg });
    if !hub.show(&snapshot, withdrawals) {
        drop_one(&snapshot.camera, "withdrawn");
    }
}

impl Sink for Studio {
    fn name(&self) -> &'static str {
        NAME
    }

    fn event(&self, event: &Arc<Event>) {
        lock(&self.album).hear(event, Instant::now());
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn withdraw(&self, camera: &str) {
        lock(&self.album).withdraw(camera);
    }

    fn changed(&self) {}

    fn forget(&self, whom: Forgotten<'_>) -> usize {
        lock(&self.album).forget(whom)
    }

    fn succeeded_by(&self, _: &Settings) {}

    fn close(&self, deadline: Instant) {
        drop(lock(&self.stop).take());
        let _ = self.done.recv_deadline(deadline);
        lock(&self.album).close();
    }
}
