//! The desk: where pictures that come over HTTP are looked at, on threads of its own, behind the cameras.
//!
//! There are as many places as the detector has sessions. Who sits there waits for a session until no camera wants one
//! (see [`Model::deferred`](crate::infer::Model::deferred)), and once cameras use the detector the threads yield the
//! processor to theirs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::http::StatusCode;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::clock::Laps;
use crate::fault::Fault;
use crate::http::ProblemJson;
use crate::supervisor::Engine;

mod looker;

pub(super) use looker::{Looker, deadline, failed, recognition_off};

/// Work that waits for a place; more is refused, and whoever asked is told.
const WAITING: usize = 256;

/// What a place keeps in memory for its next picture goes after so long without one.
const IDLE: Duration = Duration::from_secs(60);

/// How much less of the processor the threads get where others want it: steps of `nice`.
const NICE: i32 = 2;

/// How long a desk that is closed waits for the work in hand.
const PATIENCE: Duration = Duration::from_secs(1);

/// An answer, with how long its parts took for `Server-Timing`.
pub(super) type Timed<T> = Result<(Extension<Laps>, T), ProblemJson>;

type Work = Box<dyn FnOnce(&mut Looker) + Send>;

/// Takes work to whichever place is free. Dropping it ends its threads.
pub struct Desk {
    /// `None` only while it is being dropped.
    work: Option<Sender<Work>>,
    closed: Arc<AtomicBool>,
    places: Vec<JoinHandle<()>>,
}

impl Desk {
    /// Opens places for as many as the engine's detector serves at once.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(engine: &Arc<Engine>) -> Result<Self, Fault> {
        let (work, waiting) = bounded::<Work>(WAITING);
        let closed = Arc::new(AtomicBool::new(false));
        let mut desk = Self { work: Some(work), closed: Arc::clone(&closed), places: Vec::new() };
        for number in 0..engine.detector().load().sessions() {
            let (waiting, closed, engine) = (waiting.clone(), Arc::clone(&closed), Arc::clone(engine));
            let place = std::thread::Builder::new()
                .name(format!("desk-{number}"))
                .spawn(move || sit(&waiting, &closed, &engine))
                .map_err(|e| Fault::unavailable(format!("cannot start the thread desk-{number}: {e}")))?;
            desk.places.push(place);
        }
        Ok(desk)
    }

    /// Has `work` done at the next free place. Where whoever asked has gone by then, nothing is done.
    ///
    /// # Errors
    /// `503` where too much waits already, `500` where the work failed by a bug.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Looker) -> T + Send + 'static,
    ) -> Result<T, ProblemJson> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |looker| {
            if !answer.is_closed() {
                let _ = answer.send(work(looker));
            }
        });
        let busy = || {
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, "too many pictures wait already; try again")
                .because("busy")
                .retry_after(1)
        };
        self.work.as_ref().ok_or_else(busy)?.try_send(work).map_err(|_| busy())?;
        answered.await.map_err(|_| {
            ProblemJson::new(StatusCode::INTERNAL_SERVER_ERROR, "this could not be answered; the log says why")
        })
    }

    /// The same, and how long its parts took: the wait for a place is the first.
    ///
    /// # Errors
    /// Those of [`Self::work`], and those of `work` itself.
    pub(super) async fn timed<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Looker) -> Result<T, ProblemJson> + Send + 'static,
    ) -> Timed<T> {
        let asked = Instant::now();
        let timed = move |looker: &mut Looker| {
            looker.laps = Laps::default();
            looker.laps.add("queue", asked.elapsed());
            let done = work(looker)?;
            Ok((Extension(std::mem::take(&mut looker.laps)), done))
        };
        self.work(timed).await?
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.work = None;
        let deadline = Instant::now() + PATIENCE;
        while self.places.iter().any(|place| !place.is_finished()) {
            if Instant::now() >= deadline {
                return warn!("the desk's threads do not end; they are left behind");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One place: takes work until the desk is closed.
fn sit(waiting: &Receiver<Work>, closed: &AtomicBool, engine: &Arc<Engine>) {
    let mut looker = Looker::new(engine);
    let mut gives_way = false;
    loop {
        let work = match waiting.recv_timeout(IDLE) {
            Ok(work) => work,
            Err(RecvTimeoutError::Timeout) => {
                looker = Looker::new(engine);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if closed.load(Ordering::Relaxed) {
            return;
        }
        if !gives_way && engine.detector().load().in_demand() {
            give_way();
            gives_way = true;
        }
        // the hook has logged where it happened; what it left half done goes
        if catch_unwind(AssertUnwindSafe(|| work(&mut looker))).is_err() {
            error!("a picture could not be looked at: a bug");
            looker = Looker::new(engine);
        }
    }
}

/// From now on the calling thread alone (Linux has a priority for each) gets less of the processor. There is no way back, so
/// this is not for a daemon that watches no cameras.
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        warn!(%error, "pictures cannot be made to give way to cameras");
    }
}
