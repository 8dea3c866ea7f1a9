//! What the daemon offers over HTTP, put together and changed as one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::health;
use crate::api::{self, Api, CameraBook, Desk, Intake, Jobs, Streams};
use crate::fault::Fault;
use crate::http::{Admission, App, Server, Settings, Status, Tally};
use crate::infer;
use crate::lifecycle::Lifecycle;
use crate::metrics;
use crate::outbound::Client;
use crate::sink::{History, Hub};
use crate::supervisor::Engine;

/// The server, and what of the API follows its settings.
pub(super) struct Edge {
    server: Server,
    api: Api,
    book: Arc<CameraBook>,
    outbound: Client,
    admission: Admission,
}

impl Edge {
    /// Binds and serves.
    pub(super) fn open(
        settings: &Settings,
        engine: &Arc<Engine>,
        hub: &Hub,
        lifecycle: &Lifecycle,
        runtime: &Handle,
    ) -> Result<Self, Fault> {
        let status = Status {
            lifecycle: lifecycle.clone(),
            exporter: metrics::install()?,
            boot_id: hub.board().boot_id().to_string(),
            onnxruntime: infer::library_version(),
            health: health(engine),
            tally: Arc::new(Tally::new(Instant::now())),
        };
        let outbound = Client::new(settings.reach.clone());
        let admission = Admission::new(settings.pictures_at_once);
        let book = Arc::<CameraBook>::default();
        let parts = api::Parts {
            engine: Arc::clone(engine),
            hub: hub.clone(),
            desk: Desk::open(engine)?,
            jobs: Jobs::open(&outbound, hub)?,
            outbound: outbound.clone(),
            admission: admission.clone(),
            cameras: Arc::clone(&book),
            history: History::of(hub),
            streams: Streams::default(),
            intake: Intake::default(),
            status: status.clone(),
        };
        let api = Api::new(parts);
        let app = App { status, api: api::router(api.clone()), open: api::OPEN, unlimited: api::UNLIMITED };
        let server = Server::start(settings.clone(), app, runtime)?;
        Ok(Self { server, api, book, outbound, admission })
    }

    /// What routes and the main loop tell each other of cameras.
    pub(super) fn book(&self) -> &CameraBook {
        &self.book
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Takes on new settings; where the address cannot be had nothing changes.
    pub(super) fn reload(&mut self, settings: Settings) -> Result<(), Fault> {
        let (reach, places) = (settings.reach.clone(), settings.pictures_at_once);
        self.server.reload(settings)?;
        self.outbound.set_reach(reach);
        self.admission.set_places(places);
        Ok(())
    }

    pub(super) fn stop(self) {
        self.server.stop();
        self.api.close();
    }
}
