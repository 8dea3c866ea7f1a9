//! From coded pictures to raw ones: which text, and which decoder of those that are installed.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::ring::wire::{Decoder, FailReason};

use super::Failure;
use crate::gst::caps::{coded_rate, coded_size};
use crate::gst::{USUAL_FPS, threads};

/// A coding that has a pipeline text of its own, or a way out of RTP.
struct Known {
    /// The coding's name for people, and its RTP encoding name in lower case.
    name: &'static str,
    /// The caps' name.
    media: &'static str,
    /// The text that takes it out of RTP.
    depay: &'static str,
    /// The text that decodes it.
    decode: &'static str,
}

const KNOWN: &[Known] = &[
    Known { name: "h264", media: "video/x-h264", depay: "rtp-h264", decode: "h264" },
    Known { name: "h265", media: "video/x-h265", depay: "rtp-h265", decode: "h265" },
    Known { name: "jpeg", media: "image/jpeg", depay: "rtp-jpeg", decode: "decode" },
];

/// How the pictures of one stream become raw.
pub(super) struct Codec {
    /// For people: `h264`, `h265`, `jpeg`, `raw`, or what the caps say.
    pub name: String,
    /// The texts to put in front of `frames`, in order.
    pub texts: Vec<&'static str>,
    /// What the decoder will be given; `None` for raw pictures.
    pub coded: Option<gst::Caps>,
}

impl Codec {
    /// How to treat a stream of these caps; `None` where it is no video.
    pub fn of(caps: &gst::Caps) -> Option<Self> {
        let structure = caps.structure(0)?;
        let media = structure.name().as_str();
        if media == "application/x-rtp" {
            return Self::of_rtp(structure);
        }
        if media == "video/x-raw" {
            return Some(Self { name: "raw".to_owned(), texts: Vec::new(), coded: None });
        }
        if let Some(known) = KNOWN.iter().find(|known| known.media == media) {
            return Some(Self::of_known(known, vec![known.decode]));
        }
        let (kind, name) = media.split_once('/')?;
        let other = || Self {
            name: name.trim_start_matches("x-").to_owned(),
            texts: vec!["decode"],
            coded: Some(caps.clone()),
        };
        (kind == "video").then(other)
    }

    fn of_rtp(structure: &gst::StructureRef) -> Option<Self> {
        if structure.get::<&str>("media") != Ok("video") {
            return None;
        }
        let encoding = structure.get::<&str>("encoding-name").unwrap_or_default().to_lowercase();
        match KNOWN.iter().find(|known| known.name == encoding) {
            Some(known) => Some(Self::of_known(known, vec![known.depay, known.decode])),
            // coded as its RTP caps, which no decoder takes: the error will name it
            None => Some(Self { name: encoding, texts: vec!["decode"], coded: Some(structure.to_owned().into()) }),
        }
    }

    /// Only the caps' name counts for these: their parsers change the rest to what the decoder likes.
    fn of_known(known: &Known, texts: Vec<&'static str>) -> Self {
        let coded = Some(gst::Caps::new_empty_simple(known.media));
        Self { name: known.name.to_owned(), texts, coded }
    }
}

/// A decoder that is installed and can be opened.
pub(super) struct Chosen {
    /// The element's name.
    pub element: String,
    /// Whether it is hardware.
    pub hardware: bool,
}

/// The best decoder for `codec`: hardware that can be opened, or the software decoder of the highest rank.
pub(super) fn choose(codec: &Codec, allowed: Decoder) -> Result<Option<Chosen>, Failure> {
    let Some(coded) = &codec.coded else { return Ok(None) };
    let kind = gst::ElementFactoryType::DECODER;
    // drivers' decoders stand at rank none in some releases, so they are looked for at any rank
    let all = gst::ElementFactory::factories_with_type(kind, gst::Rank::NONE);
    let fitting = all.iter().filter(|factory| factory.can_sink_any_caps(coded) && makes_pictures(factory));
    let (mut hardware, mut software): (Vec<_>, Vec<_>) = fitting.partition(|factory| is_hardware(factory));
    software.retain(|factory| factory.rank() > gst::Rank::NONE);
    for list in [&mut hardware, &mut software] {
        list.sort_by_key(|factory| (std::cmp::Reverse(factory.rank()), factory.name()));
    }
    let opened = match allowed {
        Decoder::Auto => hardware.iter().find(|factory| opens(factory)),
        Decoder::Software => None,
    };
    let chosen = |hardware| move |factory: &&gst::ElementFactory| Chosen { element: factory.name().into(), hardware };
    let found = opened.map(chosen(true)).or_else(|| software.first().map(chosen(false)));
    found.map(Some).ok_or_else(|| {
        let text = format!("there is no decoder for {} video; install GStreamer's libav plugin", codec.name);
        Failure::new(FailReason::Unsupported, text)
    })
}

