//! A clip's compressed pictures in memory, so that serving it costs no encoder and looping it leaves no gap in time.

use std::str::FromStr;
use std::time::Duration;

use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::broken;
use crate::fault::Fault;

/// A video codec which the simulated camera can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264, what nearly every camera speaks.
    H264,
    /// H.265.
    H265,
    /// Motion JPEG.
    Mjpeg,
}

impl Codec {
    /// The media type by which GStreamer knows the codec.
    const fn media_type(self) -> &'static str {
        match self {
            Self::H264 => "video/x-h264",
            Self::H265 => "video/x-h265",
            Self::Mjpeg => "image/jpeg",
        }
    }

    fn of_caps(caps: &gstreamer::Caps) -> Option<Self> {
        let name = caps.structure(0)?.name();
        [Self::H264, Self::H265, Self::Mjpeg].into_iter().find(|codec| codec.media_type() == name.as_str())
    }

    /// Encoder text with a keyframe at every `key_int`-th picture and nowhere else, and never a picture out of order. Motion
    /// JPEG knows no rate.
    fn encoder(self, key_int: usize, kbps: Option<u32>) -> String {
        match self {
            Self::H264 => {
                let rate = kbps.map_or("pass=qual quantizer=23".to_owned(), |kbps| format!("pass=cbr bitrate={kbps}"));
                format!(
                    "x264enc speed-preset=veryfast tune=zerolatency {rate} key-int-max={key_int} \
                     option-string=scenecut=0 ! video/x-h264,profile=main,stream-format=byte-stream,alignment=au"
                )
            }
            Self::H265 => {
                let rate = kbps.map_or("qp=26".to_owned(), |kbps| format!("bitrate={kbps}"));
                format!(
                    "x265enc speed-preset=ultrafast tune=zerolatency key-int-max={key_int} \
                     option-string=scenecut=0:open-gop=0:{rate} log-level=none ! h265parse config-interval=-1 \
                     ! video/x-h265,stream-format=byte-stream,alignment=au"
                )
            }
            Self::Mjpeg => "jpegenc quality=85".into(),
        }
    }

    /// From the compressed pictures to the payloader `pay0`; parameter sets go before every keyframe.
    pub(super) const fn payloader(self) -> &'static str {
        match self {
            Self::H264 => "h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 aggregate-mode=zero-latency",
            Self::H265 => "h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96 aggregate-mode=zero-latency",
            Self::Mjpeg => "jpegparse ! rtpjpegpay name=pay0 pt=26",
        }
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "h264" => Ok(Self::H264),
            "h265" => Ok(Self::H265),
            "mjpeg" => Ok(Self::Mjpeg),
            _ => Err(format!("\"{text}\" is none of h264, h265, mjpeg")),
        }
    }
}

/// A picture size as people write it: `1280x720`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl FromStr for PictureSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (width, height) = text.split_once('x')?;
            let size = Self { width: width.parse().ok()?, height: height.parse().ok()? };
            (16..=8192).contains(&size.width).then_some(())?;
            (16..=8192).contains(&size.height).then_some(size)
        };
        parse().ok_or_else(|| format!("\"{text}\" is not a picture size such as 1280x720"))
    }
}

/// How a clip is encoded before it is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The codec.
    pub codec: Codec,
    /// Sizes that take turns; one of them for a camera that keeps its size.
    pub sizes: Vec<PictureSize>,
    /// Pictures a second.
    pub fps: u32,
    /// Thousands of bits a second; `None` for an even quality, whatever that takes.
    pub kbps: Option<u32>,
    /// How long each size lasts before the next one's turn.
    pub every: Duration,
}

impl Recipe {
    /// Pictures from one keyframe to the next: a second, or the turn of one size.
    fn keyframe_interval(&self) -> usize {
        let seconds = if self.sizes.len() > 1 { self.every.as_secs_f64() } else { 1.0 };
        ((seconds * f64::from(self.fps)) as usize).max(1)
    }
}

/// One compressed picture.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// The bytes; copies share them.
    pub data: gstreamer::Buffer,
    /// When it is sent, counted from the clip's first.
    pub due: Duration,
    /// How much later than `due` it is shown: above zero only where pictures travel out of order.
    pub lag: Duration,
}

/// A clip in memory, ready to be sent in a loop.
#[derive(Clone, Debug)]
pub struct Clip {
    pub(super) codec: Codec,
    pub(super) caps: gstreamer::Caps,
    pub(super) units: Vec<Unit>,
    pub(super) length: Duration,
}

impl Clip {
    /// The file's own H.264, H.265 or Motion JPEG as it is.
    ///
    /// # Errors
    /// Where the file cannot be read or holds none of these.
    pub fn copy(file: &str) -> Result<Self, Fault> {
        let text = "filesrc name=file ! decodebin caps=\"video/x-h264;video/x-h265;image/jpeg\" \
                    expose-all-streams=false ! appsink name=out sync=false max-buffers=64";
        Self::collect(text, file)
    }

    /// `source` (a file, or `test:PATTERN`) encoded by `recipe`.
    ///
    /// # Errors
    /// Where the source cannot be decoded or an encoder is not installed.
    pub fn encode(source: &str, recipe: &Recipe) -> Result<Self, Fault> {
        let take = |&size| {
            let text = encoding_text(source, recipe, size);
            Self::collect(&format!("{text} ! appsink name=out sync=false max-buffers=64"), source)
        };
        let takes = recipe.sizes.iter().map(take).collect::<Result<Vec<_>, _>>()?;
        interleave(takes, recipe.keyframe_interval())
    }

