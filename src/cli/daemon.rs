//! The daemon as `visor run` and `visor demo` share it: parts put together, one loop, an orderly end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{select, tick};
use tokio::runtime;
use tracing::{error, info, warn};

use crate::api::{CameraAnswer, CameraDone, CameraWish};
use crate::config::{Resolved, Written};
use crate::fault::{Fault, FaultKind};
use crate::lifecycle::Lifecycle;
use crate::lifecycle::signals::{DRAIN_DEADLINE, Drained, Wishes, drain};
use crate::lifecycle::systemd;
use crate::metrics::{self, CONFIG_RELOADS};
use crate::pipeline::FaceModels;
use crate::sink::{Hub, SwitchWishes, log, mqtt, webhook};
use crate::supervisor::{Engine, Keeper, Supervisor};

mod edge;
mod reload;
mod trial;

use edge::Edge;
use reload::{Loaded, Outcome, Reloads, Unfit, broken_off};
use trial::Trials;

/// How often the supervisor looks after its cameras.
const TICK: Duration = Duration::from_secs(1);

/// What of the shutdown's time sinks may take to deliver what they hold.
const FLUSH: Duration = Duration::from_secs(2);

/// A running daemon.
pub(super) struct Daemon {
    lifecycle: Lifecycle,
    wishes: Wishes,
    engine: Arc<Engine>,
    hub: Hub,
    switches: Arc<SwitchWishes>,
    supervisor: Supervisor,
    keeper: Keeper,
    /// The embedder that is in use, and what goes with it.
    faces: Option<FaceModels>,
    edge: Edge,
    origin: Origin,
    reloads: Reloads,
    trials: Trials,
    /// Who waits for the change of a camera that is under way.
    asked: Option<(CameraAnswer, CameraDone)>,
    /// Last: its threads serve the others until these are gone.
    _runtime: runtime::Runtime,
}

/// Where the settings come from.
pub(super) struct Origin {
    /// As they are written.
    pub written: Written,
    /// What a reload reads.
    pub file: Option<PathBuf>,
}

/// Why a daemon's loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody asked for it, or the work was done.
    Asked,
    /// A model hangs: nothing but a new process helps.
    Hung,
}

impl Daemon {
    /// Puts the parts together and starts them. `settings` are those of `origin`; `prepare` sees the hub before the first
    /// camera starts.
    pub(super) fn start(
        settings: Resolved,
        origin: Origin,
        prepare: impl FnOnce(&Hub) -> Result<(), Fault>,
    ) -> Result<Self, Fault> {
        forbid_core_dumps();
        lift_limits();
        let (lifecycle, latch) = Lifecycle::start();
        metrics::install()?;
        let runtime =
            runtime::Builder::new_multi_thread().worker_threads(2).thread_name("edge").enable_all().build().map_err(
                |e| Fault::unavailable(format!("cannot start the threads for network input and output: {e}")),
            )?;
        let wishes = Wishes::listen(runtime.handle())?;
        if let Some(file) = &origin.file {
            wishes.watch_file(runtime.handle(), file);
        }
        settings.notes().iter().for_each(|note| warn!(%note, "configuration"));
        say_policies(&settings);
        let engine = Arc::new(Engine::load(&settings.models, &settings.detector, settings.input)?);
        let faces = settings.embedder.as_ref().map(|model| FaceModels::open(&settings.models, model)).transpose()?;
        let hub = Hub::new();
        info!(
            version = env!("CARGO_PKG_VERSION"),
            boot_id = &**hub.board().boot_id(),
            cameras = settings.cameras.len(),
            "visor starts"
        );
        // before a broker is: whoever starts Visor a second time by mistake must not take the first one's place there
        let edge = Edge::open(&settings.http, &engine, &hub, &lifecycle, runtime.handle())?;
        hub.open(&settings.sinks())?;
        prepare(&hub)?;
        edge.book().show(&settings, &origin.written);
        let keeper = Keeper::start(Arc::clone(&engine), hub.clone())?;
        hub.absent_after(settings.gallery.absent_after.0);
        hub.appearances().keep_for(settings.gallery.appearance_ttl.0);
        keeper.apply(faces.clone(), &settings.gallery);
        let supervisor = Supervisor::start(settings, hub.clone(), Arc::clone(&engine))?;
        let watched = health(&engine);
        systemd::keep_watchdog(move || watched())?;
        latch.open();
        let switches = hub.switches();
        let reloads = Reloads::default();
        Ok(Self {
            lifecycle,
            wishes,
            engine,
            hub,
            switches,
            supervisor,
            keeper,
            faces,
            edge,
            origin,
            reloads,
            trials: Trials::default(),
            asked: None,
            _runtime: runtime,
        })
    }

