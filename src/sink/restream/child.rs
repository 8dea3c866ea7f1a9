//! One child that serves, from its start to its end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tracing::{debug, info, warn};

use super::config::{Settings, Users};
use super::keeper::Shared;
use super::rests::Rests;
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::ring::server::{self, FromServer, ServeSettings, ServerEnd, ToServer};
use crate::ring::wire::{NoticeLevel, Received};
use crate::ring::{ENVIRONMENT, INHERITED};

/// How long a child may take from its start until it listens.
pub(super) const STARTUP: Duration = Duration::from_secs(10);

/// How long its main loop may be silent. It says that it lives every half second.
const HANG: Duration = Duration::from_millis(1500);

/// Encoders that hang, each with its threads and memory, before the child is replaced.
const MOST_HUNG: u32 = 3;

/// The longest line of a child's standard error that is kept whole.
const LINE: u64 = 2048;

/// glibc keeps a heap a thread, and what encoders give back stays in it: with a thread a client and encoders that come and
/// go the child would grow for long. Large blocks go back to the system.
const ALLOCATOR: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "65536")];

/// Lines that one child may have in the log in so much time.
const NOTICES: (u32, Duration) = (200, Duration::from_secs(3600));

/// Why a child is no more.
pub(super) enum End {
    /// It could not do what it was started for.
    Failed(Fault),
    /// It closed its socket, or was told to.
    Closed,
    /// It did not say in time that it lives.
    Hung,
    /// Too many of its encoders hang.
    Stuck,
    /// It said something that is no message.
    Lied,
}

impl End {
    /// The word in metrics and logs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Closed => "crash",
            Self::Hung => "hang",
            Self::Stuck => "encoders",
            Self::Lied => "protocol",
        }
    }
}

/// A child that has been started. Dropping it kills it.
pub(super) struct Served {
    child: Child,
    channel: Arc<ServerEnd>,
    shared: Arc<Shared>,
    hung: u32,
    /// Lines it has had, and since when.
    notices: (u32, Monotonic),
}

