//! Which encoder there is.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

use crate::fault::Fault;
use crate::ring::server::Codec;

/// Seconds from one keyframe to the next where nobody asks for one.
const KEYFRAMES_S: f64 = 2.0;

/// An encoder, and how it is told to keep up with a live picture: no frame is held back, none refers to a later one.
#[derive(Debug)]
pub(in crate::restream) struct Encoder {
    pub element: &'static str,
    pub hardware: bool,
    /// What it takes. Named, since x264 would take the colours of a source in 4:4:4, which few players know.
    pub format: &'static str,
    /// Properties; `{bitrate_kbps}`, `{bitrate_bps}`, `{gop}` and `{threads}` are numbers.
    settings: &'static str,
    /// What comes behind it in a pipeline text and has each keyframe bring its parameter sets along, where the encoder does not.
    pub headers: &'static str,
}

const H264_HEADERS: &str = "h264parse config-interval=-1 !";
const H265_HEADERS: &str = "h265parse config-interval=-1 !";

/// The first that works is taken.
const H264: &[Encoder] = &[
    Encoder {
        element: "vah264enc",
        hardware: true,
        format: "NV12",
        settings: "rate-control=cbr bitrate={bitrate_kbps} key-int-max={gop} b-frames=0 ref-frames=1 target-usage=6",
        headers: H264_HEADERS,
    },
    Encoder {
        element: "nvh264enc",
        hardware: true,
        format: "NV12",
        settings: "preset=low-latency zerolatency=true rc-mode=cbr bitrate={bitrate_kbps} gop-size={gop}",
        headers: H264_HEADERS,
    },
    Encoder {
        element: "v4l2h264enc",
        hardware: true,
        format: "NV12",
        settings: "extra-controls=controls,video_bitrate={bitrate_bps},h264_i_frame_period={gop},repeat_sequence_header=1",
        headers: H264_HEADERS,
    },
    Encoder {
        element: "x264enc",
        hardware: false,
        format: "I420",
        // Packets tell where a picture ends. A delimiter is one more of them that is sent by itself, and the parser adds one where
        // there is none.
        settings: "tune=zerolatency speed-preset=ultrafast threads={threads} bitrate={bitrate_kbps} key-int-max={gop} aud=false",
        headers: "",
    },
    Encoder {
        element: "openh264enc",
        hardware: false,
        format: "I420",
        settings: "usage-type=camera complexity=low rate-control=bitrate bitrate={bitrate_bps} gop-size={gop}",
        headers: H264_HEADERS,
    },
];

const H265: &[Encoder] = &[
    Encoder {
        element: "vah265enc",
        hardware: true,
        format: "NV12",
        settings: "rate-control=cbr bitrate={bitrate_kbps} key-int-max={gop} b-frames=0 ref-frames=1 target-usage=6",
        headers: H265_HEADERS,
    },
    Encoder {
        element: "nvh265enc",
        hardware: true,
        format: "NV12",
        settings: "preset=low-latency zerolatency=true rc-mode=cbr bitrate={bitrate_kbps} gop-size={gop}",
        headers: H265_HEADERS,
    },
    Encoder {
        element: "x265enc",
        hardware: false,
        format: "I420",
        settings: "tune=zerolatency speed-preset=ultrafast bitrate={bitrate_kbps} key-int-max={gop}",
        headers: H265_HEADERS,
    },
];

/// The word for a codec in the names of elements and pipeline texts.
pub(super) const fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::H265 => "h265",
    }
}

/// Tells an appsrc what it will be given: what an encoder gave.
pub(super) fn prepare(coded: &AppSrc, codec: Codec) {
    let caps = gst::Caps::builder(format!("video/x-{}", name(codec)))
        .field("stream-format", "byte-stream")
        .field("alignment", "au")
        .build();
    coded.set_caps(Some(&caps));
    // the fan bounds it
    coded.set_max_bytes(0);
    coded.set_max_buffers(0);
}

