//! GStreamer's jitter buffer: how long it waits for packets, and how far it believes the times that they bear.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::ring::wire::{CaptureSettings, Transport};

/// A picture may be so much later than its time says before the buffer takes the stream for a new one and its times for
/// those of arrival; it does so at a second anyway. Where B-frames follow what they refer to, each is late by several
/// pictures, and with less than that none of their times would hold.
const MOST_LATE: Duration = Duration::from_secs(1);

/// The buffer's latency. Over TCP no packet overtakes another, so that nothing ever waits that long, whatever is set.
pub(super) fn latency(settings: &CaptureSettings) -> Duration {
    match settings.transport {
        Transport::Tcp => settings.latency.max(MOST_LATE),
        Transport::Udp => settings.latency,
    }
}

/// Over TCP the first packet is the first one: there is no other to wait for.
pub(super) fn begin_at_once(source: &gst::Element, transport: Transport) {
    if transport != Transport::Tcp {
        return;
    }
    source.connect("new-manager", false, |args| {
        let manager = args.get(1)?.get::<gst::Element>().ok()?;
        manager.connect("new-jitterbuffer", false, |args| {
            let buffer = args.get(1)?.get::<gst::Element>().ok()?;
            buffer.set_property("faststart-min-packets", 1_u32);
            None
        });
        None
    });
}
