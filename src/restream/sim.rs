//! An RTSP server that behaves as cameras do: live pace, one shared stream for all viewers, sender reports, passwords.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app::{AppLeakyType, AppSrc};
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{
    RTSPAuth, RTSPMedia, RTSPMediaFactory, RTSPMountPoints, RTSPServer, RTSPSuspendMode, RTSPToken, gst_rtsp,
};
use secrecy::{ExposeSecret, SecretString};

use super::broken;
use super::clip::{Clip, Unit};
use crate::fault::Fault;

/// The role that a viewer with the right password has at every mount.
const VIEWER: &str = "viewer";
/// Pictures waiting for a payloader that does not take them; then the oldest goes, as in a camera.
const QUEUE_PICTURES: u64 = 60;
/// A server that was held up for longer than this goes on from now instead of sending what it missed in a burst.
const LATE: Duration = Duration::from_millis(500);

/// How the password is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheme {
    /// RFC 7617.
    Basic,
    /// RFC 7616 with MD5, as most cameras do.
    Digest,
}

/// Who may watch.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// How it is asked for.
    pub scheme: Scheme,
}

/// How the cameras are reached.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who may watch; everybody without.
    pub user: Option<User>,
    /// PEM file with the certificate to show and its key: RTSP over TLS.
    pub tls: Option<PathBuf>,
}

/// A camera at a path of the server.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The path without its slash.
    pub path: String,
    /// What it shows; several mounts may share one.
    pub clip: Arc<Clip>,
}

/// A server that is listening; it serves while [`Server::run`] runs.
pub struct Server {
    server: RTSPServer,
    listen: SocketAddr,
    context: glib::MainContext,
}

impl Server {
    /// Binds `listen` (port 0 picks a free one) and mounts the cameras.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub fn bind(listen: SocketAddr, mounts: &[Mount], access: &Access) -> Result<Self, Fault> {
        let server = RTSPServer::new();
        server.set_address(&listen.ip().to_string());
        server.set_service(&listen.port().to_string());
        server.set_auth(authentication(access)?.as_ref());
        let points = RTSPMountPoints::new();
        for mount in mounts {
            points.add_factory(&format!("/{}", mount.path), factory(mount));
        }
        server.set_mount_points(Some(&points));
        let context = glib::MainContext::new();
        // The source stays with the context, which outlives the server.
        let _source = server
            .attach(Some(&context))
            .map_err(|e| broken(&format!("cannot listen at {listen}"), e).remedy("choose another address or port 0"))?;
        let port = u16::try_from(server.bound_port()).map_err(|e| broken("no port", e))?;
        Ok(Self { server, listen: SocketAddr::new(listen.ip(), port), context })
    }

    /// The address in use.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Serves until `quit` says so or hangs up.
    pub fn run(self, quit: Receiver<()>) {
        let main_loop = glib::MainLoop::new(Some(&self.context), false);
        let stop = main_loop.clone();
        let waiter = std::thread::Builder::new().name("camera-quit".into()).spawn(move || {
            let _ = quit.recv();
            stop.quit();
        });
        if waiter.is_ok() {
            main_loop.run();
        }
        self.server.set_mount_points(None::<&RTSPMountPoints>);
    }
}

fn authentication(access: &Access) -> Result<Option<RTSPAuth>, Fault> {
    if access.user.is_none() && access.tls.is_none() {
        return Ok(None);
    }
    let auth = RTSPAuth::new();
    if let Some(file) = &access.tls {
        let certificate = gio::TlsCertificate::from_file(file);
        let certificate = certificate.map_err(|e| broken(&format!("cannot use {}", file.display()), e))?;
        auth.set_tls_certificate(Some(&certificate));
    }
    let mut token = RTSPToken::builder().field("media.factory.role", VIEWER).build();
    match &access.user {
        Some(user) => ask(&auth, user, &token),
        None => auth.set_default_token(Some(&mut token)),
    }
    Ok(Some(auth))
}