/// The encoder to use: hardware where there is some that can be opened, unless it is `software` alone that is wanted.
///
/// # Errors
/// There is none.
pub(in crate::restream) fn choose(codec: Codec, software: bool) -> Result<&'static Encoder, Fault> {
    let all = match codec {
        Codec::H264 => H264,
        Codec::H265 => H265,
    };
    all.iter().filter(|encoder| !(software && encoder.hardware)).find(|encoder| opens(encoder)).ok_or_else(|| {
        let plugin = match codec {
            Codec::H264 => "x264 (gst-plugins-ugly)",
            Codec::H265 => "x265 (gst-plugins-bad)",
        };
        Fault::unavailable(format!("there is no encoder for {}", name(codec)))
            .remedy(format!("install GStreamer's plugin {plugin}"))
    })
}

/// A driver may be there without its device.
fn opens(encoder: &Encoder) -> bool {
    let Ok(element) = gst::ElementFactory::make(encoder.element).build() else { return false };
    let opened = !encoder.hardware || element.set_state(gst::State::Ready).is_ok();
    let _ = element.set_state(gst::State::Null);
    opened
}

impl Encoder {
    /// As it stands in a pipeline text, for `fps` pictures a second; 0 threads are as many as it likes.
    pub fn text(&self, bitrate_kbps: u32, fps: f64, threads: usize) -> String {
        let gop = (fps * KEYFRAMES_S).round() as u32;
        let settings = self
            .settings
            .replace("{bitrate_kbps}", &bitrate_kbps.to_string())
            .replace("{bitrate_bps}", &(u64::from(bitrate_kbps) * 1000).to_string())
            .replace("{gop}", &gop.to_string())
            .replace("{threads}", &threads.to_string());
        format!("{} name=encoder {settings}", self.element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_filled_in() {
        for encoder in H264.iter().chain(H265) {
            let text = encoder.text(4000, 25.0, 2);
            assert!(text.starts_with(encoder.element) && text.contains("4000") && !text.contains('{'), "{text}");
        }
    }

    #[test]
    fn software_can_be_had_alone() {
        gst::init().unwrap();
        for codec in [Codec::H264, Codec::H265] {
            match choose(codec, true) {
                Ok(encoder) => assert!(!encoder.hardware, "{encoder:?}"),
                Err(fault) => assert!(fault.to_string().contains("install"), "{fault}"),
            }
        }
    }

    /// The kinds of a byte stream's units, as the codec numbers them.
    fn units(codec: Codec, stream: &[u8]) -> Vec<u8> {
        let begins = stream.windows(4).filter(|four| four[..3] == [0, 0, 1]);
        let kind = |byte: u8| if codec == Codec::H264 { byte & 31 } else { byte >> 1 & 63 };
        begins.map(|four| kind(four[3])).collect()
    }

    #[test]
    fn each_keyframe_brings_its_parameter_sets_and_no_picture_more_than_it_needs() {
        crate::gst::start(super::super::PLUGINS).unwrap();
        for (codec, sets) in [(Codec::H264, &[7, 8][..]), (Codec::H265, &[32, 33, 34])] {
            let Ok(encoder) = choose(codec, true) else { continue };
            let text = format!(
                "videotestsrc num-buffers=45 ! video/x-raw,format=I420,width=320,height=240,framerate=10/1 ! {} ! {} \
                 video/x-{},stream-format=byte-stream,alignment=au ! appsink name=coded sync=false",
                encoder.text(500, 10.0, 1),
                encoder.headers,
                name(codec)
            );
            let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
            let coded = pipeline.by_name("coded").and_downcast::<gstreamer_app::AppSink>().unwrap();
            pipeline.set_state(gst::State::Playing).unwrap();
            let mut keys = 0;
            while let Ok(sample) = coded.pull_sample() {
                let buffer = sample.buffer().unwrap();
                let units = units(codec, &buffer.map_readable().unwrap());
                if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
                    keys += 1;
                    assert!(sets.iter().all(|set| units.contains(set)), "{}: {units:?}", encoder.element);
                } else if encoder.element == "x264enc" {
                    assert_eq!(units, [1], "a slice and nothing else");
                }
            }
            pipeline.set_state(gst::State::Null).unwrap();
            assert_eq!(keys, 3, "{}", encoder.element);
        }
    }
}
