//! Video to a media server that takes it by RTSP RECORD, for as long as the mount is there.

use std::sync::Arc;
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
use crate::ring::wire::NoticeLevel;

/// The first pause before another attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What held for so long begins with the first pause again.
const STEADY: Duration = Duration::from_secs(30);

/// How long a server may take nothing before it counts as gone.
const STALLED: Duration = Duration::from_secs(10);

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
    let mut pause = PAUSES.0;
    loop {
        let began = Monotonic::now();
        let trouble = Connection::open(mount, target).map_or_else(|fault| fault.to_string(), |it| it.watch(mount));
        if mount.has_ended() {
            return;
        }
        if began.elapsed() > STEADY {
            pause = PAUSES.0;
        }
        let text = format!("video to {} is interrupted for {} s: {trouble}", target.location, pause.as_secs());
        link.notice(Some(mount.id), NoticeLevel::Warn, &text);
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
}

impl Connection {
    fn open(mount: &Arc<Mount>, target: &Target) -> Result<Self, Fault> {
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
        mount.fan.add(coded.clone(), true);
        let connection = Self { mount: Arc::clone(mount), pipeline, coded };
        // the bus has the reason where this fails
        let _ = connection.pipeline.set_state(gst::State::Playing);
        Ok(connection)
    }

    /// Until it breaks, or the mount ends; why.
    fn watch(self, mount: &Mount) -> String {
        let Some(bus) = self.pipeline.bus() else { return "a pipeline without a bus".to_owned() };
        let tick = gst::ClockTime::from_mseconds(TICK.as_millis() as u64);
        let mut taken = Monotonic::now();
        while !mount.has_ended() {
            let message = bus.timed_pop_filtered(tick, &[gst::MessageType::Error, gst::MessageType::Eos]);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => {
                    let debug = error.debug().unwrap_or_default();
                    return meaning::meaning(&error.error(), &debug, "server").1;
                }
                Some(_) => return "it has ended".to_owned(),
                None => {}
            }
            if self.coded.current_level_buffers() == 0 {
                taken = Monotonic::now();
            } else if taken.elapsed() > STALLED {
                return "it takes nothing".to_owned();
            }
        }
        "the mount has ended".to_owned()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.mount.fan.remove(&self.coded);
        let pipeline = self.pipeline.clone();
        // saying goodbye to a server that hangs may take for ever
        let _ = std::thread::Builder::new().name("bury".to_owned()).spawn(move || pipeline.set_state(gst::State::Null));
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