fn ask(auth: &RTSPAuth, user: &User, token: &RTSPToken) {
    auth.set_realm(Some("camera"));
    let password = user.password.expose_secret();
    match user.scheme {
        Scheme::Basic => {
            auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Basic);
            auth.add_basic(&RTSPAuth::make_basic(&user.name, password), token);
        }
        Scheme::Digest => {
            auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
            auth.add_digest(&user.name, password, token);
        }
    }
}

fn factory(mount: &Mount) -> RTSPMediaFactory {
    let factory = RTSPMediaFactory::new();
    factory.set_launch(&format!("( appsrc name=camera ! {} )", mount.clip.codec.payloader()));
    factory.set_shared(true);
    factory.set_suspend_mode(RTSPSuspendMode::None);
    factory.add_role_from_structure(
        &gstreamer::Structure::builder(VIEWER)
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build(),
    );
    let clip = Arc::clone(&mount.clip);
    factory.connect_media_configure(move |_, media| start_feeding(media, &clip));
    factory
}

/// Starts the thread that sends the clip into a stream which somebody asked for, until the last viewer has left.
fn start_feeding(media: &RTSPMedia, clip: &Arc<Clip>) {
    let camera = media.element().downcast::<gstreamer::Bin>().ok().and_then(|bin| bin.by_name("camera"));
    let Some(camera) = camera.and_then(|camera| camera.downcast::<AppSrc>().ok()) else { return };
    camera.set_caps(Some(&clip.caps));
    camera.set_format(gstreamer::Format::Time);
    camera.set_is_live(true);
    camera.set_leaky_type(AppLeakyType::Downstream);
    camera.set_max_bytes(0);
    camera.set_max_buffers(QUEUE_PICTURES);
    let (watched, unwatched) = bounded::<()>(0);
    let watched = Mutex::new(Some(watched));
    media.connect_unprepared(move |_| drop(watched.lock().unwrap_or_else(PoisonError::into_inner).take()));
    let clip = Arc::clone(clip);
    let feeder = std::thread::Builder::new().name("camera-feed".into());
    if let Err(error) = feeder.spawn(move || feed(&camera, &clip, &unwatched)) {
        eprintln!("visor camera: no thread to feed a stream: {error}");
    }
}

/// Sends the clip again and again at its own pace until `unwatched` hangs up. Time stamps only ever grow.
fn feed(camera: &AppSrc, clip: &Clip, unwatched: &Receiver<()>) {
    let Some(mut turn_began) = first_running_time(camera, unwatched) else { return };
    loop {
        for unit in &clip.units {
            let due = turn_began + unit.due;
            let Some(now) = running_time(camera) else { return };
            if now > due + LATE {
                turn_began += now - due;
            } else if waits_in_vain(due.saturating_sub(now), unwatched) {
                return;
            }
            if camera.push_buffer(stamped(unit, turn_began + unit.due)).is_err() {
                return;
            }
        }
        turn_began += clip.length;
    }
}

fn stamped(unit: &Unit, due: Duration) -> gstreamer::Buffer {
    let mut buffer = unit.data.copy();
    let time = |d: Duration| gstreamer::ClockTime::from_nseconds(d.as_nanos() as u64);
    let header = buffer.make_mut();
    header.set_dts(time(due));
    header.set_pts(time(due + unit.lag));
    buffer
}

/// Whether the viewers left within `wait`.
fn waits_in_vain(wait: Duration, unwatched: &Receiver<()>) -> bool {
    !matches!(unwatched.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

fn running_time(camera: &AppSrc) -> Option<Duration> {
    camera.current_running_time().map(|time| Duration::from_nanos(time.nseconds()))
}

/// The stream has a time only once it plays.
fn first_running_time(camera: &AppSrc, unwatched: &Receiver<()>) -> Option<Duration> {
    loop {
        let playing = camera.current_state() == gstreamer::State::Playing;
        match running_time(camera).filter(|_| playing) {
            Some(now) => return Some(now),
            None if waits_in_vain(Duration::from_millis(5), unwatched) => return None,
            None => {}
        }
    }
}
