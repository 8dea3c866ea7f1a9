//! The child that serves masked video: one for all cameras. Frames come out of each mount's ring, and go to whoever watches.
//!
//! | part | what it does |
//! |---|---|
//! | `server` | RTSP: connections, users, the main loop whose heartbeat says that the child lives |
//! | `guests` | who is connected, and does nothing |
//! | `stage` | the one media that a mount's players share |
//! | `mount` | a thread a mount: its frames, its slate, its encoder while somebody watches |
//! | `encoder` `codec` | one encoder a mount, on a pipeline of its own: hung, it is given up with its mount |
//! | `fan` | from the encoder to each taker, from a keyframe on |
//! | `push` | a mount's video to a media server |
//! | `pace` | times and rate of what goes out |
//!
//! A client shares the one media of its mount with the others; that media only makes packets of what the mount's
//! encoder gives.

pub(super) mod codec;
mod encoder;
mod fan;
mod guests;
mod mount;
mod pace;
mod push;
mod server;
mod slate;
mod stage;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::fault::{Fault, FaultKind};
use crate::gst;
use crate::ring::out::OutputEnd;
use crate::ring::server::{FromServer, MountSettings, ServeSettings, ServedEnd, ToServer};
use crate::ring::wire::{NoticeLevel, Received, SendError};

use mount::Mount;
use server::Server;

/// Plugins by short name. Those that are not installed are passed over.
const PLUGINS: &[&str] = &[
    // what speaks RTSP
    "rtp",
    "rtpmanager",
    "rtsp",
    "rtspclientsink",
    "udp",
    "tcp",
    // encoders in software
    "x264",
    "x265",
    "openh264",
    // encoders in hardware
    "va",
    "nvcodec",
    "video4linux2",
];

/// How long the first message may take.
const GREETING: Duration = Duration::from_secs(10);
/// How long the brain may take to read what is said.
const PATIENCE: Duration = Duration::from_millis(250);

/// The child's whole life. Standard input must be the socket to the brain.
///
/// # Errors
/// It was not started by the daemon.
pub fn run() -> Result<ExitCode, Fault> {
    let channel = ServedEnd::inherited()
        .map_err(|_| Fault::new(FaultKind::Usage, "visor restream is started by visor itself, not by hand"))?;
    let link = Arc::new(Link { channel });
    let Err(fault) = serve(&link) else { return Ok(ExitCode::SUCCESS) };
    link.say(&FromServer::Failed { text: fault.to_string().into() });
    Ok(ExitCode::from(fault.kind.exit_code()))
}

fn serve(link: &Arc<Link>) -> Result<(), Fault> {
    // on this thread and before any other exists: all of them inherit it
    if let Some(text) = gst::confine(gst::Memory::OUTPUT)?.notice() {
        link.notice(None, NoticeLevel::Machine, text);
    }
    let Some(settings) = link.settings() else { return Ok(()) };
    let teller = Arc::clone(link);
    gst::on_abort(move |text| teller.fail(text));
    gst::start(PLUGINS)?;
    let server = Arc::new(Server::bind(&settings)?);
    link.say(&FromServer::Listening { address: server.address() });
    let control = Control { link: Arc::clone(link), server: Arc::clone(&server), mounts: HashMap::new() };
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || control.listen())
        .map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))?;
    server.run(link)
}

/// The child's end of its own socket.
struct Link {
    channel: ServedEnd,
}

impl Link {
    /// The first message; `None` where the brain sends something else, or goes away.
    fn settings(&self) -> Option<ServeSettings> {
        match self.channel.recv(Monotonic::now().plus(GREETING)) {
            Received::Message { msg: ToServer::Serve(settings), .. } => Some(settings),
            _ => None,
        }
    }

    /// Says something; exits where nobody listens any more. What a brain that does not read misses, it misses.
    fn say(&self, message: &FromServer) {
        if self.channel.send_until(message, None, Monotonic::now().plus(PATIENCE)) == Err(SendError::Closed) {
            std::process::exit(0);
        }
    }

    /// Says why, and ends the process.
    fn fail(&self, text: &str) -> ! {
        self.say(&FromServer::Failed { text: text.into() });
        std::process::exit(1)
    }

    /// A line for the brain's log. Never a credential.
    fn notice(&self, id: Option<u32>, level: NoticeLevel, text: &str) {
        self.say(&FromServer::Notice { id, level, text: text.into() });
    }
}

/// The control thread: it depends on nothing that GStreamer does, so that the process ends when the brain is gone,
/// whatever else hangs.
struct Control {
    link: Arc<Link>,
    server: Arc<Server>,
    mounts: HashMap<u32, Arc<Mount>>,
}

impl Control {
    fn listen(mut self) {
        loop {
            match self.link.channel.recv(Monotonic::now().plus(Duration::from_secs(3600))) {
                Received::Message { msg: ToServer::Mount { id, mount }, fd: Some(fd) } => {
                    let mounted = self.mount(id, mount, fd);
                    match mounted {
                        Ok(mount) => drop(self.mounts.insert(id, mount)),
                        Err(fault) => {
                            self.link.say(&FromServer::Lost { id, hung: false, text: fault.to_string().into() })
                        }
                    }
                }
                Received::Message { msg: ToServer::Unmount { id }, .. } => {
                    if let Some(mount) = self.mounts.remove(&id) {
                        self.server.remove(&mount);
                        mount.end();
                    }
                }
                Received::Message { .. } | Received::TimedOut => {}
                // nobody is left to serve for
                Received::Closed | Received::Garbage(_) => std::process::exit(0),
            }
        }
    }

    fn mount(&self, id: u32, settings: MountSettings, frames: OwnedFd) -> Result<Arc<Mount>, Fault> {
        let frames = OutputEnd::adopt(frames).map_err(|e| Fault::internal(format!("no channel for frames: {e}")))?;
        let mount = Mount::start(id, settings, frames, &self.link)?;
        let added = self.server.add(&mount).and_then(|()| push::start(&mount, &self.link));
        if added.is_err() {
            self.server.remove(&mount);
            mount.end();
        }
        added.map(|()| mount)
    }
}
