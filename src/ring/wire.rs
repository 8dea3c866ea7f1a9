//! What the brain and a capture child say to each other.
//!
//! The channel is one `AF_UNIX` `SOCK_SEQPACKET` pair. The child finds its end as **standard input** (fd 0; a plain
//! [`std::process::Command`] can put a socket there without `unsafe`): [`Channel::inherited`] takes it over and leaves
//! `/dev/null` in its place. A packet is one message as `postcard` writes it, of [`MAX_PACKET`] bytes at most. It names
//! no field, so that both ends have to be the same program, as a child always is. The one message that carries a file
//! descriptor is [`ToChild::Ring`]. The socket's end is the crash signal: each side exits or restarts when the other is gone.
//!
//! ```text
//! brain                             child
//! Settings            ─────▶
//!                     ◀─────        Opened
//!                     ◀─────        Want { layout, fps }       first frame, or a new size
//! Ring + memfd        ─────▶
//!                     ◀─────        Frame { slot … }
//! Release { slots }   ─────▶                                   when nothing in the brain holds the frames any more
//!                     ◀─────        Alive                      every 500 ms, from the child's main loop
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fields;
use crate::frame::{ClockSource, Layout};
use crate::geometry::Size;

pub use super::channel::{Channel, MAX_PACKET, Packet, Received, SendError};

/// The brain's end: sends [`ToChild`], receives [`ToBrain`].
pub type BrainEnd = Channel<ToChild, ToBrain>;

/// The child's end: sends [`ToBrain`], receives [`ToChild`].
pub type ChildEnd = Channel<ToBrain, ToChild>;

/// A child must say [`ToBrain::Alive`] this often, from the loop that does its work.
pub const ALIVE_EVERY: Duration = Duration::from_millis(500);

/// What the brain tells a capture child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToChild {
    /// Always the first message: what to open.
    Settings(CaptureSettings),
    /// Shared memory for pictures; the memfd comes with the message. It replaces the ring before it, whose slots the
    /// child must no longer write.
    Ring {
        /// Counts up with each ring that this child is given.
        id: u32,
        /// Number of slots.
        slots: u32,
        /// Bytes of a slot; slot `n` begins at byte `n * slot_bytes`.
        slot_bytes: u64,
    },
    /// These slots may be written again. For a ring that has been replaced it means nothing.
    Release {
        /// The ring they belong to.
        ring: u32,
        /// The slots.
        slots: Vec<u32>,
    },
    /// End: close the source and exit.
    Stop,
}

/// What a capture child tells the brain. The brain believes none of it unchecked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToBrain {
    /// Asks for a ring that fits this layout: before the first frame, and when the layout no longer fits.
    Want {
        /// The layout of the frames to come.
        layout: Layout,
        /// Nominal frames a second, where the source tells: the more come, the more are held at a time.
        #[serde(with = "fields::rate")]
        fps: Option<f64>,
    },
    /// A slot holds a picture, and belongs to the brain from now on.
    Frame(FrameHeader),
    /// The source is open.
    Opened(StreamInfo),
    /// The child's main loop runs; every [`ALIVE_EVERY`].
    Alive,
    /// The next picture is there and waits for its time: the source has a gap, and does not stall.
    Waiting,
    /// Something worth a line in the log. Never a credential.
    Notice {
        /// How loud.
        level: NoticeLevel,
        /// What.
        text: Text,
    },
    /// The child gives up, and exits.
    Failed {
        /// The meaning.
        reason: FailReason,
        /// For people. Never a credential.
        text: Text,
    },
    /// The source has ended after its last frame; the child exits once it is told to stop.
    EndOfStream,
}

/// A picture's place, form and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameHeader {
    /// The ring it is in.
    pub ring: u32,
    /// The slot it is in.
    pub slot: u32,
    /// Size, format and planes; offsets count from the slot's first byte.
    pub layout: Layout,
    /// Presentation time since the stream began, in nanoseconds, as the stream tells it: it may go back or jump.
    pub pts_ns: u64,
    /// `CLOCK_MONOTONIC` when the picture had been decoded, in nanoseconds.
    pub arrived_ns: u64,
    /// Nanoseconds from the coded picture's arrival to the decoded one, where known.
    pub decode_ns: Option<u64>,
    /// Wall clock when the picture was taken, in nanoseconds since 1970.
    pub captured_unix_ns: u64,
    /// Where `captured_unix_ns` comes from.
    pub clock: ClockSource,
    /// Pictures that the child has dropped since its start for want of a free slot.
    pub dropped_total: u64,
}

