//! Video to a media server that takes it by RTSP RECORD, for as long as the mount is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Link;
use super::codec;
use super::mount::Mount;
use crate::address::percent_decoded;
use crate::clock::Monotonic;
use crate::fault::Fault;
use crate::gst::{meaning, text};
use crate::restream::broken;
use crate::ring::server::FromServer;
use crate::ring::wire::{FailReason, NoticeLevel};

/// The first pause before another attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What held for so long begins with the first pause again.
const STEADY: Duration = Duration::from_secs(30);

/// How long a server may take nothing before it counts as gone.
const STALLED: Duration = Duration::from_secs(10);

/// Frames that go into a connection which the server has not agreed to yet: what it takes beyond them it takes.
const AHEAD: u64 = 8;

/// Connections that do not end though they were told to, each with its threads, before no more is made until one ends: a
/// server that talks without ever saying anything keeps them.
const MOST_UNENDED: usize = 2;

/// How often a connection is looked after.
const TICK: Duration = Duration::from_millis(200);

const DOING: &str = "cannot push video";

/// Where to, taken apart: what is logged never holds a credential.
struct Target {
    location: String,
    user: Option<String>,
    password: Option<SecretString>,
}

impl Target {
    fn of(uri: &SecretString) -> Result<Self, Fault> {
        let mut url = Url::parse(uri.expose_secret()).map_err(|_| broken(DOING, "its address is none"))?;
        let decoded =
            |text: &str| percent_decoded(text).ok_or_else(|| broken(DOING, "its user or password is no text"));
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(decoded).transpose()?;
        let password = url.password().map(decoded).transpose()?.map(SecretString::from);
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err(broken(DOING, "its address has no host"));
        }
        Ok(Self { location: url.into(), user, password })
    }
}

/// Starts the thread that pushes a mount's video, if that is wanted.
///
/// # Errors
/// The address is none, or the thread cannot be started.
pub(super) fn start(mount: &Arc<Mount>, link: &Arc<Link>) -> Result<(), Fault> {
    let Some(uri) = &mount.settings.push else { return Ok(()) };
    let target = Target::of(uri)?;
    let (mount, link) = (Arc::clone(mount), Arc::clone(link));
    let thread = std::thread::Builder::new().name(format!("push-{}", mount.settings.path));
    let pushed = thread.spawn(move || push(&mount, &target, &link));
    pushed.map(drop).map_err(|error| Fault::internal(format!("cannot start a thread: {error}")))
}

