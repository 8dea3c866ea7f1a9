//! The daemon as `visor run` and `visor demo` share it: parts put together, one loop, an orderly end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, select, tick};
use tokio::runtime;
use tracing::{error, info, warn};

use crate::config::{self, Resolved};
use crate::fault::{Fault, FaultKind};
use crate::http::{App, Server};
use crate::infer;
use crate::lifecycle::Lifecycle;
use crate::lifecycle::signals::{DRAIN_DEADLINE, Drained, Wishes, drain};
use crate::lifecycle::systemd;
use crate::metrics::{self, CONFIG_RELOADS};
use crate::sink::{Hub, SwitchCommand, log, mqtt};
use crate::supervisor::{Engine, Supervisor};

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
    switches: Receiver<SwitchCommand>,
    supervisor: Supervisor,
    server: Server,
    file: Option<PathBuf>,
    /// Last: its threads serve the others until these are gone.
    _runtime: runtime::Runtime,
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
    /// Puts the parts together and starts them. `file` is what a reload reads; `prepare` sees the hub before the first
    /// camera starts.
    pub(super) fn start(
        settings: Resolved,
        file: Option<&Path>,
        prepare: impl FnOnce(&Hub) -> Result<(), Fault>,
    ) -> Result<Self, Fault> {
        forbid_core_dumps();
        lift_file_size_limit();
        let (lifecycle, latch) = Lifecycle::start();
        let exporter = metrics::install()?;
        let runtime =
            runtime::Builder::new_multi_thread().worker_threads(2).thread_name("edge").enable_all().build().map_err(
                |e| Fault::unavailable(format!("cannot start the threads for network input and output: {e}")),
            )?;
        let wishes = Wishes::listen(runtime.handle())?;
        if let Some(file) = file {
            wishes.watch_file(runtime.handle(), file);
        }
        settings.notes().iter().for_each(|note| warn!(%note, "configuration"));
        let engine = Arc::new(Engine::load(&settings.models, &settings.detector, settings.input)?);
        let hub = Hub::new();
        info!(
            version = env!("CARGO_PKG_VERSION"),
            boot_id = &**hub.board().boot_id(),
            cameras = settings.cameras.len(),
            "visor starts"
        );
        hub.open(&settings.sinks())?;
        prepare(&hub)?;
        let app = App {
            lifecycle: lifecycle.clone(),
            exporter,
            boot_id: hub.board().boot_id().to_string(),
            onnxruntime: infer::library_version(),
            health: health(&engine),
        };
        let server = Server::start(settings.http.clone(), app, runtime.handle())?;
        let supervisor = Supervisor::start(settings, hub.clone(), Arc::clone(&engine))?;
        let watched = health(&engine);
        systemd::keep_watchdog(move || watched())?;
        latch.open();
        let switches = hub.switches();
        let file = file.map(Path::to_owned);
        Ok(Self { lifecycle, wishes, engine, hub, switches, supervisor, server, file, _runtime: runtime })
    }

    /// Where health, metrics and version are.
    pub(super) fn http_address(&self) -> std::net::SocketAddr {
        self.server.local_addr()
    }

    /// Serves until told to stop, or until `done` says so at a tick.
    pub(super) fn serve(&mut self, mut done: impl FnMut(&Supervisor) -> bool) -> End {
        let ticks = tick(TICK);
        loop {
            select! {
                recv(self.wishes.stop) -> _ => return End::Asked,
                recv(self.wishes.reload) -> _ => self.reload(),
                recv(self.switches) -> command => if let Ok(command) = command {
                    self.supervisor.switch(&command);
                },
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

    /// Reads the configuration again and changes what differs. A file with problems changes nothing.
    fn reload(&mut self) {
        let Some(file) = self.file.clone() else { return };
        let reloading = self.lifecycle.reload();
        let outcome = match self.try_reload(&file) {
            Ok(()) => "applied",
            Err(fault) => {
                error!(file = %file.display(), error = %fault, "configuration not reloaded; everything goes on as it was");
                "refused"
            }
        };
        ::metrics::counter!(CONFIG_RELOADS, "outcome" => outcome).increment(1);
        drop(reloading);
    }

    fn try_reload(&mut self, file: &Path) -> Result<(), Fault> {
        let settings = config::load(file).map_err(|problems| config::fault(file, &problems))?;
        let (http, sinks) = (settings.http.clone(), settings.sinks());
        // What can fail comes first: the model, then the address. After them the rest follows in any case.
        let changes = self.supervisor.changes(&settings);
        let detector = changes.models.then(|| Engine::open(&settings.models, &settings.detector, settings.input));
        let detector = detector.transpose()?;
        if changes.http {
            self.server.reload(http)?;
        }
        if let Some(detector) = detector {
            self.engine.swap(detector);
        }
        self.supervisor.apply(settings, &changes);
        for (changed, sink) in [(changes.mqtt, mqtt::NAME), (changes.log, log::NAME)] {
            if changed {
                self.hub.reopen(sink, &sinks, Instant::now() + FLUSH)?;
            }
        }
        info!(%changes, "configuration reloaded");
        Ok(())
    }

    /// Ends everything in the order in which data flows: cameras, sinks, edge. Says how it ended.
    pub(super) fn shut_down(self, end: End) -> ExitCode {
        self.lifecycle.drain();
        let Self { lifecycle, wishes, hub, supervisor, server, _runtime: runtime, .. } = self;
        let deadline = Instant::now() + DRAIN_DEADLINE;
        let work = move || {
            supervisor.stop();
            hub.close((Instant::now() + FLUSH).min(deadline));
            server.stop();
            runtime.shutdown_background();
        };
        let drained = drain(&wishes.stop, DRAIN_DEADLINE, work);
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

/// The daemon writes no file, but the memory that frames cross in counts as one. Where the limit cannot be lifted the
/// cameras say so.
fn lift_file_size_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Fsize);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum })
    {
        warn!(%error, "the limit on the size of files cannot be lifted");
    }
}
