//! The demo's clip: photographs with several people, panned and zoomed, with darkness between them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use gstreamer::prelude::*;

use super::broken;
use super::clip::{Recipe, encoding_text, first_error};
use crate::fault::Fault;

const FPS: u64 = 25;
/// The clip's size in pixels.
const OUT: (f64, f64) = (1280.0, 720.0);
/// Every photograph is cut to this size before the camera moves over it.
const PHOTO: (f64, f64) = (1920.0, 1280.0);
const SCENE_FRAMES: u64 = 5 * FPS + FPS / 2;
/// Long enough that whoever was in one photograph has gone before the next.
const DARK_FRAMES: u64 = FPS + FPS / 2;

/// A 16:9 window on a photograph: left, top and width in its pixels.
#[derive(Clone, Copy, Debug)]
struct Window(f64, f64, f64);

/// A photograph and the way over it.
struct Scene {
    file: &'static str,
    from: Window,
    to: Window,
}

const SCENES: [Scene; 4] = [
    Scene { file: "sample3.jpg", from: Window(0.0, 100.0, 1920.0), to: Window(420.0, 60.0, 1450.0) },
    Scene { file: "sample5.jpg", from: Window(0.0, 120.0, 1500.0), to: Window(400.0, 40.0, 1500.0) },
    Scene { file: "sample4.jpg", from: Window(0.0, 0.0, 1350.0), to: Window(250.0, 0.0, 1600.0) },
    Scene { file: "sample6.jpg", from: Window(120.0, 60.0, 1500.0), to: Window(0.0, 100.0, 1920.0) },
];

/// A person of the photographs, under a made-up name, and where to cut: left, top, width and height.
const PERSON: &str = "Robin";
const PORTRAIT: (&str, [u32; 4]) = ("sample3.jpg", [926, 60, 520, 600]);

/// Photographs' size in pixels, as far as the portrait's goes.
const PORTRAIT_OF: [u32; 2] = [1920, 1350];

/// Makes the clip (H.264 in MP4, 1280×720, 25 pictures a second) out of the photographs in `photos`, and beside it a gallery
/// that knows one of the people.
///
/// # Errors
/// Where a photograph, an encoder or the place for the clip is missing.
pub fn make(photos: &Path, out: &Path) -> Result<(), Fault> {
    make_clip(photos, out)?;
    let person = gallery(out).join(PERSON);
    let doing = format!("cannot make the sample person {}", person.display());
    std::fs::create_dir_all(&person).map_err(|e| broken(&doing, e))?;
    let (file, [left, top, width, height]) = PORTRAIT;
    let [right, bottom] = [PORTRAIT_OF[0] - left - width, PORTRAIT_OF[1] - top - height];
    let pipeline = parse(
        &format!(
            "filesrc name=photo ! jpegdec ! videocrop left={left} top={top} right={right} bottom={bottom} \
             ! jpegenc quality=90 ! filesink name=out"
        ),
        &doing,
    )?;
    set_location(&pipeline, "photo", &photos.join(file));
    write(&pipeline, &person.join("portrait.jpg"), &doing)
}

/// The folder of people beside the clip `out`.
pub fn gallery(out: &Path) -> PathBuf {
    out.with_file_name("people")
}

fn make_clip(photos: &Path, out: &Path) -> Result<(), Fault> {
    let doing = format!("cannot make the sample clip {}", out.display());
    let pipeline = parse(&pipeline_text(), &doing)?;
    for (n, scene) in SCENES.iter().enumerate() {
        set_location(&pipeline, &format!("photo{n}"), &photos.join(scene.file));
    }
    move_the_window(&pipeline);
    write(&pipeline, out, &doing)
}

/// Encodes `clip` anew by `recipe`, whose first size counts, into an MP4 at `out`.
///
/// # Errors
/// Where the clip cannot be decoded, or an encoder or the place for the result is missing.
pub fn transcode(clip: &str, recipe: &Recipe, pictures: Option<u32>, out: &Path) -> Result<(), Fault> {
    let doing = format!("cannot make {} out of {clip}", out.display());
    let size = *recipe.sizes.first().ok_or_else(|| broken(&doing, "no picture size"))?;
    let coded = encoding_text(clip, recipe, size);
    // the end of the stream gets past it
    let cut = "valve name=cut drop-mode=forward-sticky-events";
    let pipeline = parse(&format!("{coded} ! {cut} ! h264parse ! mp4mux faststart=true ! filesink name=out"), &doing)?;
    if let (Some(pictures), Some(valve)) = (pictures, pipeline.by_name("cut")) {
        close_after(&valve, pictures);
    }
    set_location(&pipeline, "file", Path::new(clip));
    write(&pipeline, out, &doing)
}

/// Lets so many pictures pass.
fn close_after(valve: &gstreamer::Element, pictures: u32) {
    let Some(pad) = valve.static_pad("sink") else { return };
    let (passed, valve) = (AtomicU32::new(0), valve.downgrade());
    pad.add_probe(gstreamer::PadProbeType::BUFFER, move |_, _| {
        if passed.fetch_add(1, Ordering::Relaxed) == pictures {
            valve.upgrade().iter().for_each(|valve| valve.set_property("drop", true));
        }
        gstreamer::PadProbeReturn::Ok
    });
}