    /// Where health, metrics and version are.
    pub(super) fn http_address(&self) -> std::net::SocketAddr {
        self.edge.address()
    }

    /// The models in use.
    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Serves until told to stop, or until `done` says so at a tick.
    pub(super) fn serve(&mut self, mut done: impl FnMut(&Supervisor) -> bool) -> End {
        let ticks = tick(TICK);
        loop {
            let (asked, wished, loaded) = self.reloads.channels(&self.wishes.reload, self.edge.book().wishes());
            select! {
                recv(self.wishes.stop) -> _ => return End::Asked,
                recv(asked) -> _ => self.reload(),
                recv(wished) -> wish => wish.into_iter().for_each(|wish| self.change_camera(wish)),
                recv(self.edge.book().trials()) -> trial => {
                    trial.into_iter().for_each(|trial| self.trials.start(trial, &self.origin.written, &self.supervisor));
                }
                recv(loaded) -> loaded => self.reloaded(loaded.unwrap_or_else(|_| Err(broken_off()))),
                recv(self.switches.bell()) -> _ => {
                    self.switches.take().iter().for_each(|command| self.supervisor.switch(command));
                }
                recv(ticks) -> _ => {
                    self.supervisor.tick();
                    if let Err(reason) = self.engine.health() {
                        error!(%reason, "a model hangs; ending, to be started again");
                        return End::Hung;
                    }
                    if done(&self.supervisor) {
                        return End::Asked;
                    }
                }
            }
        }
    }

    /// Begins to read the configuration again.
    fn reload(&mut self) {
        let Some(file) = self.origin.file.clone() else { return };
        let (before, settings) = (self.origin.written.clone(), self.supervisor.settings().clone());
        let reloading = self.lifecycle.reload();
        let load = move || {
            let loaded = reload::load(&file, &before, &settings)?;
            Ok(Loaded { rereads: true, reloading, ..loaded })
        };
        if let Err(fault) = self.reloads.start(load) {
            self.reloaded(Err(fault.into()));
        }
    }

    /// Begins to do what somebody wishes of a camera.
    fn change_camera(&mut self, wish: CameraWish) {
        let (written, done) = match wish.granted(&self.origin.written) {
            Ok(granted) => granted,
            Err(refusal) => return drop(wish.answer.send(Err(refusal))),
        };
        self.asked = Some((wish.answer, done));
        let settings = self.supervisor.settings().clone();
        if let Err(fault) = self.reloads.start(move || reload::change(written, &settings)) {
            self.reloaded(Err(fault.into()));
        }
    }

    /// Changes what differs. A file with problems changes nothing.
    fn reloaded(&mut self, loaded: Outcome) {
        self.reloads.ended();
        let taken_on = loaded.and_then(|loaded| Ok(self.take_on(loaded)?));
        if let Some((answer, done)) = self.asked.take() {
            // whoever asked may be gone
            return drop(answer.send(taken_on.map(|()| done).map_err(Unfit::refusal)));
        }
        let outcome = match taken_on {
            Ok(()) => "applied",
            Err(unfit) => {
                let file = self.origin.file.as_deref().unwrap_or(Path::new(""));
                let (fault, file) = (unfit.fault(file), file.display());
                error!(%file, error = %fault, "configuration not reloaded; everything goes on as it was");
                "refused"
            }
        };
        ::metrics::counter!(CONFIG_RELOADS, "outcome" => outcome).increment(1);
    }

