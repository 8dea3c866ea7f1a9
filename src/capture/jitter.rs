//! GStreamer's jitter buffer: how long it waits for packets, and how far it believes the times that they bear.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::link::Link;
use crate::ring::wire::{CaptureSettings, NoticeLevel, Transport};

/// A picture may be so much later than its time says before the buffer takes the stream for a new one and its times for
/// those of arrival; it does so at a second anyway. Where B-frames follow what they refer to, each is late by several
/// pictures, and with less than that none of their times would hold.
const MOST_LATE: Duration = Duration::from_secs(1);

/// RTP's ticks of video, whatever the codec.
const TICKS_MS: u32 = 90;

/// The buffer's latency to begin with. Over TCP no packet overtakes another, so that nothing ever waits that long, whatever is set.
/// Over UDP that is how long the packets after a lost one wait for it.
pub(super) fn latency(settings: &CaptureSettings) -> Duration {
    match settings.transport {
        Transport::Tcp => settings.latency.max(MOST_LATE),
        Transport::Udp => settings.latency,
    }
}

/// Has the buffers of `source` do what this module says.
pub(super) fn tune(source: &gst::Element, settings: &CaptureSettings, link: &Arc<Link>) {
    let (transport, latency, link) = (settings.transport, settings.latency, Arc::clone(link));
    source.connect("new-manager", false, move |args| {
        let link = Arc::clone(&link);
        let manager = args.get(1)?.get::<gst::Element>().ok()?;
        manager.connect("new-jitterbuffer", false, move |args| {
            let buffer = args.get(1)?.get::<gst::Element>().ok()?;
            match transport {
                // the first packet is the first one: there is no other to wait for
                Transport::Tcp => buffer.set_property("faststart-min-packets", 1_u32),
                Transport::Udp => make_room(&buffer, latency, Arc::clone(&link)),
            }
            None
        });
        None
    });
}

/// Where pictures travel out of order, as B-frames do, raises the buffer's latency by as much: their times hold then. Other
/// streams need not wait longer for what is lost.
fn make_room(buffer: &gst::Element, latency: Duration, link: Arc<Link>) {
    let Some(pad) = buffer.static_pad("src") else { return };
    let (order, weak) = (Mutex::new(Order::default()), buffer.downgrade());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let packet = info.buffer().and_then(|packet| packet.map_readable().ok());
        let Some(ticks) = packet.as_deref().and_then(timestamp) else { return gst::PadProbeReturn::Ok };
        let more = order.lock().unwrap_or_else(PoisonError::into_inner).look(ticks);
        if let (Some(more), Some(buffer)) = (more, weak.upgrade()) {
            let wanted = (latency + more).min(MOST_LATE.max(latency));
            buffer.set_property("latency", wanted.as_millis() as u32);
            let text =
                format!("pictures come {} ms out of order: lost packets are waited for {wanted:?}", more.as_millis());
            link.notice(NoticeLevel::Info, &text);
        }
        gst::PadProbeReturn::Ok
    });
}

/// When the picture is to be shown that an RTP packet is of.
fn timestamp(packet: &[u8]) -> Option<u32> {
    packet.get(4..8)?.try_into().ok().map(u32::from_be_bytes)
}

/// In which order pictures come, by their packets, which are in order themselves.
#[derive(Debug, Default)]
struct Order {
    latest: Option<u32>,
    most: u32,
}

impl Order {
    /// By how much a picture comes after one that is shown later, where that is more than ever before.
    fn look(&mut self, ticks: u32) -> Option<Duration> {
        let latest = self.latest.unwrap_or(ticks);
        let back = latest.wrapping_sub(ticks);
        if back == 0 || back > MOST_LATE.as_millis() as u32 * TICKS_MS {
            // it goes on, or is another stream's
            self.latest = Some(ticks);
            return None;
        }
        let more = back > self.most;
        self.most = self.most.max(back);
        more.then(|| Duration::from_millis((back / TICKS_MS).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_out_of_order_are_told_from_a_stream_that_begins_anew() {
        let mut order = Order::default();
        let mut look = |ms: u32| order.look(ms.wrapping_mul(90).wrapping_sub(9000)).map(|more| more.as_millis());
        let told: Vec<_> = [0, 160, 80, 40, 120, 320, 240, 200, 280].map(&mut look).to_vec();
        assert_eq!(
            told,
            [None, None, Some(80), Some(120), None, None, None, None, None],
            "over the counter's end, too"
        );
        assert_eq!([90_000, 100, 260, 60].map(&mut look), [None, None, None, Some(200)]);
    }

    #[test]
    fn a_packet_says_when_its_picture_is_shown() {
        assert_eq!(timestamp(&[0x80, 96, 0, 1, 0, 0, 1, 2, 9, 9, 9, 9]), Some(258));
        assert_eq!(timestamp(&[0x80, 96, 0]), None);
    }
}