impl Served {
    /// Starts one. `address` is where the one before listened.
    ///
    /// # Errors
    /// A file of the settings cannot be read, or the process cannot be started.
    pub fn start(
        program: &Path,
        (settings, address): &(Settings, Option<SocketAddr>),
        shared: &Arc<Shared>,
    ) -> Result<Self, Fault> {
        let listen = address.filter(|address| address.ip() == settings.listen.ip()).unwrap_or(settings.listen);
        let serve = ServeSettings { listen, ..read(settings)? };
        let internal = |e: &dyn std::fmt::Display| Fault::internal(format!("the RTSP server cannot be started: {e}"));
        let (channel, theirs) = ServerEnd::pair().map_err(|e| internal(&e))?;
        channel.send(&ToServer::Serve(serve), None).map_err(|e| internal(&e))?;
        let mut command = Command::new(program);
        command.arg0("visor").arg("restream").current_dir("/");
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(ALLOCATOR.iter().copied());
        command.stdin(theirs.into_fd()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Ctrl-C on a terminal is for the daemon, which then ends its children in order
        command.process_group(0);
        let mut child = command.spawn().map_err(|e| internal(&e))?;
        debug!(pid = child.id(), "RTSP server started");
        if let Some(stderr) = child.stderr.take() {
            pass_on(stderr);
        }
        let channel = Arc::new(channel);
        shared.started(&channel, child.id());
        Ok(Self { child, channel, shared: Arc::clone(shared), hung: 0, notices: (0, Monotonic::now()) })
    }

    /// Listens to it until it is no more. Mounts that rest are left alone.
    pub fn run(mut self, rests: &mut Rests) -> End {
        let mut deadline = Monotonic::now().plus(STARTUP);
        loop {
            rests.over(Monotonic::now()).into_iter().for_each(|id| self.shared.mount_again(id));
            match self.channel.recv(rests.next().map_or(deadline, |again| again.min(deadline))) {
                Received::Message { msg, .. } => {
                    if let Some(end) = self.hear(msg, rests) {
                        return end;
                    }
                    deadline = Monotonic::now().plus(HANG);
                }
                Received::TimedOut if Monotonic::now() >= deadline => return End::Hung,
                Received::TimedOut => {}
                Received::Closed => return End::Closed,
                Received::Garbage(what) => {
                    warn!(error = what, "the RTSP server says what is no message");
                    return End::Lied;
                }
            }
        }
    }

    /// What a message comes to; the end where it is the last one.
    fn hear(&mut self, message: FromServer, rests: &mut Rests) -> Option<End> {
        match message {
            FromServer::Alive => {}
            FromServer::Listening { address } => {
                info!(%address, "serves masked video");
                self.shared.listening(&self.channel, address, rests);
            }
            FromServer::Stats { id, clients, dropped } => self.shared.stats(id, clients, dropped),
            FromServer::Pushed { id, flows } => self.shared.pushed(id, flows),
            FromServer::Notice { id, level, text } => self.notice(id, level, text.as_str()),
            FromServer::Lost { id, hung, text } => {
                // one that is mounted no more has lost nothing
                let camera = self.shared.interrupted(id)?;
                warn!(camera, error = text.as_str(), hung, "masked video is interrupted");
                let _ = self.channel.send(&ToServer::Unmount { id }, None);
                rests.lose(id, Monotonic::now());
                self.hung += u32::from(hung);
                return (self.hung >= MOST_HUNG).then_some(End::Stuck);
            }
            FromServer::Failed { text } => return Some(End::Failed(Fault::unavailable(text.as_str()))),
        }
        None
    }

    fn notice(&mut self, id: Option<u32>, level: NoticeLevel, text: &str) {
        if self.notices.1.elapsed() > NOTICES.1 {
            self.notices = (0, Monotonic::now());
        }
        self.notices.0 += 1;
        let camera = id.and_then(|id| self.shared.camera(id));
        let camera = camera.as_deref();
        match level {
            _ if self.notices.0 > NOTICES.0 => {}
            NoticeLevel::Debug => debug!(camera, text, "RTSP server notes"),
            NoticeLevel::Info => info!(camera, text, "RTSP server notes"),
            // capture children say the same of this machine, and once is enough
            NoticeLevel::Machine => debug!(text, "RTSP server warns"),
            NoticeLevel::Warn => warn!(camera, text, "RTSP server warns"),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child needs, out of the files that the settings name.
fn read(settings: &Settings) -> Result<ServeSettings, Fault> {
    let content = |file: &Path| {
        std::fs::read_to_string(file)
            .map(SecretString::from)
            .map_err(|e| Fault::unavailable(format!("cannot read {}: {e}", file.display())))
    };
    let users = |users: &Users| Ok(server::Users { realm: users.realm.clone(), lines: content(&users.file)? });
    let both = |(certificate, key): &(_, _)| -> Result<SecretString, Fault> {
        let (certificate, key): (&std::path::PathBuf, &std::path::PathBuf) = (certificate, key);
        Ok(SecretString::from(format!("{}\n{}", content(certificate)?.expose_secret(), content(key)?.expose_secret())))
    };
    Ok(ServeSettings {
        listen: settings.listen,
        users: settings.users.as_ref().map(users).transpose()?,
        certificate: settings.tls.as_ref().map(both).transpose()?,
    })
}

/// Reads a child's standard error to its end, line by line, so that it never blocks on it. GStreamer's words may hold
/// addresses, never passwords: those were given as properties.
fn pass_on(stderr: ChildStderr) {
    let read = move || {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while stderr.by_ref().take(LINE).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            debug!(text = String::from_utf8_lossy(&line).trim_end(), "RTSP server says");
            line.clear();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("log-restream".to_owned()).spawn(read) {
        warn!(%error, "the RTSP server's standard error is not read");
    }
}