fn parse(text: &str, doing: &str) -> Result<gstreamer::Pipeline, Fault> {
    let pipeline = gstreamer::parse::launch(text).map_err(|e| broken(doing, e))?;
    pipeline.downcast().map_err(|_| broken(doing, "not a pipeline"))
}

/// Plays to the end, under another name until the file is whole, so that a clip that was cut short is never taken for
/// one that is done.
fn write(pipeline: &gstreamer::Pipeline, out: &Path, doing: &str) -> Result<(), Fault> {
    let unfinished = out.with_extension("part");
    set_location(pipeline, "out", &unfinished);
    let ended = pipeline
        .set_state(gstreamer::State::Playing)
        .map_err(|e| broken(doing, e))
        .and_then(|_| wait_for_end(pipeline).map_err(|e| broken(doing, e)));
    let _ = pipeline.set_state(gstreamer::State::Null);
    ended?;
    std::fs::rename(&unfinished, out).map_err(|e| broken(doing, e))
}

fn pipeline_text() -> String {
    let (width, height) = PHOTO;
    let canvas = format!("video/x-raw,format=I420,width={width},height={height}");
    let mut text = format!(
        "compositor name=mix background=black emit-signals=true \
         ! video/x-raw,format=I420,width={},height={},framerate={FPS}/1 \
         ! x264enc pass=qual quantizer=22 speed-preset=fast key-int-max={FPS} bframes=0 ! video/x-h264,profile=main \
         ! h264parse ! mp4mux faststart=true ! filesink name=out concat name=scenes ! mix.sink_0",
        OUT.0, OUT.1
    );
    for n in 0..SCENES.len() {
        text.push_str(&format!(
            " filesrc name=photo{n} ! jpegdec ! videoconvert ! aspectratiocrop aspect-ratio=3/2 ! videoscale ! {canvas} \
             ! imagefreeze num-buffers={SCENE_FRAMES} ! video/x-raw,framerate={FPS}/1 ! scenes.sink_{} \
             videotestsrc pattern=black num-buffers={DARK_FRAMES} ! {canvas},framerate={FPS}/1 ! scenes.sink_{}",
            2 * n,
            2 * n + 1
        ));
    }
    text
}

fn set_location(pipeline: &gstreamer::Pipeline, element: &str, path: &Path) {
    if let Some(element) = pipeline.by_name(element) {
        element.set_property("location", path);
    }
}

/// Before each picture is mixed, puts the photograph where the window for that moment wants it.
fn move_the_window(pipeline: &gstreamer::Pipeline) {
    let Some(mixer) = pipeline.by_name("mix") else { return };
    let Some(layer) = mixer.static_pad("sink_0") else { return };
    mixer.connect("samples-selected", false, move |values| {
        let time = values.get(2).and_then(|pts| pts.get::<u64>().ok()).unwrap_or_default();
        let (x, y, width, height) = placement(time * FPS / 1_000_000_000);
        layer.set_property("xpos", x);
        layer.set_property("ypos", y);
        layer.set_property("width", width);
        layer.set_property("height", height);
        None
    });
}

/// Left, top, width and height of the whole photograph in the clip's pixels, at this picture of the clip.
fn placement(frame: u64) -> (i32, i32, i32, i32) {
    let each = SCENE_FRAMES + DARK_FRAMES;
    let last = SCENES.len() - 1;
    let scene = &SCENES[usize::try_from(frame / each).unwrap_or(last).min(last)];
    let t = ((frame % each) as f64 / SCENE_FRAMES as f64).min(1.0);
    let ease = t * t * (3.0 - 2.0 * t);
    let between = |a: f64, b: f64| a + (b - a) * ease;
    let (Window(x0, y0, w0), Window(x1, y1, w1)) = (scene.from, scene.to);
    let scale = OUT.0 / between(w0, w1);
    let at = |v: f64| (v * scale).round() as i32;
    (-at(between(x0, x1)), -at(between(y0, y1)), at(PHOTO.0), at(PHOTO.1))
}

pub(super) fn wait_for_end(pipeline: &gstreamer::Pipeline) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let kinds = [gstreamer::MessageType::Eos, gstreamer::MessageType::Error];
    match bus.timed_pop_filtered(gstreamer::ClockTime::NONE, &kinds) {
        Some(message) if message.type_() == gstreamer::MessageType::Eos => Ok(()),
        Some(message) => Err(message_text(&message)),
        None => Err(first_error(pipeline).unwrap_or_else(|| "the pipeline stopped".into())),
    }
}

fn message_text(message: &gstreamer::Message) -> String {
    match message.view() {
        gstreamer::MessageView::Error(error) => {
            let place = error.src().map(|src| src.path_string()).unwrap_or_default();
            format!("{} ({place})", error.error())
        }
        _ => "an unknown message".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_photograph_always_fills_the_picture() {
        for frame in 0..4 * (SCENE_FRAMES + DARK_FRAMES) {
            let (x, y, width, height) = placement(frame);
            assert!(x <= 0 && y <= 0, "frame {frame}: a gap at the left or top");
            assert!(x + width >= OUT.0 as i32, "frame {frame}: a gap at the right");
            assert!(y + height >= OUT.1 as i32, "frame {frame}: a gap at the bottom");
        }
    }
}
