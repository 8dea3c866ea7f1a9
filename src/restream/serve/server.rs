//! The RTSP server: who may connect, what is where, and who has come.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{
    RTSPAuth, RTSPClient, RTSPContext, RTSPMedia, RTSPMediaFactory, RTSPMountPoints, RTSPServer, RTSPSuspendMode,
    RTSPThreadPool, RTSPToken, gst_rtsp,
};
use rustix::fs::{MemfdFlags, memfd_create};
use secrecy::ExposeSecret;

use super::guests::Guests;
use super::{Link, Mount, codec};
use crate::fault::Fault;
use crate::gst::{Memory, text};
use crate::restream::broken;
use crate::ring::server::{FromServer, ServeSettings, Users};
use crate::ring::wire::ALIVE_EVERY;

/// The role that a viewer has at every mount.
const VIEWER: &str = "viewer";

const DOING: &str = "cannot serve";

/// A server that is listening; it serves while [`Server::run`] runs.
pub(super) struct Server {
    server: RTSPServer,
    points: RTSPMountPoints,
    context: glib::MainContext,
    address: SocketAddr,
    /// By path.
    mounts: Mounts,
    guests: Arc<Guests>,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// It cannot be bound, or the users or the certificate are none.
    pub fn bind(settings: &ServeSettings) -> Result<Self, Fault> {
        let server = RTSPServer::new();
        let listen = settings.listen;
        server.set_address(&listen.ip().to_string());
        server.set_service(&listen.port().to_string());
        server.set_auth(authentication(settings)?.as_ref());
        let threads = RTSPThreadPool::new();
        threads.set_max_threads(-1);
        server.set_thread_pool(Some(&threads));
        let points = RTSPMountPoints::new();
        server.set_mount_points(Some(&points));
        let (mounts, guests) = Default::default();
        watch_clients(&server, &mounts, &guests);
        let context = glib::MainContext::new();
        // The source stays with the context, which outlives the server.
        let _source = server.attach(Some(&context)).map_err(|e| {
            broken(&format!("cannot listen at {listen}"), e).remedy("choose another restream.listen, or free that port")
        })?;
        let port = u16::try_from(server.bound_port()).map_err(|e| broken("no port", e))?;
        Ok(Self { server, points, context, address: SocketAddr::new(listen.ip(), port), mounts, guests })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves, and says so again and again.
    pub fn run(&self, link: &Arc<Link>) -> Result<(), Fault> {
        let main_loop = glib::MainLoop::new(Some(&self.context), false);
        let (link, server, mounts) = (Arc::clone(link), self.server.clone(), Arc::clone(&self.mounts));
        let guests = Arc::clone(&self.guests);
        let alive = glib::timeout_source_new(ALIVE_EVERY, Some("alive"), glib::Priority::DEFAULT, move || {
            link.say(&FromServer::Alive);
            if let Some(text) = Memory::OUTPUT.exceeded() {
                link.fail(&text);
            }
            if let Some(pool) = server.session_pool() {
                pool.cleanup();
            }
            let mounts: Vec<_> = lock(&mounts).values().cloned().collect();
            mounts.iter().filter_map(|mount| mount.stats()).for_each(|stats| link.say(&stats));
            mounts.iter().for_each(|mount| mount.give_up_stuck(&link));
            tidy(&guests, &mounts);
            glib::ControlFlow::Continue
        });
        alive.attach(Some(&self.context));
        main_loop.run();
        Ok(())
    }

    /// Lets players see a mount.
    pub fn add(&self, mount: &Arc<Mount>) -> Result<(), Fault> {
        let factory = factory(mount)?;
        lock(&self.mounts).insert(mount.settings.path.clone(), Arc::clone(mount));
        self.points.add_factory(&format!("/{}", mount.settings.path), factory);
        Ok(())
    }

    /// Sends a mount's players away.
    pub fn remove(&self, mount: &Arc<Mount>) {
        let path = &mount.settings.path;
        let mut mounts = lock(&self.mounts);
        if mounts.get(path).is_some_and(|known| known.id == mount.id) {
            mounts.remove(path);
            self.points.remove_factory(&format!("/{path}"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Mounts = Arc<Mutex<BTreeMap<String, Arc<Mount>>>>;

/// Bounds how many there are, and has each begin with a keyframe.
fn watch_clients(server: &RTSPServer, mounts: &Mounts, guests: &Arc<Guests>) {
    let (mounts, guests) = (Arc::clone(mounts), Arc::clone(guests));
    server.connect_client_connected(move |_, client| {
        if !guests.admit(client) {
            return client.close();
        }
        let known = Arc::clone(&guests);
        client.connect_closed(move |client| known.forget(client));
        keep_stage(client, &mounts);
        let known = Arc::clone(&mounts);
        client.connect_pre_play_request(move |_, context| {
            if let Some(mount) = asked_for(&known, context) {
                mount.fan.join();
            }
            gst_rtsp::RTSPStatusCode::Ok
        });
        let known = Arc::clone(&mounts);
        client.connect_play_request(move |_, context| {
            if let Some(mount) = asked_for(&known, context) {
                mount.fan.joined();
            }
        });
    });
}

/// Sees to it that the media that a client asks for is there, and stays for as long as the client does.
fn keep_stage(client: &RTSPClient, mounts: &Mounts) {
    let known = Arc::clone(mounts);
    let before = move |client: &RTSPClient, context: &RTSPContext| {
        if let Some(mount) = asked_for(&known, context) {
            mount.stage.admit(client);
        }
        gst_rtsp::RTSPStatusCode::Ok
    };
    client.connect_pre_describe_request(before.clone());
    client.connect_pre_setup_request(before);
    let known = Arc::clone(mounts);
    let after = move |_: &RTSPClient, context: &RTSPContext| {
        if let Some(mount) = asked_for(&known, context) {
            mount.stage.keep();
        }
    };
    client.connect_describe_request(after.clone());
    client.connect_setup_request(after);
}

/// Sends away who does nothing, and drops what nobody watches. On threads of their own: either may take long.
fn tidy(guests: &Guests, mounts: &[Arc<Mount>]) {
    let idle = guests.idle();
    if !idle.is_empty() {
        let close = move || idle.iter().for_each(RTSPClientExt::close);
        let _ = std::thread::Builder::new().name("dismiss".to_owned()).spawn(close);
    }
    for mount in mounts.iter().filter(|mount| mount.stage.is_deserted()) {
        let mount = Arc::clone(mount);
        let _ = std::thread::Builder::new().name("leave".to_owned()).spawn(move || mount.stage.leave());
    }
}

/// The mount of a request: its address may go on after the mount's path.
fn asked_for(mounts: &Mounts, context: &RTSPContext) -> Option<Arc<Mount>> {
    let parts = context.uri()?.decode_path_components();
    let parts: Vec<_> = parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
    let mounts = lock(mounts);
    (1..=parts.len()).rev().find_map(|count| mounts.get(&parts[..count].join("/")).cloned())
}

fn factory(mount: &Arc<Mount>) -> Result<RTSPMediaFactory, Fault> {
    let settings = &mount.settings;
    let launch = text("out-rtsp", settings.pipelines.as_deref(), &[("codec", codec::name(settings.codec))])?;
    let factory = RTSPMediaFactory::new();
    factory.set_launch(&launch);
    factory.set_shared(true);
    factory.set_suspend_mode(RTSPSuspendMode::None);
    factory.set_protocols(gst_rtsp::RTSPLowerTrans::UDP | gst_rtsp::RTSPLowerTrans::TCP);
    factory.add_role_from_structure(
        &gstreamer::Structure::builder(VIEWER)
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build(),
    );
    let weak = Arc::downgrade(mount);
    factory.connect_media_configure(move |_, media| {
        if let Some(mount) = weak.upgrade() {
            feed(media, &mount);
        }
    });
    Ok(factory)
}

/// Has the mount's encoder feed a media for as long as somebody has it.
fn feed(media: &RTSPMedia, mount: &Arc<Mount>) {
    let coded = media.element().downcast::<gstreamer::Bin>().ok().and_then(|bin| bin.by_name("coded"));
    let Some(coded) = coded.and_then(|coded| coded.downcast::<AppSrc>().ok()) else { return };
    codec::prepare(&coded, mount.settings.codec);
    mount.stage.set(media);
    mount.fan.add(coded.clone(), false);
    let fan = Arc::clone(&mount.fan);
    media.connect_unprepared(move |_| fan.remove(&coded));
}

fn authentication(settings: &ServeSettings) -> Result<Option<RTSPAuth>, Fault> {
    let ServeSettings { users, certificate, .. } = settings;
    if users.is_none() && certificate.is_none() {
        return Ok(None);
    }
    let auth = RTSPAuth::new();
    if let Some(pem) = certificate {
        let certificate = gio::TlsCertificate::from_pem(pem.expose_secret());
        let certificate = certificate.map_err(|e| broken("cannot use restream.certificate", e.message()))?;
        auth.set_tls_certificate(Some(&certificate));
    }
    let mut token = RTSPToken::builder().field("media.factory.role", VIEWER).build();
    match users {
        Some(users) => admit(&auth, users, &token)?,
        None => auth.set_default_token(Some(&mut token)),
    }
    Ok(Some(auth))
}

/// Asks for a password. The server reads it from a file alone; this one is nowhere but in memory.
fn admit(auth: &RTSPAuth, users: &Users, token: &RTSPToken) -> Result<(), Fault> {
    auth.set_supported_methods(gst_rtsp::RTSPAuthMethod::Digest);
    auth.set_realm(Some(&users.realm));
    let memory = memfd_create(c"users", MemfdFlags::CLOEXEC).map_err(|e| broken(DOING, e))?;
    let mut rest = users.lines.expose_secret().as_bytes();
    while !rest.is_empty() {
        let written = rustix::io::write(&memory, rest).map_err(|e| broken(DOING, e))?;
        rest = &rest[written..];
    }
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    if auth.parse_htdigest(path, token) { Ok(()) } else { Err(broken(DOING, "the users cannot be read")) }
}