/// What was found at the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// The coding, such as `h264`, `h265`, `jpeg` or `raw`.
    pub codec: Text,
    /// The decoder's name, such as `avdec_h264`.
    pub decoder: Text,
    /// Whether the decoder is hardware.
    pub hardware: bool,
    /// The picture's size, upright.
    pub size: Size,
    /// Nominal frame rate, where the source tells one.
    #[serde(with = "fields::rate")]
    pub fps: Option<f64>,
    /// Whether it is live; a file is not.
    pub live: bool,
    /// How it travels, such as `tcp` or `udp`.
    pub transport: Option<Text>,
}

/// How loud a [`ToBrain::Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeLevel {
    /// For whoever debugs.
    Debug,
    /// Good to know.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something is not as it should be with this machine: every child will say so, and once is enough.
    Machine,
}

/// Why a child gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// Nothing answers there.
    Unreachable,
    /// User or password is wrong.
    Unauthorised,
    /// Its certificate is not trusted.
    Untrusted,
    /// The host answers, the stream, file or device does not exist.
    NotFound,
    /// There is no decoder for it, or a plugin is missing.
    Unsupported,
    /// What comes cannot be decoded.
    Broken,
    /// The stream ended before its first frame.
    EndedEarly,
    /// It did not answer in time.
    Timeout,
    /// It takes more memory than a child may have.
    Memory,
    /// The child itself failed.
    Internal,
}

impl FailReason {
    /// The word in metrics' labels and in a camera's status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Unauthorised => "unauthorised",
            Self::Untrusted => "untrusted",
            Self::NotFound => "not_found",
            Self::Unsupported => "unsupported",
            Self::Broken => "broken",
            Self::EndedEarly => "ended_early",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Internal => "internal",
        }
    }
}

/// What to open, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaptureSettings {
    /// Where the pictures are, with its credentials: printed by nobody.
    #[serde(serialize_with = "expose")]
    pub uri: SecretString,
    /// How RTSP travels.
    pub transport: Transport,
    /// RTSP's jitter buffer.
    pub latency: Duration,
    /// How long opening may take.
    pub connect_timeout: Duration,
    /// Whose certificate is believed.
    pub trust: Trust,
    /// How to turn the picture upright.
    pub rotate: Rotate,
    /// How fast a file is played.
    pub pace: Pace,
    /// Which decoders may be used.
    pub decoder: Decoder,
    /// Folder whose pipeline texts replace the built-in ones of the same name.
    pub pipelines: Option<PathBuf>,
}

impl PartialEq for CaptureSettings {
    fn eq(&self, other: &Self) -> bool {
        let Self { uri, transport, latency, connect_timeout, trust, rotate, pace, decoder, pipelines } = self;
        uri.expose_secret() == other.uri.expose_secret()
            && (transport, latency, connect_timeout) == (&other.transport, &other.latency, &other.connect_timeout)
            && (rotate, pace, decoder) == (&other.rotate, &other.pace, &other.decoder)
            && (trust, pipelines) == (&other.trust, &other.pipelines)
    }
}

/// The one place where the URI is written out: onto the socket to the child.
fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// Whose certificate is believed where the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// False: anybody's.
    pub verify: bool,
    /// PEM file of the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for Trust {
    /// Those whom the system trusts.
    fn default() -> Self {
        Self { verify: true, ca_file: None }
    }
}

/// How RTSP travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Interleaved in the RTSP connection: nothing gets lost, and it passes firewalls.
    #[default]
    Tcp,
    /// RTP over UDP: less delay on a bad network, at the price of broken pictures.
    Udp,
}

/// How to turn the picture upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Rotate {
    /// As the container or the stream says.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Not at all.
    #[serde(rename = "none")]
    None,
    /// 90° clockwise.
    #[serde(rename = "90")]
    Cw90,
    /// 180°.
    #[serde(rename = "180")]
    Cw180,
    /// 270° clockwise.
    #[serde(rename = "270")]
    Cw270,
}

/// How fast pictures come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// As the camera gives them; no free slot drops the picture.
    Live,
    /// A file at the speed of its own times, slower where pictures are not taken; no free slot waits.
    Realtime,
    /// A file as fast as pictures are taken; no free slot waits.
    Fast,
}

/// Which decoders may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decoder {
    /// Hardware where there is one that works, software otherwise.
    #[default]
    Auto,
    /// Software only.
    Software,
}

/// A line of text from the other side: no control characters, 400 bytes at most.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(String);

impl Text {
    const MAX: usize = 400;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for Text {
    fn from(text: T) -> Self {
        let mut line = String::new();
        for c in text.as_ref().chars() {
            let c = if c.is_control() { ' ' } else { c };
            if line.len() + c.len_utf8() > Self::MAX {
                break;
            }
            line.push(c);
        }
        Self(line)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl Packet for ToChild {
    fn wants_fd(&self) -> bool {
        matches!(self, Self::Ring { .. })
    }
}

impl Packet for ToBrain {
    fn wants_fd(&self) -> bool {
        false
    }
}
