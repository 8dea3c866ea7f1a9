//! From the decoder to the ring: times, drops, and a copy where the decoder could not write into a slot.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo};

use crate::clock::Monotonic;
use crate::frame::{ClockSource, Layout};
use crate::geometry::Size;
use crate::gst::caps::{coded_size, frame_rate, ring_layout};
use crate::ring::MAX_SIDE;
use crate::ring::wire::{StreamInfo, ToBrain};

use super::link::{Link, Picture, Times, WhenFull};
use super::{Failure, slots};

/// Coded pictures under way in a decoder, at most; frame threads and reordering hold some tens.
const UNDER_WAY: usize = 128;
/// A live picture that waited longer than this in front of the decoder, beside what the jitter buffer may hold it back,
/// is not worth decoding.
pub(super) const MAX_LAG: Duration = Duration::from_secs(1);
/// A picture that waits longer than this for its time is worth a word; the shortest stall time-out is longer.
const GAP: Duration = Duration::from_millis(250);
/// After so many pictures without a keyframe the stream may be one that has none (gradual refresh).
const KEYFRAME_HOPE: u32 = 300;
/// From 1900, NTP's origin, to 1970.
const NTP_TO_UNIX: Duration = Duration::from_secs(2_208_988_800);

/// What is known of a stream before its first picture.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub codec: String,
    pub decoder: String,
    pub hardware: bool,
    pub live: bool,
    /// Pictures are held back until their time has come.
    pub paced: bool,
    pub transport: Option<&'static str>,
    pub full: WhenFull,
}

/// When a coded picture came, and when the camera says it was taken.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    pts: gst::ClockTime,
    at: Monotonic,
    taken: Option<Duration>,
}

/// Coded pictures on their way through the decoder.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<VecDeque<Arrival>>);

impl Arrivals {
    fn note(&self, arrival: Arrival) {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.len() == UNDER_WAY {
            under_way.pop_front();
        }
        under_way.push_back(arrival);
    }

    fn take(&self, pts: gst::ClockTime) -> Option<Arrival> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = under_way.iter().position(|arrival| arrival.pts == pts)?;
        under_way.remove(index)
    }
}

/// Which coded pictures a decoder gets: none before the first keyframe, and, where a live stream is decoded too slowly,
/// none from then on until the next one.
#[derive(Default)]
struct Gate {
    open: bool,
    missed: u32,
}

impl Gate {
    fn passes(&mut self, keyframe: bool, late: bool) -> bool {
        if keyframe || (!self.open && self.missed == KEYFRAME_HOPE) {
            *self = Self { open: true, missed: 0 };
        } else if !self.open || late {
            *self = Self { open: false, missed: self.missed + 1 };
        }
        self.open
    }
}

/// Watches what goes into the decoder: holds back what no picture can come of, and what lags behind more than
/// `most_lag`; notes when the others came.
pub(super) fn watch_coded(
    decoder: &gst::Element,
    most_lag: Option<Duration>,
    arrivals: Arc<Arrivals>,
    link: Arc<Link>,
) {
    let Some(pad) = decoder.static_pad("sink") else { return };
    let teller = Arc::clone(&link);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) {
            refuse_too_large(event.caps(), &teller);
        }
        gst::PadProbeReturn::Ok
    });
    let gate = Mutex::new(Gate::default());
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let late = most_lag.is_some_and(|most| lag(pad, buffer) > most);
        if !gate.lock().unwrap_or_else(PoisonError::into_inner).passes(keyframe, late) {
            link.dropped();
            return gst::PadProbeReturn::Drop;
        }
        if let Some(pts) = buffer.pts() {
            arrivals.note(Arrival { pts, at: Monotonic::now(), taken: camera_time(buffer) });
        }
        gst::PadProbeReturn::Ok
    });
}

/// Ends the process where pictures are to come that no ring can hold, before a decoder takes memory for some tens of them.
fn refuse_too_large(caps: &gst::CapsRef, link: &Link) {
    if let Some(size) = coded_size(caps).filter(|size| size.width.max(size.height) > MAX_SIDE) {
        link.fail(&Failure::too_large(size));
    }
}

/// Says so where a picture comes to the sink long before its time: the brain would take the gap for a stall.
fn tell_gaps(pad: &gst::Pad, link: Arc<Link>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let times = info.buffer().and_then(|buffer| now_and_due(pad, buffer));
        if times.is_some_and(|(now, due)| Duration::from(due.saturating_sub(now)) >= GAP) {
            link.say(&ToBrain::Waiting);
        }
        gst::PadProbeReturn::Ok
    });
}

