//! Starts the child that serves, listens to it, and replaces it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{error, warn};

use super::child::{End, STARTUP, Served};
use super::config::{Codec, Mount, Settings};
use super::outlet::{Mailbox, Outlet};
use super::rests::Rests;
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::metrics::{FRAMES_DROPPED, RESTREAM_CLIENTS, RESTREAM_INTERRUPTIONS, RESTREAM_PUSH_UP, RESTREAM_RESTARTS};
use crate::ring::out::OutEnd;
use crate::ring::server::{self, MountSettings, ServerEnd, ToServer};

/// A child that served for less than this is followed by the next one after a pause.
const STEADY: Duration = Duration::from_secs(10);

/// The first such pause; the longest after a crash, however many there were before; and the longest where there was nothing
/// to be served with.
const PAUSES: (Duration, Duration, Duration) =
    (Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(10));

/// Serves masked video, as long as it is there. Dropping it ends the child.
pub struct Restream {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What whoever has an outlet and the thread that minds the child both know.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    settings: Settings,
    /// The present child, from its start on.
    child: Option<Arc<ServerEnd>>,
    /// Its process.
    id: Option<u32>,
    /// Whether it listens.
    listening: bool,
    /// Where it listens. Kept from child to child, so that a port that the system chose stays.
    address: Option<SocketAddr>,
    mounts: BTreeMap<u32, Mounted>,
    next: u32,
    /// The last child's end, where it could not do its work.
    failed: Option<Fault>,
    /// The present child is to end: other settings hold.
    replaced: bool,
    ended: bool,
}

struct Mounted {
    camera: String,
    mount: Mount,
    mailbox: Arc<Mutex<Mailbox>>,
    dropped: u64,
}

impl Restream {
    /// Starts the child, and waits until players can connect.
    ///
    /// # Errors
    /// It cannot listen there, a file of the settings cannot be read, or GStreamer is not as it should be.
    pub fn start(settings: Settings) -> Result<Self, Fault> {
        // the program that runs now, even where its file has been replaced by an update
        Self::start_with(Path::new("/proc/self/exe"), settings)
    }

    /// The same with a child that is `program`, called as `program restream`.
    ///
    /// # Errors
    /// As those of [`Restream::start`].
    pub fn start_with(program: &Path, settings: Settings) -> Result<Self, Fault> {
        let state = State {
            settings,
            child: None,
            id: None,
            listening: false,
            address: None,
            mounts: BTreeMap::new(),
            next: 0,
            failed: None,
            replaced: false,
            ended: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (keeper, program) = (Arc::clone(&shared), program.to_owned());
        let thread = std::thread::Builder::new().name("restream".to_owned()).spawn(move || keep(&keeper, &program));
        let thread = thread.map_err(|e| Fault::internal(format!("cannot start the thread restream: {e}")))?;
        let restream = Self { shared, thread: Some(thread) };
        let undecided = |state: &mut State| state.address.is_none() && state.failed.is_none();
        let state = restream.shared.lock();
        let waited = restream.shared.changed.wait_timeout_while(state, STARTUP, undecided);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match (state.address, state.failed.take()) {
            (Some(_), _) => {}
            (None, Some(fault)) => return Err(fault),
            (None, None) => return Err(Fault::unavailable("the RTSP server does not start")),
        }
        drop(state);
        Ok(restream)
    }

    /// Serves as `settings` say from now on; players have to connect anew where they differ.
    pub fn apply(&self, settings: Settings) {
        let mut state = self.shared.lock();
        if state.settings != settings {
            // a port that the system chose stays
            state.address = state.address.filter(|_| state.settings.listen == settings.listen);
            state.settings = settings;
            state.replace();
        }
    }

    /// Where players can connect; `None` while they cannot.
    pub fn listening(&self) -> Option<SocketAddr> {
        let state = self.shared.lock();
        state.address.filter(|_| state.listening)
    }

    /// The child's process; `None` while there is none.
    pub fn id(&self) -> Option<u32> {
        self.shared.lock().id
    }

    /// Makes a way out for a camera's masked frames.
    pub fn mount(&self, camera: &str, mount: Mount) -> Outlet {
        let mut state = self.shared.lock();
        let id = state.next;
        state.next += 1;
        let mailbox = Arc::new(Mutex::new(Mailbox { size: mount.size, ..Mailbox::default() }));
        let mounted = Mounted { camera: camera.to_owned(), mount, mailbox: Arc::clone(&mailbox), dropped: 0 };
        mounted.pushed(false);
        if let Some(child) = state.child.as_ref().filter(|_| state.listening) {
            mounted.introduce(id, child);
        }
        state.mounts.insert(id, mounted);
        let shared = Arc::clone(&self.shared);
        Outlet::new(camera, mailbox, Box::new(move || shared.unmount(id)))
    }
}

impl Drop for Restream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        state.replace();
        drop(state);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unmount(&self, id: u32) {
        let mut state = self.lock();
        if let Some(mounted) = state.mounts.remove(&id) {
            mounted.interrupted();
        }
        if let Some(child) = &state.child {
            // one that does not read will be replaced, and its successor never hears of this mount
            let _ = child.send(&ToServer::Unmount { id }, None);
        }
    }

