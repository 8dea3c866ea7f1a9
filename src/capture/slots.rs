//! Slots of the ring as a buffer pool: what writes pictures for the sink, a decoder or a converter, writes them where the
//! brain reads them.
//!
//! A pool is an offer. Many a decoder writes into memory of its own and copies into the pool's, which is the one copy that there
//! is anyway; one that does not take the offer has its pictures copied by the sink. Where the ring has no slot to
//! spare the pool gives ordinary memory, and the sink copies that, too.

use std::sync::{Arc, OnceLock};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_video as gst_video;

use gst_video::{VideoFrameFlags, VideoInfo, VideoMeta};

use super::link::{Link, WhenFull};
use crate::frame::Layout;
use crate::gst::caps::{frame_rate, ring_layout};

/// Answers what is asked of the sink about memory with an offer of slots.
pub(super) fn offer(pad: &gst::Pad, link: &Arc<Link>, full: WhenFull) {
    let link = Arc::clone(link);
    on_allocation(pad, move |query| {
        let info = query.get().0.and_then(|caps| VideoInfo::from_caps(caps).ok());
        let Some(maker) = info.and_then(|info| Maker::new(&link, full, info)) else { return };
        let bytes = maker.bytes as u32;
        let pool: SlotPool = glib::Object::new();
        // the first and only time
        let _ = pool.imp().maker.set(maker);
        query.add_allocation_pool(Some(&pool), bytes, 0, 0);
    });
}

/// Tells decoders that this sink reads any strides; they would copy each picture into tight rows otherwise.
pub(super) fn accept_strides(pad: &gst::Pad) {
    on_allocation(pad, |_| {});
}

fn on_allocation(pad: &gst::Pad, answer: impl Fn(&mut gst::query::Allocation) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| match info.query_mut().map(|q| q.view_mut()) {
        Some(gst::QueryViewMut::Allocation(query)) => {
            answer(query);
            query.add_allocation_meta::<VideoMeta>(None);
            gst::PadProbeReturn::Handled
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Makes buffers for pictures of one form.
struct Maker {
    link: Arc<Link>,
    full: WhenFull,
    info: VideoInfo,
    layout: Layout,
    bytes: usize,
}

impl Maker {
    fn new(link: &Arc<Link>, full: WhenFull, info: VideoInfo) -> Option<Self> {
        let layout = ring_layout(&info)?;
        link.expect(frame_rate(&info));
        let bytes = layout.end().filter(|bytes| u32::try_from(*bytes).is_ok())?;
        Some(Self { link: Arc::clone(link), full, info, layout, bytes })
    }

    /// A buffer in a slot, or else in ordinary memory.
    fn make(&self) -> Result<gst::Buffer, gst::FlowError> {
        let mut buffer = match self.link.slot_ahead(&self.layout, self.full) {
            Some(slot) => gst::Buffer::from_mut_slice(slot),
            None => gst::Buffer::with_size(self.bytes).map_err(|_| gst::FlowError::Error)?,
        };
        let Layout { size, pixel, planes, .. } = self.layout;
        let count = pixel.planes();
        let (offsets, strides) = (planes.map(|plane| plane.offset), planes.map(|plane| plane.stride as i32));
        let writable = buffer.make_mut();
        writable.set_size(self.bytes);
        VideoMeta::add_full(
            writable,
            VideoFrameFlags::empty(),
            self.info.format(),
            size.width,
            size.height,
            &offsets[..count],
            &strides[..count],
        )
        .map_err(|_| gst::FlowError::Error)?;
        Ok(buffer)
    }
}

glib::wrapper! {
    /// Gives buffers in slots, and takes none back: each is a slot's for one picture.
    struct SlotPool(ObjectSubclass<Pool>) @extends gst::BufferPool, gst::Object;
}

#[derive(Default)]
struct Pool {
    maker: OnceLock<Maker>,
}

#[glib::object_subclass]
impl ObjectSubclass for Pool {
    const NAME: &'static str = "VisorSlotPool";
    type Type = SlotPool;
    type ParentType = gst::BufferPool;
}

impl ObjectImpl for Pool {}
impl GstObjectImpl for Pool {}

impl BufferPoolImpl for Pool {
    fn options() -> &'static [&'static str] {
        &["GstBufferPoolOptionVideoMeta"]
    }

    fn alloc_buffer(&self, _: Option<&gst::BufferPoolAcquireParams>) -> Result<gst::Buffer, gst::FlowError> {
        self.maker.get().ok_or(gst::FlowError::Error)?.make()
    }

    fn release_buffer(&self, mut buffer: gst::Buffer) {
        // a buffer whose memory is said to have been changed is not kept for later: its slot is free at once, and the
        // next picture gets the one that the caches hold
        buffer.make_mut().set_flags(gst::BufferFlags::TAG_MEMORY);
        self.parent_release_buffer(buffer);
    }
}