/// How long ago a live picture should have been here.
fn lag(pad: &gst::Pad, buffer: &gst::BufferRef) -> Duration {
    now_and_due(pad, buffer).map_or(Duration::ZERO, |(now, due)| now.saturating_sub(due).into())
}

/// The pipeline's running time now, and when it should be for this buffer.
fn now_and_due(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<(gst::ClockTime, gst::ClockTime)> {
    let now = pad.parent_element().and_then(|element| element.current_running_time());
    let due = pad
        .sticky_event::<gst::event::Segment>(0)
        .and_then(|event| event.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?));
    now.zip(due)
}

/// The camera's own wall clock since 1970, where RTCP sender reports told it.
fn camera_time(buffer: &gst::BufferRef) -> Option<Duration> {
    let mut metas = buffer.iter_meta::<gst::ReferenceTimestampMeta>();
    let ntp = metas.find(|meta| meta.reference().structure(0).is_some_and(|s| s.name() == "timestamp/x-ntp"))?;
    Duration::from(ntp.timestamp()).checked_sub(NTP_TO_UNIX)
}

/// Takes decoded pictures off the sink and puts them into the ring.
pub(super) struct Frames {
    link: Arc<Link>,
    stream: Stream,
    arrivals: Arc<Arrivals>,
    /// The caps that the last picture had, and what they mean.
    form: Option<(gst::Caps, VideoInfo, Layout)>,
    showed: Arc<AtomicU64>,
    last_pts: Option<gst::ClockTime>,
}

impl Frames {
    /// Counts the pictures in `showed`.
    pub fn new(link: Arc<Link>, stream: Stream, arrivals: Arc<Arrivals>, showed: Arc<AtomicU64>) -> Self {
        Self { link, stream, arrivals, form: None, showed, last_pts: None }
    }

    /// Connects to the sink, and offers whoever makes the pictures slots of the ring to write them into. Where it does not take
    /// them, pictures are copied on the streaming thread. A full ring holds that up for files only.
    pub fn attach(mut self, sink: &gst_app::AppSink) {
        if let Some(pad) = sink.static_pad("sink") {
            slots::offer(&pad, &self.link, self.stream.full);
            if self.stream.paced {
                tell_gaps(&pad, Arc::clone(&self.link));
            }
        }
        let deliver = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            self.take(&sample).map(|()| gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(deliver).build());
    }

    fn take(&mut self, sample: &gst::Sample) -> Result<(), gst::FlowError> {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps_owned()) else { return Ok(()) };
        if self.form.as_ref().is_none_or(|(known, ..)| known.as_ptr() != caps.as_ptr()) {
            let info = VideoInfo::from_caps(&caps).map_err(|_| gst::FlowError::NotNegotiated)?;
            let layout = ring_layout(&info).ok_or(gst::FlowError::NotNegotiated)?;
            self.link.expect(frame_rate(&info));
            self.form = Some((caps, info, layout));
        }
        let times = self.times(sample, buffer);
        let Some((_, info, layout)) = &self.form else { return Ok(()) };
        if self.showed.fetch_add(1, Ordering::AcqRel) == 0 {
            self.link.say(&ToBrain::Opened(self.stream.info(info)));
        }
        let Ok(frame) = VideoFrameRef::from_buffer_ref_readable(buffer, info) else { return Ok(()) };
        let picture = Picture { layout, times: &times, full: self.stream.full, lies: laid_out(&frame, layout) };
        self.link.deliver(&picture, |slot| copy(&frame, layout, slot));
        Ok(())
    }

    fn times(&mut self, sample: &gst::Sample, buffer: &gst::BufferRef) -> Times {
        let arrived = Monotonic::now();
        let arrival = buffer.pts().and_then(|pts| self.arrivals.take(pts));
        // where pictures wait for their time, decoding cannot be told from waiting
        let decode = arrival.filter(|_| !self.stream.paced).map(|arrival| arrived.since(arrival.at));
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let running = segment.zip(buffer.pts()).and_then(|(segment, pts)| segment.to_running_time(pts));
        let rate = self.form.as_ref().and_then(|(_, info, _)| frame_rate(info));
        let pts = next_pts(running, self.last_pts, rate);
        self.last_pts = Some(pts);
        let (captured, clock) = match arrival.and_then(|arrival| arrival.taken) {
            Some(taken) => (taken, ClockSource::Rtcp),
            None if !self.stream.live => (pts.into(), ClockSource::Media),
            None => (wall_clock().saturating_sub(decode.unwrap_or_default()), ClockSource::Arrival),
        };
        Times { pts_ns: pts.nseconds(), arrived, decode, captured_unix_ns: captured.as_nanos() as u64, clock }
    }
}

