//! Starts, watches and replaces cameras.
//!
//! The supervisor belongs to the main thread: it is told to reload, to switch and to tick, and does one after the
//! other. What a camera's threads do wrong ends with that camera.

mod audit;
mod camera;
mod engine;
mod keeper;
mod masked;
mod outlets;
mod reading;
mod revival;
mod switches;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use metrics::counter;
use tracing::{error, info, warn};

use crate::config::{Camera, Changes, Resolved};
use crate::fault::Fault;
use crate::metrics::CAMERA_RESTARTS;
use crate::pipeline::Sample;
use crate::sink::restream::Restream;
use crate::sink::{CameraStats, CameraStatus, Hub, Snapshots, Studio, Switch, SwitchCommand};
use crate::source::Spawner;
use camera::Running;
use outlets::Outlets;
use revival::Revivals;

pub use engine::{Engine, HOPELESS};
pub use keeper::Keeper;

/// What every camera is given.
struct Context {
    hub: Hub,
    engine: Arc<Engine>,
    spawner: Spawner,
    /// Takes masked frames in which a detector is to look for faces.
    audits: Sender<Sample>,
    /// Publishes snapshots, from the first camera on that has some.
    studio: Option<Arc<Studio>>,
}

/// The cameras of a running daemon.
pub struct Supervisor {
    context: Context,
    settings: Resolved,
    cameras: BTreeMap<String, Running>,
    // after the cameras, which paint into them
    outlets: Outlets,
    revivals: Revivals,
}

impl Supervisor {
    /// Starts what serves masked video, and every enabled camera of `settings`.
    ///
    /// # Errors
    /// Masked video cannot be served, or a thread not be started.
    pub fn start(settings: Resolved, hub: Hub, engine: Arc<Engine>) -> Result<Self, Fault> {
        let failed = |e| Fault::unavailable(format!("cannot start the thread that starts capture processes: {e}"));
        let spawner = Spawner::start().map_err(failed)?;
        let audits = audit::start(&engine, hub.clone())?;
        let mut outlets = Outlets::default();
        let server = outlets.lacking(&settings)?;
        outlets.apply(&settings, server);
        let ids: Vec<String> = settings.cameras.keys().cloned().collect();
        let mut supervisor = Self {
            context: Context { hub, engine, spawner, audits, studio: None },
            settings,
            cameras: BTreeMap::new(),
            outlets,
            revivals: Revivals::default(),
        };
        ids.iter().for_each(|id| supervisor.add(id));
        Ok(supervisor)
    }

    /// Starts capture processes, also for who only looks whether a source works.
    pub fn spawner(&self) -> &Spawner {
        &self.context.spawner
    }

    /// The settings in use.
    pub fn settings(&self) -> &Resolved {
        &self.settings
    }