    /// Bytes held, for the log.
    pub fn bytes(&self) -> usize {
        self.units.iter().map(|unit| unit.data.size()).sum()
    }

    /// How long one turn of the loop lasts.
    pub fn length(&self) -> Duration {
        self.length
    }

    fn collect(text: &str, file: &str) -> Result<Self, Fault> {
        let doing = format!("cannot load {file}");
        let pipeline = gstreamer::parse::launch(text).map_err(|e| broken(&doing, e))?;
        let pipeline = pipeline.downcast::<gstreamer::Pipeline>().map_err(|_| broken(&doing, "not a pipeline"))?;
        if let Some(reader) = pipeline.by_name("file") {
            reader.set_property("location", file);
        }
        let sink = pipeline.by_name("out").and_then(|out| out.downcast::<AppSink>().ok());
        let sink = sink.ok_or_else(|| broken(&doing, "no appsink"))?;
        let playing = pipeline.set_state(gstreamer::State::Playing).map_err(|e| broken(&doing, e));
        let samples = playing.and_then(|_| drain(&pipeline, &sink).map_err(|e| broken(&doing, e)));
        let _ = pipeline.set_state(gstreamer::State::Null);
        Self::from_samples(&samples?).ok_or_else(|| broken(&doing, "no H.264, H.265 or Motion JPEG pictures in it"))
    }

    fn from_samples(samples: &[gstreamer::Sample]) -> Option<Self> {
        let caps = samples.first()?.caps_owned()?;
        let codec = Codec::of_caps(&caps)?;
        let shown = |sample: &gstreamer::Sample| Some((sample.buffer_owned()?, sample.buffer()?.pts()?.nseconds()));
        let pictures: Vec<_> = samples.iter().filter_map(shown).collect();
        let mut sent: Vec<u64> = pictures.iter().map(|(_, shown)| *shown).collect();
        sent.sort_unstable();
        let (first, last) = (*sent.first()?, *sent.last()?);
        let step = if sent.len() > 1 { (last - first) / (sent.len() as u64 - 1) } else { 1_000_000_000 };
        // Pictures may travel out of order, and not every container says when one is to be sent. Sent at an even pace
        // and shown so much later that none is shown before it was sent, they need no such word.
        let delay = pictures.iter().zip(&sent).map(|((_, shown), sent)| sent.saturating_sub(*shown)).max()?;
        let unit = |((data, shown), sent): ((gstreamer::Buffer, u64), &u64)| Unit {
            data,
            due: Duration::from_nanos(sent - first),
            lag: Duration::from_nanos(shown + delay - sent),
        };
        let units = pictures.into_iter().zip(&sent).map(unit).collect();
        Some(Self { codec, caps, units, length: Duration::from_nanos(last - first + step) })
    }
}

/// Everything that comes out, until the end or the first error: after an error an appsink would wait for good.
fn drain(pipeline: &gstreamer::Pipeline, sink: &AppSink) -> Result<Vec<gstreamer::Sample>, String> {
    let mut samples = Vec::new();
    loop {
        match sink.try_pull_sample(gstreamer::ClockTime::from_mseconds(100)) {
            Some(sample) => samples.push(sample),
            None => match first_error(pipeline) {
                Some(error) => return Err(error),
                None if sink.is_eos() => return Ok(samples),
                None => {}
            },
        }
    }
}

/// From the file named `file`, or a pattern, to compressed pictures.
pub(super) fn encoding_text(source: &str, recipe: &Recipe, size: PictureSize) -> String {
    let (fps, PictureSize { width, height }) = (recipe.fps, size);
    let input = match source.strip_prefix("test:") {
        Some("") => format!("videotestsrc pattern=ball num-buffers={}", fps * 10),
        Some(pattern) => format!("videotestsrc pattern={pattern} num-buffers={}", fps * 10),
        None => "filesrc name=file ! decodebin caps=video/x-raw(ANY) expose-all-streams=false".into(),
    };
    format!(
        "{input} ! videoconvert ! videoscale add-borders=true ! videorate \
         ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1,pixel-aspect-ratio=1/1 \
         ! {}",
        recipe.codec.encoder(recipe.keyframe_interval(), recipe.kbps)
    )
}

/// One clip out of several of the same length, in turns of so many pictures; a turn begins with the keyframe there.
fn interleave(takes: Vec<Clip>, turn: usize) -> Result<Clip, Fault> {
    let mut clip = takes.first().cloned().ok_or_else(|| Fault::internal("a recipe without a picture size"))?;
    if takes.len() == 1 {
        return Ok(clip);
    }
    let take_of = |n: usize| takes.get(n / turn % takes.len());
    clip.units = (0..clip.units.len()).filter_map(|n| take_of(n)?.units.get(n).cloned()).collect();
    // Without the size in the caps the stream itself says when it changes.
    for structure in clip.caps.make_mut().iter_mut() {
        structure.remove_fields(["width", "height", "codec_data"]);
    }
    Ok(clip)
}

/// The first error that a pipeline has reported, in words.
pub(super) fn first_error(pipeline: &gstreamer::Pipeline) -> Option<String> {
    let message = pipeline.bus()?.pop_filtered(&[gstreamer::MessageType::Error])?;
    match message.view() {
        gstreamer::MessageView::Error(error) => Some(error.error().to_string()),
        _ => None,
    }
}
