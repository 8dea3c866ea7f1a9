//! Which of the forms that a webcam offers is the best to take.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::address::Wish;
use crate::geometry::Size;
use crate::ring::wire::FailReason;

use super::Failure;
use super::codec::Codec;

/// What a webcam is asked for where the user does not say.
const SIZE: Size = Size::new(1920, 1080);
const FPS: u32 = 30;

/// The caps to ask of an opened webcam: the size and rate nearest to the wish; among equals raw pictures rather than
/// compressed ones, which a slow USB bus then rules out by their rate.
///
/// # Errors
/// Where the device cannot be opened, or offers nothing that can be used.
pub(super) fn best(source: &gst::Element, wish: &Wish) -> Result<gst::Caps, Failure> {
    // READY opens the device; only then does its pad know more than its template
    source.set_state(gst::State::Ready).map_err(|_| {
        Failure::new(
            FailReason::NotFound,
            "the device cannot be opened as a camera; is it there, and may visor read it?",
        )
    })?;
    let offered = source.static_pad("src").map(|pad| pad.query_caps(None));
    let best = offered.and_then(|offered| pick(&offered, wish));
    best.ok_or_else(|| Failure::new(FailReason::Unsupported, "the device offers no video that can be used"))
}

fn pick(offered: &gst::CapsRef, wish: &Wish) -> Option<gst::Caps> {
    let size = wish.size.unwrap_or(SIZE);
    let fps = wish.fps.unwrap_or(FPS);
    let fixed = offered.iter_with_features().filter(|(_, features)| !features.contains("memory:DMABuf"));
    let fixed = fixed.filter_map(|(structure, _)| {
        let mut structure = structure.to_owned();
        // A field that is not there is no choice, and asking for it makes GStreamer complain.
        for (field, wanted) in [("width", size.width), ("height", size.height)] {
            if structure.has_field(field) {
                structure.fixate_field_nearest_int(field, i32::try_from(wanted).ok()?);
            }
        }
        if structure.has_field("framerate") {
            structure.fixate_field_nearest_fraction("framerate", gst::Fraction::new(i32::try_from(fps).ok()?, 1));
        }
        structure.fixate();
        let caps = gst::Caps::from(structure);
        Codec::of(&caps)?;
        Some(caps)
    });
    fixed.min_by_key(|caps| distance(caps, size, fps))
}

/// How far from the wish: missing pixels and frames first, then what is too much, then compression.
fn distance(caps: &gst::Caps, size: Size, fps: u32) -> (u64, u32, bool) {
    let Some(structure) = caps.structure(0) else { return (u64::MAX, 0, true) };
    let side = |name| structure.get::<i32>(name).ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let pixels = side("width") * side("height");
    let rate = structure.get::<gst::Fraction>("framerate").map_or(0, |rate| rate.numer() / rate.denom().max(1));
    let missing_frames = fps.saturating_sub(u32::try_from(rate).unwrap_or(0));
    // a third of the rate missing is as bad as a third of the pixels missing
    let missing = size.pixels().abs_diff(pixels) + size.pixels() * u64::from(missing_frames) / u64::from(fps.max(1));
    (missing, missing_frames, structure.name() != "video/x-raw")
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    /// What a common USB 2 webcam says.
    const USB: &str = "video/x-raw,format=YUY2,width=1920,height=1080,framerate=5/1; \
        video/x-raw,format=YUY2,width=640,height=480,framerate=30/1; \
        image/jpeg,width=1920,height=1080,framerate=30/1; \
        image/jpeg,width=1280,height=720,framerate={30/1,15/1}; audio/x-raw";

    fn check(wish: Wish, expected: &str) {
        gst::init().unwrap();
        let offered = gst::Caps::from_str(USB).unwrap();
        let picked = pick(&offered, &wish).unwrap();
        let expected = gst::Caps::from_str(expected).unwrap();
        assert!(picked.is_subset(&expected), "{picked} is not {expected}");
    }

    #[test]
    fn a_slow_bus_takes_compressed_pictures() {
        check(Wish::default(), "image/jpeg,width=1920,height=1080,framerate=30/1");
    }

    #[test]
    fn raw_pictures_are_taken_where_they_come_fast_enough() {
        let wish = Wish { size: Some(Size::new(640, 480)), fps: None };
        check(wish, "video/x-raw,width=640,height=480,framerate=30/1");
    }

    #[test]
    fn the_nearest_rate_is_taken() {
        let wish = Wish { size: Some(Size::new(1280, 720)), fps: Some(15) };
        check(wish, "image/jpeg,width=1280,height=720,framerate=15/1");
    }
}
