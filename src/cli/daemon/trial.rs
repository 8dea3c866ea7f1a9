//! Looks at cameras that somebody thinks of adding, beside the main loop: nobody hears of them but who asked.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{CameraRefusal, CameraTrial};
use crate::config::Written;
use crate::source::{Spawner, Trial};
use crate::supervisor::Supervisor;

/// Cameras that are tried at once: each is a process that decodes.
const MOST: usize = 2;

/// How long a first frame may take: a camera that answers sends one with its next keyframe.
const PATIENCE: Duration = Duration::from_secs(12);

/// The trials that are under way; each holds a clone while it goes on.
#[derive(Default)]
pub(super) struct Trials(Arc<()>);

impl Trials {
    /// Has a thread try it, if there is room.
    pub(super) fn start(&self, trial: CameraTrial, written: &Written, supervisor: &Supervisor) {
        // whoever asked may be gone, here as everywhere
        let CameraTrial { id, table, answer } = trial;
        if written.names(&id) {
            return drop(answer.send(Err(CameraRefusal::Named)));
        }
        if Arc::strong_count(&self.0) > MOST {
            let busy = format!("{MOST} cameras are being tried already; try again in a few seconds");
            return drop(answer.send(Err(CameraRefusal::Failed(busy))));
        }
        let (place, written, spawner) =
            (Arc::clone(&self.0), written.clone().with(&id, table), supervisor.spawner().clone());
        let work = move || {
            let outcome = look(&id, &written, &spawner);
            drop(place);
            drop(answer.send(outcome));
        };
        // where there is no thread the answer is dropped, which says so
        let _ = std::thread::Builder::new().name("trial".to_owned()).spawn(work);
    }
}

fn look(id: &str, written: &Written, spawner: &Spawner) -> Result<Result<Trial, String>, CameraRefusal> {
    let settings = written.resolve().map_err(CameraRefusal::Problems)?;
    let camera = settings.cameras.get(id).ok_or(CameraRefusal::Unknown)?;
    Ok(Trial::of(id, &camera.source, spawner, PATIENCE))
}
