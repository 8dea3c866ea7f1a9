//! How the daemon is: for those who watch over it.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::exposition;
use super::tally::{Requests, Tally};
use super::{Principal, ProblemJson, exposition::Metrics};
use crate::lifecycle::Lifecycle;
use crate::metrics::Exporter;

/// What health, metrics and version are made of. Clones are handles to the same.
#[derive(Clone)]
pub struct Status {
    /// What the daemon waits for.
    pub lifecycle: Lifecycle,
    /// Its metrics.
    pub exporter: Exporter,
    /// Unique to this run of the daemon.
    pub boot_id: String,
    /// Version of the inference library in use, if it is loaded.
    pub onnxruntime: Option<String>,
    /// Why the daemon should be restarted, if it should.
    pub health: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// How many requests have come.
    pub tally: Arc<Tally>,
}

/// That the daemon is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// `ready` or `alive`.
    pub status: &'static str,
}

/// Which program answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Version {
    /// Always `visor`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Unique to this run of the daemon.
    pub boot_id: String,
    /// Version of the inference library, if it is loaded.
    pub onnxruntime: Option<String>,
}

impl Status {
    /// Whether the daemon need not be restarted.
    ///
    /// # Errors
    /// `503` with the reason.
    pub fn live(&self) -> Result<Health, ProblemJson> {
        match (self.health)() {
            Ok(()) => Ok(Health { status: "alive" }),
            Err(reason) => Err(ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, reason)),
        }
    }

    /// Whether every part is there, until shutdown begins.
    ///
    /// # Errors
    /// `503` with what is waited for.
    pub fn ready(&self) -> Result<Health, ProblemJson> {
        if self.lifecycle.is_ready() {
            return Ok(Health { status: "ready" });
        }
        let waiting = self.lifecycle.waiting_for().join(", ");
        let detail = match waiting.as_str() {
            "" => self.lifecycle.phase().to_string(),
            waiting => format!("{}, waiting for: {waiting}", self.lifecycle.phase()),
        };
        Err(ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail))
    }

    /// Both.
    ///
    /// # Errors
    /// `503` with what is wrong.
    pub fn well(&self) -> Result<Health, ProblemJson> {
        self.live().and_then(|_| self.ready())
    }

    /// All metrics that `principal` may see, in Prometheus' text form.
    pub fn metrics_text(&self, principal: &Principal) -> String {
        exposition::seen_by(principal, self.exporter.render())
    }

    /// The same as data.
    pub fn metrics(&self, principal: &Principal) -> Metrics {
        exposition::read(&self.metrics_text(principal))
    }

    /// How many requests have come.
    pub fn requests(&self) -> Requests {
        self.tally.requests(Instant::now())
    }

    /// Which program answers.
    pub fn version(&self) -> Version {
        let (boot_id, onnxruntime) = (self.boot_id.clone(), self.onnxruntime.clone());
        Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), boot_id, onnxruntime }
    }
}
