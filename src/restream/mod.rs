//! What Visor serves by RTSP, and what it encodes. Served is the simulated camera of the demo, the tests and the soak.
//!
//! `clip` holds compressed pictures in memory, `sim` serves them as a camera would, `child` starts that server as a
//! process of its own, and `sample` makes the demo's clip from photographs. `encode` turns masked frames into a file, and
//! `join` puts the sound beside them. `bare` is the encoder by itself, for the benchmark.

pub mod bare;
pub mod child;
pub mod clip;
pub mod encode;
pub mod join;
mod raw;
pub mod sample;
pub mod serve;
pub mod sim;

use crate::fault::Fault;
use crate::gst;

/// What serving takes beyond every role's plugins: RTP and its server's elements, containers, codecs, and what the
/// sample is made with.
const PLUGINS: &[&str] = &[
    "rtp",
    "rtpmanager",
    "rtsp",
    "udp",
    "tcp",
    "playback",
    "typefindfunctions",
    "isomp4",
    "matroska",
    "avi",
    "mpegtsdemux",
    "libav",
    "x264",
    "x265",
    "jpeg",
    "jpegformat",
    "videorate",
    "videocrop",
    "imagefreeze",
    "compositor",
];

/// Starts GStreamer.
///
/// # Errors
/// Where it is not installed as it should be.
pub fn ready() -> Result<(), Fault> {
    gst::start(PLUGINS)
}

/// Turns a GStreamer error into a fault that says what could not be done.
fn broken(doing: &str, error: impl std::fmt::Display) -> Fault {
    Fault::unavailable(format!("{doing}: {error}"))
}

#[cfg(test)]
mod tests;