fn push(mount: &Arc<Mount>, target: &Target, link: &Link) {
    let (mut pause, mut told) = (PAUSES.0, String::new());
    let unended = Arc::new(());
    while !mount.has_ended() {
        let began = Monotonic::now();
        let trouble = match Arc::strong_count(&unended) {
            count if count > MOST_UNENDED => "the connections before do not end".to_owned(),
            _ => Connection::open(mount, target, &unended)
                .map_or_else(|fault| fault.to_string(), |it| it.watch(link, target, &mut told)),
        };
        link.say(&FromServer::Pushed { id: mount.id, flows: false });
        if mount.has_ended() {
            return;
        }
        if began.elapsed() > STEADY {
            pause = PAUSES.0;
        }
        // a server that is away for days is worth one line
        if told != trouble {
            let text = format!("video to {} is interrupted, and tried again: {trouble}", target.location);
            link.notice(Some(mount.id), NoticeLevel::Warn, &text);
            told = trouble;
        }
        let until = Monotonic::now().plus(pause);
        while Monotonic::now() < until && !mount.has_ended() {
            std::thread::sleep(TICK);
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// A pipeline to the server. Dropping it does not wait for it.
struct Connection {
    mount: Arc<Mount>,
    pipeline: gst::Pipeline,
    coded: AppSrc,
    /// Frames that have gone into it.
    taken: Arc<AtomicU64>,
    /// Shared with all others that have not ended.
    unended: Arc<()>,
}

impl Connection {
    fn open(mount: &Arc<Mount>, target: &Target, unended: &Arc<()>) -> Result<Self, Fault> {
        let settings = &mount.settings;
        let description = text("push", settings.pipelines.as_deref(), &[("codec", codec::name(settings.codec))])?;
        let pipeline = gst::parse::launch(&description).map_err(|e| broken(DOING, e.message()))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| broken(DOING, "not a pipeline"))?;
        let missing = |name: &str| broken(DOING, format!("its text has no element named {name} of the right kind"));
        let server = pipeline.by_name("server").ok_or_else(|| missing("server"))?;
        server.set_property("location", &target.location);
        if let Some(user) = &target.user {
            server.set_property("user-id", user);
        }
        if let Some(password) = &target.password {
            server.set_property("user-pw", password.expose_secret());
        }
        let coded = pipeline.by_name("coded").and_then(|coded| coded.downcast::<AppSrc>().ok());
        let coded = coded.ok_or_else(|| missing("coded"))?;
        codec::prepare(&coded, settings.codec);
        let taken = count(&coded);
        mount.fan.add(coded.clone(), true);
        let connection = Self { mount: Arc::clone(mount), pipeline, coded, taken, unended: Arc::clone(unended) };
        // the bus has the reason where this fails
        let _ = connection.pipeline.set_state(gst::State::Playing);
        Ok(connection)
    }

    /// Until it breaks, or the mount ends; why. What was `told` of it is settled once video flows.
    fn watch(self, link: &Link, target: &Target, told: &mut String) -> String {
        let mut taken = (0, Monotonic::now());
        let mut flows = false;
        while !self.mount.has_ended() {
            if let Some(trouble) = self.trouble() {
                return trouble;
            }
            let count = self.taken.load(Ordering::Relaxed);
            if count != taken.0 {
                taken = (count, Monotonic::now());
            } else if taken.1.elapsed() > STALLED {
                return if flows { "it takes nothing" } else { meaning::sentence(FailReason::Timeout) }.to_owned();
            }
            if !flows && count > AHEAD {
                flows = true;
                told.clear();
                link.say(&FromServer::Pushed { id: self.mount.id, flows });
                link.notice(Some(self.mount.id), NoticeLevel::Info, &format!("video goes to {}", target.location));
            }
        }
        "the mount has ended".to_owned()
    }

    /// What the server or the pipeline says is wrong; waits a little for it.
    fn trouble(&self) -> Option<String> {
        use gst::MessageType as Type;
        let Some(bus) = self.pipeline.bus() else { return Some("a pipeline without a bus".to_owned()) };
        let tick = gst::ClockTime::from_mseconds(TICK.as_millis() as u64);
        let message = bus.timed_pop_filtered(tick, &[Type::Error, Type::Warning, Type::Eos])?;
        match message.view() {
            gst::MessageView::Error(error) => {
                let debug = error.debug().unwrap_or_default();
                Some(meaning::meaning(&error.error(), &debug, "server").1)
            }
            // The server has hung up. The element connects anew by itself then, and sends packets of a session that is no more.
            gst::MessageView::Warning(warning) => warning
                .error()
                .matches(gst::ResourceError::Read)
                .then(|| meaning::meaning(&warning.error(), "", "server").1),
            _ => Some("it has ended".to_owned()),
        }
    }
}

/// Counts the frames that leave a source.
fn count(source: &AppSrc) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    if let Some(pad) = source.static_pad("src") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
    count
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.mount.fan.remove(&self.coded);
        let (pipeline, unended) = (self.pipeline.clone(), Arc::clone(&self.unended));
        // saying goodbye to a server that hangs may take for ever
        let bury = move || {
            let _ = pipeline.set_state(gst::State::Null);
            drop(unended);
        };
        let _ = std::thread::Builder::new().name("bury".to_owned()).spawn(bury);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_the_address() {
        let of = |uri: &str| Target::of(&SecretString::from(uri));
        let target = of("rtsp://me:s%20t@host:8554/a/b?c=d").unwrap();
        assert_eq!(target.location, "rtsp://host:8554/a/b?c=d");
        assert_eq!(target.user.as_deref(), Some("me"));
        assert_eq!(target.password.unwrap().expose_secret(), "s t");
        assert!(of("rtsp://host/x").unwrap().user.is_none());
        assert!(of("me:secret").is_err_and(|fault| !fault.to_string().contains("secret")));
    }
}
