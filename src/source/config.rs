//! A source's settings: as written, and as needed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::uri::{Scheme, Scrub, Target, Uri};
use crate::fault::Problem;
use crate::ring::MAX_SLOTS;
use crate::ring::wire::{CaptureSettings, Decoder, Pace, Rotate, Transport, Trust};
use crate::units::Period;

/// Where a camera's pictures come from, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// Address: `rtsp://`, `rtsps://`, `http://` or `https://` (MJPEG), `v4l2:///dev/video0`, `file:///clip.mp4` or `test:`.
    pub uri: Uri,
    /// User name, where it is not in the address.
    #[serde(default)]
    pub username: Option<String>,
    /// File with the password, where it is not in the address; a line feed at its end is ignored.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How RTSP travels: `tcp` (default) or `udp`.
    #[serde(default)]
    pub transport: Transport,
    /// Certificates to trust instead of the system's, for `rtsps://` and `https://`: a PEM file. A camera that signed
    /// its certificate itself may have that one here.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Whether the camera's certificate is checked. Default `true`; `false` believes whoever answers at the address.
    #[serde(default = "defaults::tls_verify")]
    pub tls_verify: bool,
    /// How long RTP packets may wait for those before them, `0s` to `10s`. Default `100ms`.
    #[serde(default = "defaults::latency")]
    pub latency: Period,
    /// How long opening the source may take, `500ms` to `60s`. Default `5s`.
    #[serde(default = "defaults::connect_timeout")]
    pub connect_timeout: Period,
    /// Without a frame for this long the source is opened again, `500ms` to `10m`. Default `5s`.
    #[serde(default = "defaults::stall_timeout")]
    pub stall_timeout: Period,
    /// How to turn the picture, clockwise: `auto` (default, as the stream says), `none`, `90`, `180` or `270`.
    #[serde(default)]
    pub rotate: Rotate,
    /// How fast a file is played: `realtime` (default) or `fast`. Without meaning for anything live.
    #[serde(default)]
    pub pace: FilePace,
    /// Whether a file begins again at its end. Default `false`.
    #[serde(default)]
    pub repeat: bool,
    /// Decoders: `auto` (default, hardware where it works) or `software`.
    #[serde(default)]
    pub decoder: Decoder,
    /// Folder with pipeline texts (`rtsp.launch` …) that replace the built-in ones of the same name. Default: none.
    #[serde(default)]
    pub pipelines: Option<PathBuf>,
    /// A camera's clock that is further off than this is not believed, `0s` to `1h`. Default `10s`.
    #[serde(default = "defaults::max_clock_skew")]
    pub max_clock_skew: Period,
}

/// How fast a file is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FilePace {
    /// At the speed of its own times, slower where the analysis is; none is left out.
    #[default]
    Realtime,
    /// As fast as its frames are taken; none is left out.
    Fast,
}

mod defaults {
    use crate::units::Period;

    pub fn tls_verify() -> bool {
        true
    }
    pub fn latency() -> Period {
        Period::millis(100)
    }
    pub fn connect_timeout() -> Period {
        Period::secs(5)
    }
    pub fn stall_timeout() -> Period {
        Period::secs(5)
    }
    pub fn max_clock_skew() -> Period {
        Period::secs(10)
    }
}

impl Config {
    /// The default settings for an address.
    pub fn new(uri: Uri) -> Self {
        Self {
            uri,
            username: None,
            password_file: None,
            transport: Transport::default(),
            ca_file: None,
            tls_verify: defaults::tls_verify(),
            latency: defaults::latency(),
            connect_timeout: defaults::connect_timeout(),
            stall_timeout: defaults::stall_timeout(),
            rotate: Rotate::default(),
            pace: FilePace::default(),
            repeat: false,
            decoder: Decoder::default(),
            pipelines: None,
            max_clock_skew: defaults::max_clock_skew(),
        }
    }