    /// What has to be started before new settings can be applied, and may fail: a server for masked video where there is none.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn lacking(&self, settings: &Resolved) -> Result<Option<Restream>, Fault> {
        self.outlets.lacking(settings)
    }

    /// Takes on new settings: starts, stops and replaces the cameras that `changes` names. The engine is its owner's to
    /// change.
    pub fn apply(&mut self, settings: Resolved, changes: &Changes, lacking: Option<Restream>) {
        if changes.models {
            self.cameras.values().for_each(Running::begin_anew);
        }
        let before = std::mem::replace(&mut self.settings, settings);
        changes.changed.iter().for_each(|id| self.put_anew(id, before.cameras.get(id)));
        // All that go stop side by side.
        for running in changes.removed.iter().chain(&changes.changed).filter_map(|id| self.cameras.get(id)) {
            running.stop();
        }
        for id in &changes.removed {
            self.cameras.remove(id);
            self.revivals.forget(id);
            self.context.hub.remove_camera(id);
            info!(camera = id, "camera removed");
        }
        for id in &changes.changed {
            self.cameras.remove(id);
            let shows = |camera: &Camera| (camera.snapshots, camera.masking.clone());
            if before.cameras.get(id).map(shows) != self.settings.cameras.get(id).map(shows) {
                self.context.hub.withdraw(id);
            }
        }
        self.outlets.apply(&self.settings, lacking);
        for id in changes.changed.iter().chain(&changes.added) {
            self.revivals.forget(id);
            self.add(id);
        }
    }

    /// Does what a user asked of a switch, and shows where it stands.
    pub fn switch(&self, command: &SwitchCommand) {
        let SwitchCommand { camera, switch, on } = command;
        let settings = self.settings.cameras.get(&**camera);
        if settings.is_some_and(|settings| !switches::may_be_put(settings, *switch, *on)) {
            let remedy = "set switchable = true in the camera's table mask";
            warn!(camera = &**camera, switch = switch.name(), on, remedy, "refused: masks stay on");
            return self.context.hub.refuse(camera);
        }
        if let Some(running) = self.cameras.get(&**camera) {
            running.switch(*switch, *on);
            if matches!((switch, on), (Switch::Mask, true) | (Switch::Snapshots, false)) {
                self.context.hub.withdraw(camera);
            }
            info!(camera = &**camera, switch = switch.name(), on, "switched");
        }
        self.context.hub.switch(camera, *switch, *on);
    }

    /// Puts up the cameras' counts, and starts again what a bug has ended. To be called about once a second.
    pub fn tick(&mut self) {
        let broken = self.cameras.iter().filter(|(_, camera)| camera.broken());
        let broken: Vec<String> = broken.map(|(id, _)| id.clone()).collect();
        for id in broken {
            self.cameras.remove(&id);
            counter!(CAMERA_RESTARTS, "camera" => id.clone(), "reason" => "panic").increment(1);
            self.try_later(&id, "a thread of the camera ended unexpectedly");
        }
        for id in self.revivals.due(Instant::now()) {
            self.add(&id);
        }
        self.show_stats();
    }

    fn try_later(&mut self, id: &str, reason: &str) {
        let retry_in_ms = self.revivals.fell(id, Instant::now()).as_millis() as u64;
        error!(camera = id, reason, retry_in_ms, "camera fell");
        self.context.hub.camera_status(id, CameraStatus::Offline, reason);
    }

    /// Whether every camera is a file that has been seen to its end.
    pub fn all_ended(&self) -> bool {
        !self.revivals.any_waits() && self.cameras.values().all(Running::ended)
    }

    /// Where masked video is served; `None` while it is not.
    pub fn video_address(&self) -> Option<SocketAddr> {
        self.outlets.listening()
    }

    /// Each camera's counts.
    pub fn stats(&self) -> impl Iterator<Item = CameraStats> + '_ {
        self.cameras.values().map(Running::stats)
    }

    /// Stops all cameras at once; what they followed is said to have ended.
    pub fn stop(mut self) {
        for running in self.cameras.values() {
            running.stop();
        }
        self.show_stats();
        let ids: Vec<String> = self.cameras.keys().cloned().collect();
        self.cameras.clear();
        for id in ids {
            self.context.hub.camera_status(&id, CameraStatus::Offline, "visor has stopped");
        }
    }

    /// Puts the switches whose positions a reload changes: those that the configuration puts elsewhere than `before`, and
    /// those that may not stay where the user has put them.
    fn put_anew(&self, id: &str, before: Option<&Camera>) {
        let Some(camera) = self.settings.cameras.get(id) else { return };
        let before = before.map(switches::of).unwrap_or_default();
        for (switch, on) in switches::of(camera) {
            let moved = before.contains(&(switch, !on));
            if moved || !switches::may_be_put(camera, switch, !on) {
                self.context.hub.switch(id, switch, on);
            }
        }
    }

    fn show_stats(&self) {
        for (id, camera) in &self.cameras {
            self.context.hub.camera_stats(id, camera.stats());
        }
    }

    /// Starts one camera; a switch that the user has set stays as it is.
    fn add(&mut self, id: &str) {
        let hub = &self.context.hub;
        let Some(camera) = self.settings.cameras.get(id) else { return };
        hub.add_camera(id, &switches::of(camera));
        hub.locate(id, camera.location);
        if !camera.enabled {
            hub.camera_status(id, CameraStatus::Disabled, "switched off in the configuration");
            hub.previews().refuse(id, "the camera is switched off; set enabled = true in its settings");
            return;
        }
        hub.camera_status(id, CameraStatus::Offline, "connecting");
        let studio = &mut self.context.studio;
        if camera.snapshots != Snapshots::Off && studio.is_none() {
            *studio = Studio::start(hub).inspect_err(|fault| error!(error = %fault, "no snapshots")).ok();
        }
        let hub = &self.context.hub;
        let outlet = self.outlets.of(id, camera.restream.as_ref());
        match Running::start(id, camera, &self.context, outlet) {
            Ok(running) => {
                let switches = hub.board().camera(id).map(|camera| camera.switches);
                switches.into_iter().flatten().for_each(|(switch, on)| running.switch(switch, on));
                self.cameras.insert(id.to_owned(), running);
            }
            Err(fault) => {
                self.try_later(id, &fault.to_string());
            }
        }
    }
}