fn makes_pictures(factory: &gst::ElementFactory) -> bool {
    let raw = gst::Caps::new_empty_simple("video/x-raw");
    factory.can_src_any_caps(&raw)
}

fn is_hardware(factory: &gst::ElementFactory) -> bool {
    factory.metadata("klass").is_some_and(|class| class.split('/').any(|part| part == "Hardware"))
}

/// Whether the device behind the decoder is there: READY opens it.
fn opens(factory: &gst::ElementFactory) -> bool {
    let Ok(element) = factory.create().build() else { return false };
    let opened = element.set_state(gst::State::Ready).is_ok();
    opened & element.set_state(gst::State::Null).is_ok()
}

/// libav's decoders' threads.
const THREADS: &str = "max-threads";

/// Few cameras send a picture in more parts than that, and threads without a part only take memory.
const MOST_THREADS: usize = 4;

/// How a decoder spreads its work over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// As it likes.
    Any,
    /// Over the parts of one picture, and so many as it likes: threads over frames would hold back a frame for each thread.
    Parts,
    /// The same, and as many as the pictures are worth.
    Fitted,
}

/// Sets what a decoder should do with broken streams and with threads. Each decoder has some of these properties.
pub(super) fn tune(decoder: &gst::Element, spread: Spread) {
    let set = |name: &str, value: &str| {
        if decoder.has_property(name) {
            decoder.set_property_from_str(name, value);
        }
    };
    // a broken picture is one picture; the stream goes on
    set("max-errors", "-1");
    // grey pictures in front of the first keyframe are none
    set("output-corrupt", "false");
    if spread != Spread::Any {
        set("thread-type", "slice");
    }
    if spread == Spread::Fitted && decoder.has_property(THREADS) {
        fit_threads(decoder);
    }
}

/// Gives the decoder as many threads as its pictures are worth, before it is opened for them.
fn fit_threads(decoder: &gst::Element) {
    let (Some(pad), weak) = (decoder.static_pad("sink"), decoder.downgrade()) else { return };
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let (Some(gst::EventView::Caps(event)), Some(decoder)) = (info.event().map(|e| e.view()), weak.upgrade()) {
            // cameras that say they are slow are not always
            let (size, fps) = (coded_size(event.caps()), coded_rate(event.caps()).map(|fps| fps.max(USUAL_FPS)));
            let threads = size.map_or(MOST_THREADS, |size| threads(size, fps).min(MOST_THREADS));
            decoder.set_property_from_str(THREADS, &threads.to_string());
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn codec(caps: &str) -> Option<Codec> {
        gst::init().unwrap();
        Codec::of(&gst::Caps::from_str(caps).unwrap())
    }

    #[test]
    fn each_coding_has_its_texts() {
        let texts = |caps| codec(caps).map(|codec| (codec.name, codec.texts));
        let rtp = "application/x-rtp,media=video,encoding-name=H265";
        assert_eq!(texts(rtp), Some(("h265".to_owned(), vec!["rtp-h265", "h265"])));
        assert_eq!(texts("video/x-h264,stream-format=avc"), Some(("h264".to_owned(), vec!["h264"])));
        assert_eq!(texts("image/jpeg"), Some(("jpeg".to_owned(), vec!["decode"])));
        assert_eq!(texts("video/x-raw,format=I420"), Some(("raw".to_owned(), vec![])));
        assert_eq!(texts("video/x-vp9"), Some(("vp9".to_owned(), vec!["decode"])));
        assert_eq!(texts("audio/mpeg"), None);
        assert_eq!(texts("application/x-rtp,media=audio,encoding-name=OPUS"), None);
    }

    #[test]
    fn a_coding_that_nobody_knows_is_named() {
        let unknown = codec("application/x-rtp,media=video,encoding-name=FANCY").unwrap();
        let failure = choose(&unknown, Decoder::Auto).err().unwrap();
        assert_eq!(failure.reason, FailReason::Unsupported);
        assert!(failure.text.contains("fancy"), "{}", failure.text);
    }
}