    /// Checks everything, reads the password, and gives what a source needs. `slots` is how many frames the brain may hold at a time,
    /// and those that the child works on; its sink's last one is added here.
    ///
    /// # Errors
    /// Every problem there is, each with its key.
    pub fn resolve(&self, slots: u32) -> Result<Settings, Vec<Problem>> {
        let mut problems = self.times_out_of_bounds();
        if let Some(folder) = self.pipelines.as_deref().filter(|folder| !folder.is_dir()) {
            let what = format!("{} is no folder", folder.display());
            problems.push(Problem::new("pipelines", what).remedy("name a folder with .launch files, or leave it out"));
        }
        let target = match self.uri.target() {
            Ok(target) => {
                problems.extend(self.misplaced_trust(target.scheme));
                problems.extend(self.ca_file.as_deref().and_then(unusable_certificates));
                self.with_credentials(target).map_err(|problem| problems.push(problem)).ok()
            }
            Err(fault) => {
                problems.push(Problem::new("uri", fault.what).remedy(fault.remedy));
                None
            }
        };
        match target {
            Some(target) if problems.is_empty() => Ok(self.settings(&target, slots)),
            _ => Err(problems),
        }
    }

    fn times_out_of_bounds(&self) -> Vec<Problem> {
        let bounds = [
            ("latency", self.latency, Period::secs(0), Period::secs(10)),
            ("connect_timeout", self.connect_timeout, Period::millis(500), Period::secs(60)),
            ("stall_timeout", self.stall_timeout, Period::millis(500), Period::secs(600)),
            ("max_clock_skew", self.max_clock_skew, Period::secs(0), Period::secs(3600)),
        ];
        let outside = bounds.into_iter().filter(|(_, value, least, most)| !(least..=most).contains(&value));
        outside
            .map(|(key, value, least, most)| {
                let what = format!("{value} is not between {least} and {most}");
                Problem::new(key, what).remedy("choose a time between them")
            })
            .collect()
    }

    /// What is said of certificates where there are none.
    fn misplaced_trust(&self, scheme: Scheme) -> Option<Problem> {
        let key = match (&self.ca_file, self.tls_verify) {
            _ if matches!(scheme, Scheme::Rtsps | Scheme::Https) => return None,
            (Some(_), _) => "ca_file",
            (None, false) => "tls_verify",
            (None, true) => return None,
        };
        Some(Problem::new(key, "is of no use: only rtsps:// and https:// have certificates").remedy("remove it"))
    }

    fn with_credentials(&self, target: Target) -> Result<Target, Problem> {
        let (user, file) = match (&self.username, &self.password_file) {
            (None, None) => return Ok(target),
            (None, Some(_)) => {
                return Err(Problem::new("password_file", "a password without a user").remedy("set username too"));
            }
            (Some(user), file) => (user, file),
        };
        if target.has_credentials() {
            return Err(Problem::new("username", "is also in uri").remedy("name the user in one place"));
        }
        let password = file.as_deref().map_or_else(|| Ok(String::new()), read_password)?;
        target.with_credentials(user, &password).ok_or_else(|| {
            Problem::new("username", "this kind of source takes no credentials")
                .remedy("remove username and password_file")
        })
    }

    fn settings(&self, target: &Target, slots: u32) -> Settings {
        let pace = match (target.scheme, self.pace) {
            (Scheme::File, FilePace::Realtime) => Pace::Realtime,
            (Scheme::File, FilePace::Fast) => Pace::Fast,
            _ => Pace::Live,
        };
        Settings {
            capture: CaptureSettings {
                uri: target.secret(),
                transport: self.transport,
                latency: self.latency.0,
                connect_timeout: self.connect_timeout.0,
                trust: Trust { verify: self.tls_verify, ca_file: self.ca_file.clone() },
                rotate: self.rotate,
                pace,
                decoder: self.decoder,
                pipelines: self.pipelines.clone(),
            },
            scheme: target.scheme,
            display: target.display().to_owned(),
            peer: target.peer.clone(),
            scrub: target.scrub(),
            slots: slots.saturating_add(LAST_SHOWN).clamp(MIN_SLOTS, MAX_SLOTS),
            held: 0,
            repeat: self.repeat,
            limits: Limits {
                connect: self.connect_timeout.0,
                stall: self.stall_timeout.0,
                clock_skew: self.max_clock_skew.0,
                ..Limits::default()
            },
        }
    }
}

