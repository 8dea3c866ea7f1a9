//! The sockets, and how connections come and go.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Settings;
use super::guard::Door;
use super::login::Registry;
use super::patient::{Patience, Patient};
use super::rate::Rates;
use super::seats::Seats;
use super::{App, routes};
use crate::fault::Fault;
use crate::metrics::HTTP_REFUSED;

/// Connections served at once; another one waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 512;
/// How long a client may take to shake hands, to send a request's head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// What is read of a connection at once; a head of more than twice that is refused with 431.
const MAX_BUFFER: usize = 32 << 10;
/// Lines of a request's head.
const MAX_HEADERS: usize = 64;
/// How long a stopping server waits for answers under way.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// From where a request comes. Each request carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The running server. Dropping it stops it.
pub struct Server {
    runtime: Handle,
    app: App,
    settings: Settings,
    registry: Arc<Registry>,
    bound: Bound,
}

/// A socket that is served.
struct Bound {
    address: SocketAddr,
    /// Shared with every request, so that new tokens hold at once.
    door: Arc<Door>,
    cancel: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    /// Binds and serves.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(settings: Settings, app: App, runtime: &Handle) -> Result<Self, Fault> {
        let registry = Arc::new(Registry::new());
        let bound = Bound::new(&settings, &app, &registry, runtime)?;
        Ok(Self { runtime: runtime.clone(), app, settings, registry, bound })
    }

    /// The address in use, with the port taken where 0 was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.bound.address
    }

    /// Takes on new settings: other tokens hold from the next request on, another certificate from the next connection on;
    /// another address is bound before the old one is let go, where it can be. Not to be called on the runtime itself.
    ///
    /// # Errors
    /// The new address cannot be bound; the server then goes on as it was.
    pub fn reload(&mut self, settings: Settings) -> Result<(), Fault> {
        if settings.listen == self.settings.listen {
            self.bound.door.settings.store(Arc::new(settings.clone()));
            self.settings = settings;
            return Ok(());
        }
        match self.bind(&settings) {
            Ok(next) => std::mem::replace(&mut self.bound, next).close(&self.runtime),
            Err(_) if settings.listen.port() == self.bound.address.port() => self.move_over(&settings)?,
            Err(fault) => return Err(fault),
        }
        self.settings = settings;
        Ok(())
    }

    fn bind(&self, settings: &Settings) -> Result<Bound, Fault> {
        Bound::new(settings, &self.app, &self.registry, &self.runtime)
    }

    /// Goes over to another address with the same port. From 127.0.0.1 to 0.0.0.0 it is free only once the old one is
    /// let go; that is taken back where the new one cannot be had even then.
    fn move_over(&mut self, settings: &Settings) -> Result<(), Fault> {
        self.bound.close(&self.runtime);
        let (outcome, next) = match self.bind(settings) {
            Ok(next) => (Ok(()), next),
            Err(fault) => (Err(fault), self.bind(&self.settings)?),
        };
        self.bound = next;
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
    fn new(settings: &Settings, app: &App, registry: &Arc<Registry>, runtime: &Handle) -> Result<Self, Fault> {
        let listen = settings.listen;
        let failed = |e: std::io::Error| {
            Fault::unavailable(format!("cannot listen on {listen} for http: {e}"))
                .remedy("set http.listen to a free address of this machine; port 0 takes any free port")
        };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let cancel = CancellationToken::new();
        let door = Arc::new(Door {
            settings: ArcSwap::from_pointee(settings.clone()),
            registry: Arc::clone(registry),
            rates: Rates::default(),
            open: app.open,
            unlimited: app.unlimited,
            closed: cancel.clone(),
        });
        let bound = Self { address, door, cancel, connections: TaskTracker::new() };
        let (cancel, connections) = (bound.cancel.clone(), bound.connections.clone());
        let service =
            Reception { router: routes::router(app.clone(), &bound.door), door: Arc::clone(&bound.door), cancel };
        bound.connections.spawn_on(accept(listener, service, connections), runtime);
        bound.connections.close();
        tracing::info!(%address, tls = settings.tls.is_some(), "http listens");
        Ok(bound)
    }

    fn close(&self, runtime: &Handle) {
        self.cancel.cancel();
        let ended = self.connections.wait();
        let _ = runtime.block_on(async { tokio::time::timeout(STOP_DEADLINE, ended).await });
    }
}

/// What each connection is served with.
#[derive(Clone)]
struct Reception {
    router: Router,
    door: Arc<Door>,
    cancel: CancellationToken,
}

async fn accept(listener: tokio::net::TcpListener, reception: Reception, connections: TaskTracker) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let seats = Seats::default();
    let mut refused = false;
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = reception.cancel.cancelled() => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                refused = false;
                let Some(seat) = seats.take(peer.ip()) else {
                    ::metrics::counter!(HTTP_REFUSED, "reason" => "connections").increment(1);
                    continue;
                };
                let connection = reception.clone().receive(stream, Peer(peer));
                connections.spawn(async move {
                    connection.await;
                    drop((permit, seat));
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

impl Reception {
    /// Shakes hands where there is a certificate, and serves.
    async fn receive(self, stream: TcpStream, peer: Peer) {
        let _ = stream.set_nodelay(true);
        let tls = self.door.settings.load().tls.clone();
        let Some(tls) = tls else { return self.serve(stream, peer).await };
        let cancel = self.cancel.clone();
        let shaken = tokio::select! {
            () = cancel.cancelled() => return,
            shaken = tokio::time::timeout(HEAD_TIMEOUT, tls.acceptor.accept(stream)) => shaken,
        };
        match shaken {
            Ok(Ok(stream)) => self.serve(stream, peer).await,
            Ok(Err(_)) | Err(_) => tracing::debug!("a client could not shake hands"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let Self { router, cancel, .. } = self;
        let service = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.call(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_BUFFER)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(Patient::new(stream, Patience::default())), service);
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
}
