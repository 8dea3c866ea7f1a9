//! Health, metrics and version over HTTP.
//!
//! `GET /livez /readyz /metrics /version`; errors are problem+json (RFC 9457). On loopback no token is needed, but the
//! `Host` must be a loopback name, so that no web page can reach in by DNS rebinding; any other address needs a token.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fault::{Fault, Problem};
use crate::lifecycle::Lifecycle;
use crate::metrics::Exporter;

mod admission;
mod guard;
mod principal;
mod problem;
mod routes;

pub use admission::{Admission, admit};
pub use guard::Tokens;
pub use principal::{Principal, Role};
pub use problem::ProblemJson;

/// Connections served at once; another one waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 128;
/// How long a client may take to send a request's head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a stopping server waits for answers under way.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// `[http]`: the address for health, metrics and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one. Default `"127.0.0.1:8080"`.
    pub listen: String,
    /// File of bearer tokens, one a line (or `sha256:` and the token's hash in hex); lines with `#` are comments.
    /// Loopback needs none; any other address does. Default: none.
    pub tokens_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned(), tokens_file: None }
    }
}

/// [`Config`] with everything parsed and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address to bind.
    pub listen: SocketAddr,
    /// Who may ask; `None` on loopback where no file is given: everybody on this machine.
    pub tokens: Option<Tokens>,
}

impl Config {
    /// Parses the address and reads the tokens.
    ///
    /// # Errors
    /// Every problem there is, with its key within `[http]`.
    pub fn resolve(&self) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let listen = self.address().map_err(|p| problems.push(p)).ok();
        let tokens = self.tokens_file.as_deref().and_then(|file| Tokens::read(file).map_err(|p| problems.push(p)).ok());
        if let Some(address) = listen
            && !address.ip().is_loopback()
            && self.tokens_file.is_none()
        {
            let what = format!("{address} can be reached from outside this machine, and no tokens_file is set");
            problems.push(Problem::new("listen", what).remedy("set http.tokens_file, or listen on 127.0.0.1"));
        }
        match listen {
            Some(listen) if problems.is_empty() => Ok(Settings { listen, tokens }),
            _ => Err(problems),
        }
    }

    fn address(&self) -> Result<SocketAddr, Problem> {
        let numeric = self.listen.strip_prefix("localhost:").map_or(self.listen.clone(), |p| format!("127.0.0.1:{p}"));
        numeric.parse().map_err(|_| {
            Problem::new("listen", format!("\"{}\" is not an address with a port", self.listen))
                .remedy("write it as \"127.0.0.1:8080\" or \"[::1]:8080\"")
        })
    }
}

/// What the answers are made of.
#[derive(Clone)]
pub struct App {
    /// For `/readyz`.
    pub lifecycle: Lifecycle,
    /// For `/metrics`.
    pub exporter: Exporter,
    /// For `/version`: unique to this run of the daemon.
    pub boot_id: String,
    /// For `/version`: version of the inference library in use, if it is loaded.
    pub onnxruntime: Option<String>,
    /// For `/livez`: why the daemon should be restarted, if it should.
    pub health: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// What else is asked over HTTP, behind the same guard.
    pub api: Router,
}

/// The running server. Dropping it stops it.
pub struct Server {
    runtime: Handle,
    app: App,
    settings: Settings,
    /// Shared with every request, so that new tokens hold at once.
    guard: Arc<ArcSwap<Settings>>,
    bound: Bound,
}

/// A socket that is served.
struct Bound {
    address: SocketAddr,
    cancel: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    /// Binds and serves.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(settings: Settings, app: App, runtime: &Handle) -> Result<Self, Fault> {
        let guard = Arc::new(ArcSwap::from_pointee(settings.clone()));
        let bound = Bound::new(settings.listen, routes::router(app.clone(), guard.clone()), runtime)?;
        Ok(Self { runtime: runtime.clone(), app, settings, guard, bound })
    }

    /// The address in use, with the port taken where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.bound.address
    }

    /// Takes on new settings: other tokens hold from the next request on; another address is bound before the old one
    /// is let go, where it can be. Not to be called on the runtime itself.
    ///
    /// # Errors
    /// The new address cannot be bound; the server then goes on as it was.
    pub fn reload(&mut self, settings: Settings) -> Result<(), Fault> {
        if settings.listen == self.settings.listen {
            self.guard.store(Arc::new(settings.clone()));
            self.settings = settings;
            return Ok(());
        }
        match Self::start(settings.clone(), self.app.clone(), &self.runtime) {
            Ok(next) => std::mem::replace(self, next).stop(),
            Err(_) if settings.listen.port() == self.bound.address.port() => self.move_over(settings)?,
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Goes over to another address with the same port. From 127.0.0.1 to 0.0.0.0 it is free only once the old one is
    /// let go; that is taken back where the new one cannot be had even then.
    fn move_over(&mut self, settings: Settings) -> Result<(), Fault> {
        self.bound.close(&self.runtime);
        let moved = Self::start(settings, self.app.clone(), &self.runtime);
        let (outcome, next) = match moved {
            Ok(next) => (Ok(()), next),
            Err(fault) => (Err(fault), Self::start(self.settings.clone(), self.app.clone(), &self.runtime)?),
        };
        *self = next;
        outcome
    }

    /// Stops listening, lets answers under way finish for at most a second. Not to be called on the runtime itself.
    pub fn stop(self) {
        self.bound.close(&self.runtime);
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Bound {
    fn new(listen: SocketAddr, router: Router, runtime: &Handle) -> Result<Self, Fault> {
        let failed = |e: std::io::Error| {
            Fault::unavailable(format!("cannot listen on {listen} for http: {e}"))
                .remedy("set http.listen to a free address of this machine; port 0 takes any free port")
        };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let bound = Self { address, cancel: CancellationToken::new(), connections: TaskTracker::new() };
        let (cancel, connections) = (bound.cancel.clone(), bound.connections.clone());
        bound.connections.spawn_on(accept(listener, router, cancel, connections), runtime);
        bound.connections.close();
        tracing::info!(%address, "http listens");
        Ok(bound)
    }

    fn close(&self, runtime: &Handle) {
        self.cancel.cancel();
        let ended = self.connections.wait();
        let _ = runtime.block_on(async { tokio::time::timeout(STOP_DEADLINE, ended).await });
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    router: Router,
    cancel: CancellationToken,
    connections: TaskTracker,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut refused = false;
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = cancel.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                refused = false;
                let connection = serve(stream, router.clone(), cancel.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, as a rule: taking a breath is all that helps, and saying it once is enough.
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(%error, "http cannot accept");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn serve(stream: tokio::net::TcpStream, router: Router, cancel: CancellationToken) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "http connection ended");
    }
}

#[cfg(test)]
mod tests;