/// The picture that the child's sink showed last, which it keeps until the next.
const LAST_SHOWN: u32 = 1;

/// One slot that is being analysed, one that waits, one that is being written, one that is on its way, the last shown.
const MIN_SLOTS: u32 = 5;

/// The child reads them; a mistake is told before it is started.
fn unusable_certificates(path: &Path) -> Option<Problem> {
    let what = match std::fs::read_to_string(path) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => return None,
        Ok(_) => format!("{} holds no certificate", path.display()),
        Err(e) => format!("{} cannot be read: {e}", path.display()),
    };
    Some(Problem::new("ca_file", what).remedy("name a PEM file that visor's user may read"))
}

fn read_password(path: &Path) -> Result<String, Problem> {
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(e) => Err(Problem::new("password_file", format!("{} cannot be read: {e}", path.display()))
            .remedy("name a file that visor's user may read")),
    }
}

/// What a source needs, with everything resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the child is told.
    pub capture: CaptureSettings,
    /// The kind of source.
    pub scheme: Scheme,
    /// The address without credentials, for logs.
    pub display: String,
    /// Host and port to knock at while the camera cannot be reached.
    pub peer: Option<(String, u16)>,
    /// Slots of the ring, for a stream of [`USUAL_FPS`] frames a second.
    pub slots: u32,
    /// Those of them that hold frames for a length of time: the more frames come in it, the more are needed.
    pub held: u32,
    /// Whether a file begins again at its end.
    pub repeat: bool,
    /// How long is too long.
    pub limits: Limits,
    pub(super) scrub: Scrub,
}

impl Settings {
    /// The same, `held` of whose slots hold frames for a length of time.
    pub fn holding(self, held: u32) -> Self {
        Self { held, ..self }
    }

    /// Slots of the ring for a stream that says to give `fps` frames a second.
    pub fn slots_at(&self, fps: Option<f64>) -> u32 {
        let more = (f64::from(self.held) * (rate_factor(fps) - 1.0)).ceil() as u32;
        self.slots.saturating_add(more).min(MAX_SLOTS)
    }
}

/// Frames a second that a camera is taken to give at most, as long as it does not say that it gives more.
pub const USUAL_FPS: f64 = 30.0;

/// The highest rate that is believed.
const MOST_FPS: f64 = 120.0;

/// How many times as many frames are held of a stream that says to give `fps` a second as of a usual one; 1 at least.
pub fn rate_factor(fps: Option<f64>) -> f64 {
    fps.map_or(1.0, |fps| (fps.min(MOST_FPS) / USUAL_FPS).max(1.0))
}

impl PartialEq for Settings {
    /// Whether a running child may stay. The rest of the fields follows from the capture settings' address.
    fn eq(&self, other: &Self) -> bool {
        let of = |s: &Self| (s.slots, s.held, s.repeat, s.limits);
        self.capture == other.capture && of(self) == of(other)
    }
}

