//! GStreamer's jitter buffer: how long it waits for packets, and how far it believes the times that they bear.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::link::Link;
use crate::clock::Monotonic;
use crate::ring::wire::{CaptureSettings, NoticeLevel, Transport};

/// A picture may be so much later than its time says before the buffer takes the stream for a new one and its times for
/// those of arrival; it does so at a second anyway. Where B-frames follow what they refer to, each is late by several
/// pictures, and with less than that none of their times would hold.
const MOST_LATE: Duration = Duration::from_secs(1);

/// Networks are never that exact.
const CLEARLY: Duration = Duration::from_millis(20);

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
        let more = order.lock().unwrap_or_else(PoisonError::into_inner).look(ticks, Monotonic::now());
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
    /// What is to be shown last of all that came, and when it came.
    latest: Option<(u32, Monotonic)>,
    /// The furthest that a picture went back, in ticks.
    back: u32,
    told: Duration,
}

impl Order {
    /// By how much a picture that comes `now` is late against the one that came earliest, where that is clearly more than ever
    /// before: by as much as it is shown before that one, and as it has come after it.
    fn look(&mut self, ticks: u32, now: Monotonic) -> Option<Duration> {
        let (latest, at) = self.latest.unwrap_or((ticks, now));
        let back = latest.wrapping_sub(ticks);
        if back > MOST_LATE.as_millis() as u32 * TICKS_MS || self.latest.is_none() {
            // it goes on, or is another stream's
            self.latest = Some((ticks, now));
        }
        if back == 0 || back > MOST_LATE.as_millis() as u32 * TICKS_MS {
            return None;
        }
        self.back = self.back.max(back);
        let time = |ticks: u32| Duration::from_millis((ticks / TICKS_MS).into());
        // a stall of the network is no order of pictures
        let late = time(back) + now.since(at).min(time(self.back));
        let more = late > self.told + CLEARLY;
        more.then(|| {
            self.told = late;
            late
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of pictures that come every 40 ms, given by when they are to be shown; the counter begins at its end.
    fn told(shown_ms: &[u32]) -> Vec<Option<u128>> {
        let mut order = Order::default();
        let look = |(n, ms): (u64, &u32)| {
            let now = Monotonic::from_nanos(n * 40_000_000);
            order.look(ms.wrapping_mul(TICKS_MS).wrapping_sub(9000), now).map(|more| more.as_millis())
        };
        (0..).zip(shown_ms).map(look).collect()
    }

    #[test]
    fn pictures_out_of_order_are_late_by_their_way_back_and_their_wait() {
        assert_eq!(told(&[0, 160, 80, 40, 120, 320, 240]), [None, None, Some(120), Some(200), None, None, None]);
        assert_eq!(told(&[0, 160, 40, 80, 120, 320]), [None, None, Some(160), None, None, None]);
    }

    #[test]
    fn a_stream_in_order_or_one_that_begins_anew_is_not_late() {
        assert_eq!(told(&[0, 0, 40, 40, 80]), [None; 5]);
        assert_eq!(told(&[90_000, 100, 140]), [None; 3]);
    }

    #[test]
    fn a_packet_says_when_its_picture_is_shown() {
        assert_eq!(timestamp(&[0x80, 96, 0, 1, 0, 0, 1, 2, 9, 9, 9, 9]), Some(258));
        assert_eq!(timestamp(&[0x80, 96, 0]), None);
    }
}
