//! What the brain and the child that serves masked video say to each other.
//!
//! One socket pair for the child as a whole, as its standard input; and one for each mount, which comes with
//! [`ToServer::Mount`] and carries that mount's frames by the protocol of [`super::out`]. So a mount that is stuck holds up
//! nobody, and whoever has a mount's frames never waits for whoever minds the child.
//!
//! ```text
//! brain                             child
//! Serve               ─────▶
//!                     ◀─────        Listening
//! Mount + socket      ─────▶
//!                     ◀─────        Notice, Stats, Pushed, Lost
//! Unmount             ─────▶
//!                     ◀─────        Alive                      every 500 ms, from the child's main loop
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::fields;
use super::wire::{Channel, NoticeLevel, Packet, Text};
use crate::geometry::Size;

/// The brain's end: sends [`ToServer`], receives [`FromServer`].
pub type ServerEnd = Channel<ToServer, FromServer>;

/// The child's end.
pub type ServedEnd = Channel<FromServer, ToServer>;

/// What the brain tells the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToServer {
    /// Always the first message: where to listen, and for whom.
    Serve(ServeSettings),
    /// A path at which video can be watched from now on; the child's end of its frames' channel comes with the message.
    Mount {
        /// Names the mount from now on.
        id: u32,
        /// What is there.
        mount: MountSettings,
    },
    /// Nothing is there any more.
    Unmount {
        /// The mount.
        id: u32,
    },
}

/// What the child tells the brain. The brain believes none of it unchecked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromServer {
    /// Players can connect.
    Listening {
        /// Where.
        #[serde(with = "fields::address")]
        address: SocketAddr,
    },
    /// The main loop runs.
    Alive,
    /// How a mount does; whenever that has changed.
    Stats {
        /// The mount.
        id: u32,
        /// Who is watching.
        clients: u32,
        /// Frames that came faster than they could be encoded, since the mount is there.
        dropped: u64,
    },
    /// Whether a mount's video goes to its media server; when that has changed, and after each attempt.
    Pushed {
        /// The mount.
        id: u32,
        /// The server takes it.
        flows: bool,
    },
    /// Something worth a line in the log. Never a credential.
    Notice {
        /// The mount, where it is about one.
        id: Option<u32>,
        /// How loud.
        level: NoticeLevel,
        /// What.
        text: Text,
    },
    /// A mount is gone.
    Lost {
        /// The mount.
        id: u32,
        /// Whether its encoder hangs: its threads and memory stay until the child ends.
        hung: bool,
        /// For people.
        text: Text,
    },
    /// The child gives up, and exits.
    Failed {
        /// For people.
        text: Text,
    },
}

/// Where to listen, and for whom. The files' contents, so that the child need not be allowed to read them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServeSettings {
    /// Address and port; port 0 takes a free one.
    #[serde(with = "fields::address")]
    pub listen: SocketAddr,
    /// Lines of `user:realm:md5`, as `htdigest` makes them; everybody may watch without.
    pub users: Option<Users>,
    /// Certificate and private key in PEM: RTSP over TLS.
    #[serde(serialize_with = "expose")]
    pub certificate: Option<SecretString>,
}

/// Who may watch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Users {
    /// The realm of all of them.
    pub realm: String,
    /// Lines of `user:realm:md5`.
    #[serde(serialize_with = "expose_one")]
    pub lines: SecretString,
}

/// What is at a path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountSettings {
    /// The path, without a slash at its begin.
    pub path: String,
    /// How it is encoded.
    pub codec: Codec,
    /// Thousands of bits a second.
    pub bitrate_kbps: u32,
    /// What every picture is fitted into; the size of the first one without.
    pub size: Option<Size>,
    /// Frames a second, as far as the stream says so of itself.
    #[serde(with = "fields::rate")]
    pub fps: Option<f64>,
    /// The address of a media server that takes the video too, with its credentials.
    #[serde(serialize_with = "expose")]
    pub push: Option<SecretString>,
    /// Folder whose pipeline texts replace the built-in ones of the same name.
    pub pipelines: Option<PathBuf>,
}

/// How video is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264, which every player knows.
    H264,
    /// H.265: fewer bits, more work.
    H265,
}

/// The one place where a secret is written out: onto the socket to the child.
fn expose<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

fn expose_one<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

impl Packet for ToServer {
    fn wants_fd(&self) -> bool {
        matches!(self, Self::Mount { .. })
    }
}

impl Packet for FromServer {
    fn wants_fd(&self) -> bool {
        false
    }
}