/// How long is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the child's start to its first word: loading libraries on a loaded machine takes a while.
    pub startup: Duration,
    /// Without a word from the child.
    pub hang: Duration,
    /// To open the source.
    pub connect: Duration,
    /// Without a frame.
    pub stall: Duration,
    /// Between a camera's clock and ours.
    pub clock_skew: Duration,
    /// From asking the child to stop to killing it.
    pub stop: Duration,
    /// First pause before a child is started again; doubles up to the most.
    pub backoff_least: Duration,
    /// Longest pause.
    pub backoff_most: Duration,
    /// After frames for this long, the next pause is the least again.
    pub healthy: Duration,
    /// Between two knocks at a camera that does not answer.
    pub probe_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            startup: Duration::from_secs(10),
            hang: Duration::from_secs(2),
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(5),
            clock_skew: Duration::from_secs(10),
            stop: Duration::from_millis(500),
            backoff_least: Duration::from_millis(250),
            backoff_most: Duration::from_secs(30),
            healthy: Duration::from_secs(10),
            probe_every: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use secrecy::ExposeSecret;

    use super::*;

    fn config(toml: &str) -> Config {
        toml::from_str(toml).unwrap()
    }

    fn keys(config: &Config) -> Vec<String> {
        config.resolve(8).unwrap_err().into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn an_address_is_all_that_is_needed() {
        let written = config(r#"uri = "rtsp://cam/live""#);
        assert_eq!(written, Config::new("rtsp://cam/live".into()));
        let settings = written.resolve(8).unwrap();
        assert_eq!((settings.capture.pace, settings.slots), (Pace::Live, 9));
        assert_eq!(settings.peer, Some(("cam".to_owned(), 554)));
    }

    #[test]
    fn every_key_is_read() {
        let settings = config(
            r#"
            uri = "file:///clip.mp4"
            transport = "udp"
            latency = "0s"
            connect_timeout = "1s"
            stall_timeout = "2s"
            rotate = "90"
            pace = "fast"
            repeat = true
            decoder = "software"
            max_clock_skew = "3s"
            "#,
        )
        .resolve(1)
        .unwrap();
        let CaptureSettings { transport, latency, connect_timeout, rotate, pace, decoder, .. } = settings.capture;
        assert_eq!((transport, latency, connect_timeout), (Transport::Udp, Duration::ZERO, Duration::from_secs(1)));
        assert_eq!((rotate, pace, decoder), (Rotate::Cw90, Pace::Fast, Decoder::Software));
        let Limits { stall, clock_skew, .. } = settings.limits;
        assert_eq!((stall, clock_skew), (Duration::from_secs(2), Duration::from_secs(3)));
        assert!(settings.repeat && settings.peer.is_none() && settings.slots == MIN_SLOTS);
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let wrong = config(
            r#"
            uri = "gopher://cam"
            latency = "11s"
            connect_timeout = "1ms"
            stall_timeout = "1h"
            max_clock_skew = "2h"
            pipelines = "/nonexistent"
            "#,
        );
        assert_eq!(keys(&wrong), ["latency", "connect_timeout", "stall_timeout", "max_clock_skew", "pipelines", "uri"]);
        assert_eq!(keys(&config("uri = \"rtsp://cam\"\npassword_file = \"/x\"")), ["password_file"]);
        assert_eq!(keys(&config("uri = \"test:\"\nusername = \"me\"")), ["username"]);
        assert_eq!(
            keys(&config("uri = \"rtsp://c\"\nusername = \"me\"\npassword_file = \"/nonexistent/x\"")),
            ["password_file"]
        );
    }

    #[test]
    fn a_password_comes_out_of_its_file_and_goes_nowhere_else() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "hunter2").unwrap();
        let mut config = config("uri = \"rtsp://cam/live\"\nusername = \"me\"");
        config.password_file = Some(file.path().to_owned());
        let settings = config.resolve(8).unwrap();
        assert_eq!(settings.capture.uri.expose_secret(), "rtsp://me:hunter2@cam/live");
        assert!(!format!("{config:?} {settings:?}").contains("hunter2"));
        assert_eq!(settings, config.resolve(8).unwrap());
        writeln!(file, "hunter3").unwrap();
        assert_ne!(settings, config.resolve(8).unwrap(), "another password is another setting");
    }
}
