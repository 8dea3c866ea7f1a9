//! The desk: where pictures that come over HTTP are looked at, on threads of its own, behind the cameras.
//!
//! There are as many places as the detector has sessions. Who sits there waits for a session until no camera wants one
//! (see [`Model::deferred`](crate::infer::Model::deferred)), and once cameras use the detector the threads yield the
//! processor to theirs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

/// Takes work to whichever place is free.
pub struct Desk {
    work: Sender<Work>,
    door: Arc<Door>,
}

/// Whether anybody works, and whether anybody still may.
#[derive(Default)]
struct Door {
    closed: AtomicBool,
    at_work: AtomicUsize,
}

/// Somebody at work, until it is dropped.
struct AtWork<'a>(&'a Door);

impl Door {
    /// `None` once it is closed.
    fn enter(&self) -> Option<AtWork<'_>> {
        // in this order, so that whoever closes it either sees who is inside or keeps them out
        self.at_work.fetch_add(1, Ordering::SeqCst);
        let inside = AtWork(self);
        (!self.closed.load(Ordering::SeqCst)).then_some(inside)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Desk {
    /// Opens places for as many as the engine's detector serves at once.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn open(engine: &Arc<Engine>) -> Result<Self, Fault> {
        let (work, waiting) = bounded::<Work>(WAITING);
        let door = Arc::<Door>::default();
        for number in 0..engine.detector().load().sessions() {
            let (waiting, door, engine) = (waiting.clone(), Arc::clone(&door), Arc::clone(engine));
            std::thread::Builder::new()
                .name(format!("desk-{number}"))
                .spawn(move || sit(&waiting, &door, &engine))
                .map_err(|e| Fault::unavailable(format!("cannot start the thread desk-{number}: {e}")))?;
        }
        Ok(Self { work, door })
    }

    /// From now on nothing is looked at; waits for what is. To be called before the process ends, since the runtime goes with it
    /// from under whoever still uses it.
    pub(super) fn close(&self) {
        self.door.closed.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + PATIENCE;
        while self.door.at_work.load(Ordering::SeqCst) > 0 {
            if Instant::now() >= deadline {
                return warn!("the desk's threads do not end; they are left behind");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Has `work` done at the next free place. Where whoever asked has gone by then, nothing is done.
    ///
    /// # Errors
    /// `503` where too much waits already or the daemon ends, `500` where the work failed by a bug.
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
        if self.door.closed.load(Ordering::SeqCst) {
            return Err(closing());
        }
        self.work.try_send(work).map_err(|_| busy())?;
        answered.await.map_err(|_| {
            if self.door.closed.load(Ordering::SeqCst) {
                return closing();
            }
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

fn closing() -> ProblemJson {
    ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, "visor ends or is started again; try again")
        .because("closing")
        .retry_after(5)
}

/// One place: takes work until the desk is closed.
fn sit(waiting: &Receiver<Work>, door: &Door, engine: &Arc<Engine>) {
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
        let Some(_inside) = door.enter() else { return };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_while_the_desk_closes_is_told_to_come_back() {
        let (work, waiting) = bounded::<Work>(2);
        let desk = Desk { work, door: Arc::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ask = || runtime.block_on(desk.work(|_| ())).unwrap_err();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(waiting.recv()));
            assert_eq!(ask().status, StatusCode::INTERNAL_SERVER_ERROR, "nobody is to close it: a bug");
            scope.spawn(|| {
                let taken = waiting.recv();
                desk.close();
                drop(taken);
            });
            for _ in 0..2 {
                let problem = ask();
                let told = (problem.status, problem.reason, problem.retry_after.is_some());
                assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, Some("closing"), true));
            }
        });
    }
}