/// A picture's time since the stream began, as the stream tells it: it may go back, which the brain puts right. A
/// stream without times (raw H.264 in a file) is taken at its nominal rate.
fn next_pts(running: Option<gst::ClockTime>, last: Option<gst::ClockTime>, rate: Option<f64>) -> gst::ClockTime {
    let step = gst::ClockTime::from_nseconds((1e9 / rate.unwrap_or(25.0)) as u64);
    running.unwrap_or_else(|| last.map_or(gst::ClockTime::ZERO, |last| last.saturating_add(step)))
}

impl Stream {
    fn info(&self, info: &VideoInfo) -> StreamInfo {
        StreamInfo {
            codec: self.codec.as_str().into(),
            decoder: self.decoder.as_str().into(),
            hardware: self.hardware,
            size: Size::new(info.width(), info.height()),
            fps: frame_rate(info),
            live: self.live,
            transport: self.transport.map(Into::into),
        }
    }
}

fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The picture's bytes from the first one on, where its planes lie to each other as `layout` has them.
fn laid_out<'a>(frame: &'a VideoFrameRef<&gst::BufferRef>, layout: &Layout) -> Option<&'a [u8]> {
    let first = frame.plane_data(0).ok()?;
    let same = (0..layout.pixel.planes()).all(|index| {
        let place = layout.planes[index];
        let begins = frame
            .plane_data(index as u32)
            .is_ok_and(|data| data.as_ptr().addr().checked_sub(first.as_ptr().addr()) == Some(place.offset));
        begins && usize::try_from(frame.plane_stride()[index]) == Ok(place.stride)
    });
    same.then_some(first)
}

/// Copies the planes to where `layout` has them. False where either side is too small for that.
fn copy(frame: &VideoFrameRef<&gst::BufferRef>, layout: &Layout, slot: &mut [u8]) -> bool {
    (0..layout.pixel.planes()).all(|index| {
        let (rows, row_bytes) = layout.plane_extent(index);
        let plane = layout.planes[index];
        let stride = frame.plane_stride()[index];
        let (Ok(source), Ok(stride)) = (frame.plane_data(index as u32), usize::try_from(stride)) else { return false };
        let Some(target) = slot.get_mut(plane.offset..) else { return false };
        if stride < row_bytes || source.len() < stride * (rows - 1) + row_bytes {
            return false;
        }
        let rows_of = target.chunks_mut(plane.stride).zip(source.chunks(stride)).take(rows);
        for (to, from) in rows_of {
            to[..row_bytes].copy_from_slice(&from[..row_bytes]);
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(n: u64) -> Arrival {
        Arrival { pts: gst::ClockTime::from_nseconds(n), at: Monotonic::from_nanos(n), taken: None }
    }

    #[test]
    fn a_stream_begins_with_its_first_keyframe() {
        let mut gate = Gate::default();
        let passed = [false, false, true, false].map(|keyframe| gate.passes(keyframe, false));
        assert_eq!(passed, [false, false, true, true]);
    }

    #[test]
    fn a_late_stream_goes_on_at_the_next_keyframe() {
        let mut gate = Gate { open: true, missed: 0 };
        let passed =
            [(false, true), (false, false), (true, true), (false, false)].map(|(k, late)| gate.passes(k, late));
        assert_eq!(passed, [false, false, true, true]);
    }

    #[test]
    fn a_stream_without_keyframes_begins_in_the_end() {
        let mut gate = Gate::default();
        let missed = (0..1000).take_while(|_| !gate.passes(false, false)).count();
        assert_eq!(missed, KEYFRAME_HOPE as usize);
        assert!(gate.passes(false, false));
    }

    #[test]
    fn arrivals_are_found_by_time_and_bounded() {
        let arrivals = Arrivals::default();
        (0..300).for_each(|n| arrivals.note(arrival(n)));
        assert!(arrivals.take(gst::ClockTime::from_nseconds(0)).is_none(), "the oldest went");
        assert_eq!(arrivals.take(gst::ClockTime::from_nseconds(299)).unwrap().at, Monotonic::from_nanos(299));
        assert!(arrivals.take(gst::ClockTime::from_nseconds(299)).is_none(), "taken once");
        assert_eq!(arrivals.0.lock().unwrap().len(), UNDER_WAY - 1);
    }

    #[test]
    fn a_stream_whose_time_goes_back_does_not_stand_still() {
        let mut last = None;
        let given = [Some(50), Some(51), Some(3), None, Some(4)].map(|seconds| {
            let pts = next_pts(seconds.map(gst::ClockTime::from_seconds), last, Some(10.0));
            last = Some(pts);
            pts.mseconds()
        });
        assert_eq!(given, [50_000, 51_000, 3000, 3100, 4000]);
    }
}