    /// Waits until it is time for the next child; what to start it with, or `None` once none is wanted.
    fn next(&self, pause: Duration) -> Option<(Settings, Option<SocketAddr>)> {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, pause, |state| !state.ended && !state.replaced);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.replaced = false;
        (!state.ended).then(|| (state.settings.clone(), state.address))
    }

    /// A child has been started. It may be that it is to end already.
    pub(super) fn started(&self, child: &Arc<ServerEnd>, id: u32) {
        let mut state = self.lock();
        state.id = Some(id);
        state.child = Some(Arc::clone(child));
        if state.ended || state.replaced {
            child.close();
        }
    }

    /// Players can connect to the child. Mounts that rest come later.
    pub(super) fn listening(&self, child: &Arc<ServerEnd>, address: SocketAddr, rests: &Rests) {
        let mut state = self.lock();
        state.address = Some(address);
        state.listening = true;
        for (id, mounted) in &mut state.mounts {
            mounted.dropped = 0;
            if !rests.has(*id) {
                mounted.introduce(*id, child);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Tries once more with a mount that a child has lost. One that does not listen yet gets it with the others.
    pub(super) fn mount_again(&self, id: u32) {
        let state = self.lock();
        let child = state.child.as_ref().filter(|_| state.listening);
        if let (Some(mounted), Some(child)) = (state.mounts.get(&id), child) {
            mounted.introduce(id, child);
        }
    }

    /// A mount's video is interrupted; its camera.
    pub(super) fn interrupted(&self, id: u32) -> Option<String> {
        let state = self.lock();
        let mounted = state.mounts.get(&id)?;
        counter!(RESTREAM_INTERRUPTIONS, "camera" => mounted.camera.clone()).increment(1);
        mounted.interrupted();
        Some(mounted.camera.clone())
    }

    /// The camera of a mount.
    pub(super) fn camera(&self, id: u32) -> Option<String> {
        self.lock().mounts.get(&id).map(|mounted| mounted.camera.clone())
    }

    /// How a mount does.
    pub(super) fn stats(&self, id: u32, clients: u32, dropped: u64) {
        let mut state = self.lock();
        let Some(mounted) = state.mounts.get_mut(&id) else { return };
        let more = dropped.saturating_sub(mounted.dropped);
        mounted.dropped = dropped;
        gauge!(RESTREAM_CLIENTS, "camera" => mounted.camera.clone()).set(f64::from(clients));
        counter!(FRAMES_DROPPED, "camera" => mounted.camera.clone(), "reason" => "encoder_slow").increment(more);
    }

    /// Whether a mount's media server takes its video.
    pub(super) fn pushed(&self, id: u32, flows: bool) {
        if let Some(mounted) = self.lock().mounts.get(&id) {
            mounted.pushed(flows);
        }
    }

    /// The child is gone. Whether that was wanted.
    fn gone(&self, end: End) -> bool {
        let mut state = self.lock();
        state.child = None;
        state.id = None;
        state.listening = false;
        state.mounts.values().for_each(Mounted::interrupted);
        let wanted = state.ended || state.replaced;
        if !wanted {
            counter!(RESTREAM_RESTARTS, "reason" => end.reason()).increment(1);
            match end {
                End::Failed(fault) => {
                    error!(error = %fault, "masked video is not served");
                    state.failed = Some(fault);
                }
                end => warn!(reason = end.reason(), "the RTSP server is started again"),
            }
        }
        drop(state);
        self.changed.notify_all();
        wanted
    }
}

impl State {
    /// Ends the present child.
    fn replace(&mut self) {
        self.replaced = true;
        self.listening = false;
        if let Some(child) = self.child.take() {
            child.close();
        }
    }
}

impl Mounted {
    /// Nothing goes out.
    fn interrupted(&self) {
        gauge!(RESTREAM_CLIENTS, "camera" => self.camera.clone()).set(0.0);
        self.pushed(false);
    }

    /// Whether its media server, if it has one, takes its video.
    fn pushed(&self, flows: bool) {
        if self.mount.push.is_some() {
            gauge!(RESTREAM_PUSH_UP, "camera" => self.camera.clone()).set(f64::from(u8::from(flows)));
        }
    }

    /// Has the child serve this mount, and passes the way there to the outlet.
    fn introduce(&self, id: u32, child: &ServerEnd) {
        let Ok((ours, theirs)) = OutEnd::pair() else { return };
        let theirs = theirs.into_fd();
        let mut mailbox = self.mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mount = self.settings(&mailbox);
        // one that does not read is replaced before long
        if child.send(&ToServer::Mount { id, mount }, Some(theirs.as_fd())).is_ok() {
            mailbox.end = Some(ours);
        }
    }

    fn settings(&self, mailbox: &Mailbox) -> MountSettings {
        let Mount { path, codec, bitrate_kbps, push, pipelines, .. } = &self.mount;
        MountSettings {
            path: path.clone(),
            codec: match codec {
                Codec::H264 => server::Codec::H264,
                Codec::H265 => server::Codec::H265,
            },
            bitrate_kbps: *bitrate_kbps,
            size: mailbox.size,
            fps: mailbox.fps,
            push: push.as_ref().map(|push| push.uri.clone()),
            pipelines: pipelines.clone(),
        }
    }
}

/// The thread: one child after the other.
fn keep(shared: &Arc<Shared>, program: &Path) {
    let (mut pause, mut rests) = (Duration::ZERO, Rests::default());
    while let Some(settings) = shared.next(pause) {
        let began = Monotonic::now();
        let end = Served::start(program, &settings, shared);
        let end = end.map_or_else(End::Failed, |served| served.run(&mut rests));
        if !matches!(end, End::Stuck) {
            // no mount has taken it along
            rests = Rests::default();
        }
        let longest = if matches!(end, End::Failed(_)) { PAUSES.2 } else { PAUSES.1 };
        let wanted = shared.gone(end);
        pause = match pause {
            _ if wanted || began.elapsed() > STEADY => Duration::ZERO,
            Duration::ZERO => PAUSES.0,
            pause => (pause * 2).min(longest),
        };
    }
}
