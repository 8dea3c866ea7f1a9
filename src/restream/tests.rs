//! The simulated camera seen by a client.

use std::sync::Arc;
use std::time::Duration;

use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::clip::{Clip, Codec, PictureSize, Recipe};
use super::sim::{Access, Mount, Server};

const SMALL: PictureSize = PictureSize { width: 160, height: 120 };
const SMALLER: PictureSize = PictureSize { width: 96, height: 64 };

fn clip(codec: Codec, sizes: &[PictureSize]) -> Clip {
    super::ready().unwrap();
    let recipe = Recipe { codec, sizes: sizes.to_vec(), fps: 20, kbps: None, every: Duration::from_millis(500) };
    let mut clip = Clip::encode("test:", &recipe).unwrap();
    // A second of it, so that the loop begins again soon.
    clip.units.truncate(20);
    clip.length = Duration::from_secs(1);
    clip
}

/// Plays the clip as a camera and returns what a client sees: time stamps and sizes of so many pictures.
fn watch(clip: Clip, pictures: usize) -> Vec<(Duration, u32, u32)> {
    let mounts = [Mount { path: "front".into(), clip: Arc::new(clip) }];
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), &mounts, &Access::default()).unwrap();
    let url = format!("rtsp://{}/front", server.listen());
    let (quit, quitting) = crossbeam_channel::bounded(0);
    let serving = std::thread::spawn(move || server.run(quitting));
    // Times are the sender's own, whenever a packet arrives on a busy machine.
    let text = format!(
        "rtspsrc location={url} latency=20 protocols=tcp buffer-mode=none ! decodebin ! appsink name=out sync=false max-buffers=500"
    );
    let pipeline = gstreamer::parse::launch(&text).unwrap().downcast::<gstreamer::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let picture = |_| {
        let sample = out.try_pull_sample(gstreamer::ClockTime::from_seconds(20)).expect("no picture within 20 s");
        let caps = sample.caps().unwrap().structure(0).unwrap();
        let side = |name| u32::try_from(caps.get::<i32>(name).unwrap()).unwrap();
        let time = sample.buffer().unwrap().pts().unwrap().nseconds();
        (Duration::from_nanos(time), side("width"), side("height"))
    };
    let seen = (0..pictures).map(picture).collect();
    pipeline.set_state(gstreamer::State::Null).unwrap();
    drop(quit);
    serving.join().unwrap();
    seen
}

#[test]
fn every_codec_has_the_same_pace_across_the_loop() {
    for codec in [Codec::H264, Codec::H265, Codec::Mjpeg] {
        let seen = watch(clip(codec, &[SMALL]), 50);
        for pair in seen.windows(2) {
            let step = pair[1].0.saturating_sub(pair[0].0).as_secs_f64();
            assert!((0.03..0.07).contains(&step), "{codec:?}: {step} s between two pictures at 20 a second");
        }
    }
}

#[test]
fn the_size_changes_in_midstream() {
    let seen = watch(clip(Codec::H264, &[SMALL, SMALLER]), 45);
    let mut sizes: Vec<_> = seen.iter().map(|(_, width, height)| (*width, *height)).collect();
    sizes.dedup();
    let (small, smaller) = ((SMALL.width, SMALL.height), (SMALLER.width, SMALLER.height));
    assert!(sizes.len() >= 4, "too few changes: {sizes:?}");
    assert!(sizes.iter().all(|size| [small, smaller].contains(size)), "{sizes:?}");
}

#[test]
fn a_copied_file_is_sent_as_it_is() {
    super::ready().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.mkv");
    // With B-frames pictures travel out of order, and keep their times nevertheless.
    let text = format!(
        "videotestsrc num-buffers=40 ! video/x-raw,format=I420,width=160,height=120,framerate=20/1 \
         ! x264enc bframes=2 b-adapt=false key-int-max=20 ! h264parse ! matroskamux ! filesink location={}",
        file.display()
    );
    let pipeline = gstreamer::parse::launch(&text).unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let kinds = [gstreamer::MessageType::Eos, gstreamer::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gstreamer::ClockTime::from_seconds(30), &kinds);
    assert_eq!(end.unwrap().type_(), gstreamer::MessageType::Eos);
    pipeline.set_state(gstreamer::State::Null).unwrap();

    let clip = Clip::copy(file.to_str().unwrap()).unwrap();
    assert_eq!(clip.units.len(), 40);
    assert_eq!(clip.length().as_millis(), 2000);
    assert!(clip.units.iter().any(|unit| !unit.lag.is_zero()), "no picture out of order");
    let seen = watch(clip, 60);
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "time runs backwards: {seen:?}");
}

#[test]
fn what_holds_no_video_is_an_error() {
    super::ready().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "no video").unwrap();
    let error = Clip::copy(file.path().to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains(file.path().to_str().unwrap()), "{error}");
}
