//! The child that puts the sound of a source beside its masked video. It decodes nothing, and drops the source's video as
//! it comes.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::encode::muxer;
use super::{broken, sample};
use crate::fault::Fault;
use crate::gst::{Memory, confine, text};
use crate::ring::out::Container;

const DOING: &str = "cannot keep the sound";

/// Writes `masked`'s video and `source`'s sound to standard output, which must be a file.
///
/// # Errors
/// The source has no sound, or one that the container cannot hold.
pub fn run(masked: &Path, source: &Path, container: Container) -> Result<ExitCode, Fault> {
    confine(Memory::OUTPUT)?;
    super::ready()?;
    let description = text("join", None, &[("muxer", muxer(container))])?;
    let pipeline = gst::parse::launch(&description).map_err(|e| broken(DOING, e))?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| broken(DOING, "not a pipeline"))?;
    let joint = Arc::new(Joint::default());
    let missing = || broken(DOING, "its text lacks an element");
    let muxer = pipeline.by_name("muxer").ok_or_else(missing)?;
    for (reader, path, parser, media) in [("masked", masked, "video", "video"), ("source", source, "sound", "audio")] {
        pipeline.by_name(reader).ok_or_else(missing)?.set_property("location", path);
        // Both places are there before the first picture: a muxer that has begun takes in no further stream.
        let place = muxer.request_pad_simple(&format!("{media}_%u")).ok_or_else(missing)?;
        follow(&pipeline.by_name(parser).ok_or_else(missing)?, &pipeline, &place, &joint);
    }
    let ended = pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())
        .and_then(|_| sample::wait_for_end(&pipeline));
    let _ = pipeline.set_state(gst::State::Null);
    let refused = joint.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (refused, ended) {
        (Some(text), _) | (None, Err(text)) => Err(broken(DOING, text)),
        (None, Ok(())) if !joint.taken.load(Ordering::Acquire) => Err(broken(DOING, "there is none")),
        (None, Ok(())) => Ok(ExitCode::SUCCESS),
    }
}

#[derive(Default)]
struct Joint {
    /// A sound stream has been linked.
    taken: AtomicBool,
    refused: Mutex<Option<String>>,
}

/// Links the first stream that is of the kind of `place` to it, and lets the others run dry.
fn follow(parser: &gst::Element, pipeline: &gst::Pipeline, place: &gst::Pad, joint: &Arc<Joint>) {
    let done = Arc::new(AtomicBool::new(false));
    let sound = place.name().starts_with("audio");
    let kind = if sound { "audio/" } else { "video/" };
    let (weak, joint, place) = (pipeline.downgrade(), Arc::clone(joint), place.clone());
    parser.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let name = caps.structure(0).map_or(String::new(), |structure| structure.name().to_string());
        let wanted = name.starts_with(kind) && !done.swap(true, Ordering::AcqRel);
        let linked = if wanted {
            to_muxer(&pipeline, pad, &caps, &place)
        } else {
            end_without(&done, &pipeline, pad);
            to_nowhere(&pipeline, pad)
        };
        match linked {
            Ok(()) if wanted && sound => joint.taken.store(true, Ordering::Release),
            Ok(()) => {}
            Err(text) => {
                joint.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
                let _ = pipeline.post_message(gst::message::Eos::new());
            }
        }
    });
}

/// Ends it all where another stream has run dry and the one that is `done` when it is linked never came: the muxer would
/// wait for it.
fn end_without(done: &Arc<AtomicBool>, pipeline: &gst::Pipeline, pad: &gst::Pad) {
    let (weak, done) = (pipeline.downgrade(), Arc::clone(done));
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let ends = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        if let (true, false, Some(pipeline)) = (ends, done.load(Ordering::Acquire), weak.upgrade()) {
            let _ = pipeline.post_message(gst::message::Eos::new());
        }
        gst::PadProbeReturn::Ok
    });
}

fn to_muxer(pipeline: &gst::Pipeline, pad: &gst::Pad, caps: &gst::Caps, place: &gst::Pad) -> Result<(), String> {
    // titles, places and devices stay behind
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| match info.event().map(|event| event.type_()) {
        Some(gst::EventType::Tag | gst::EventType::Toc) => gst::PadProbeReturn::Drop,
        _ => gst::PadProbeReturn::Ok,
    });
    let unfit =
        || format!("the file cannot hold {}; write an .mkv instead", caps.structure(0).map_or("it", |s| s.name()));
    if !place.pad_template_caps().can_intersect(caps) {
        return Err(unfit());
    }
    let queue = gst::ElementFactory::make("queue").build().map_err(|e| e.to_string())?;
    // one side may be read long before the other
    queue.set_property("max-size-time", 0_u64);
    queue.set_property("max-size-buffers", 0_u32);
    queue.set_property("max-size-bytes", 32_u32 << 20);
    pipeline.add(&queue).map_err(|e| e.to_string())?;
    let (Some(enter), Some(leave)) = (queue.static_pad("sink"), queue.static_pad("src")) else {
        return Err("a queue without pads".to_owned());
    };
    leave.link(place).map_err(|_| unfit())?;
    pad.link(&enter).map_err(|_| unfit())?;
    queue.sync_state_with_parent().map_err(|e| e.to_string())
}

fn to_nowhere(pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), String> {
    let sink = gst::ElementFactory::make("fakesink").build().map_err(|e| e.to_string())?;
    sink.set_property("async", false);
    pipeline.add(&sink).map_err(|e| e.to_string())?;
    let enter = sink.static_pad("sink").ok_or("a sink without a pad")?;
    pad.link(&enter).map_err(|e| e.to_string())?;
    sink.sync_state_with_parent().map_err(|e| e.to_string())
}