    /// What can fail comes first: the models are loaded already, then the address. After them the rest follows in any
    /// case.
    fn take_on(&mut self, loaded: Loaded) -> Result<(), Fault> {
        let Loaded { written, settings, changes, detector, faces, rereads, reloading } = loaded;
        let (http, sinks) = (settings.http.clone(), settings.sinks());
        let lacking = self.supervisor.lacking(&settings)?;
        if changes.http {
            self.edge.reload(http)?;
        }
        if let Some(detector) = detector {
            self.engine.swap(detector);
        }
        if let Some(faces) = faces {
            self.faces = faces;
        }
        self.hub.absent_after(settings.gallery.absent_after.0);
        self.hub.appearances().keep_for(settings.gallery.appearance_ttl.0);
        // Also where nothing differs: pictures may be new in the folder.
        if rereads {
            self.keeper.apply(self.faces.clone(), &settings.gallery);
        }
        if !changes.is_empty() {
            say_policies(&settings);
        }
        self.edge.book().show(&settings, &written);
        self.origin.written = written;
        self.supervisor.apply(*settings, &changes, lacking);
        for (changed, sink) in [(changes.mqtt, mqtt::NAME), (changes.webhooks, webhook::NAME), (changes.log, log::NAME)]
        {
            if changed {
                self.hub.reopen(sink, &sinks, Instant::now() + FLUSH)?;
            }
        }
        info!(%changes, "configuration reloaded");
        drop(reloading);
        Ok(())
    }

    /// Ends everything in the order in which data flows: cameras, sinks, edge. Says how it ended.
    pub(super) fn shut_down(self, end: End) -> ExitCode {
        self.lifecycle.drain();
        let Self { lifecycle, wishes, hub, supervisor, keeper, edge, _runtime: runtime, .. } = self;
        let deadline = Instant::now() + DRAIN_DEADLINE;
        let left = hub.clone();
        let work = move || {
            supervisor.stop();
            drop(keeper);
            hub.nobody_in_sight();
            hub.close((Instant::now() + FLUSH).min(deadline));
            edge.stop();
            runtime.shutdown_background();
        };
        let drained = drain(&wishes.stop, DRAIN_DEADLINE, work);
        if drained != Drained::Clean {
            // whatever still hangs: what waits for a receiver is not lost in silence
            left.close(Instant::now());
        }
        lifecycle.stopped();
        if drained == Drained::DeadlinePassed {
            warn!("not everything ended in time");
        }
        match end {
            End::Asked => ExitCode::SUCCESS,
            End::Hung => ExitCode::from(FaultKind::Internal.exit_code()),
        }
    }
}

/// Masks hide faces; what the configuration excepts from that is not to go unnoticed.
fn say_policies(settings: &Resolved) {
    settings.policies().iter().for_each(|policy| warn!(%policy, "faces may show"));
}

fn health(engine: &Arc<Engine>) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
    let engine = Arc::clone(engine);
    Arc::new(move || engine.health())
}

/// Memory holds faces, and a core dump is memory on a disk.
fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none);
    if let Err(error) = limited.and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable)) {
        warn!(%error, "core dumps cannot be forbidden");
    }
}

/// The daemon writes no file, but the memory that frames cross in counts as one; and each camera takes a handful of
/// descriptors, of which a login or a service has a thousand to begin with. Where a limit cannot be lifted the cameras say
/// so.
fn lift_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    for (resource, name) in [(Resource::Fsize, "size of files"), (Resource::Nofile, "number of descriptors")] {
        let Rlimit { current, maximum } = getrlimit(resource);
        if current != maximum
            && let Err(error) = setrlimit(resource, Rlimit { current: maximum, maximum })
        {
            warn!(%error, "the limit on the {name} cannot be lifted");
        }
    }
}
