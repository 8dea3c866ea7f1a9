//! Model manifests: what a model is, what goes in and comes out, under which licence, and where its file comes from.
//!
//! One TOML file a model in `models/`, built into the binary; a file `NAME.toml` in the models folder comes before the
//! built-in one of the same name, so that a user's own model needs no new build.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::source::Source;
use crate::fault::Fault;
use crate::geometry::Size;

/// The manifests in the binary; a new model is a file in `models/` and a line here.
const BUILT_IN: &[&str] = &[
    include_str!("../../models/yunet-n.toml"),
    include_str!("../../models/yunet-s.toml"),
    include_str!("../../models/yunet-2023mar.toml"),
    include_str!("../../models/centerface.toml"),
    include_str!("../../models/retinaface-mobilenet025.toml"),
    include_str!("../../models/retinaface-mobilenet025-single.toml"),
    include_str!("../../models/ultraface-rfb-320.toml"),
    include_str!("../../models/ultraface-slim-320.toml"),
    include_str!("../../models/ultraface-rfb-640.toml"),
    include_str!("../../models/ssd-mobilenetv1.toml"),
    include_str!("../../models/ssd-mobilenetv1-tfod.toml"),
    include_str!("../../models/scrfd-500m.toml"),
    include_str!("../../models/scrfd-2.5g.toml"),
    include_str!("../../models/face-reid-0095.toml"),
    include_str!("../../models/dlib-resnet.toml"),
    include_str!("../../models/sface.toml"),
    include_str!("../../models/mobilefacenet-y1.toml"),
    include_str!("../../models/arcface-mbf.toml"),
    include_str!("../../models/arcface-r50.toml"),
    include_str!("../../models/landmarks-0009.toml"),
];

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Finds faces in a picture.
    Detect,
    /// Tells people apart by an aligned face.
    Embed,
    /// Finds the five landmarks in the box of a face.
    Landmarks,
}

impl Task {
    /// The word for it in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Embed => "embed",
            Self::Landmarks => "landmarks",
        }
    }
}

/// The order of a picture tensor's dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, row, column: each channel is a plane.
    Nchw,
    /// Batch, row, column, channel: channels interleaved.
    Nhwc,
}

/// The order of the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue.
    Rgb,
}

/// The type of an input's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// 32-bit floats.
    F32,
    /// Bytes.
    U8,
}

/// How a picture of another shape becomes the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Scaled as a whole to the top left corner, the rest black.
    Letterbox,
    /// Each axis scaled on its own.
    #[default]
    Stretch,
}

/// What goes into a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Name in the graph.
    pub name: String,
    /// Order of the dimensions.
    pub layout: Layout,
    /// Order of the colours.
    pub channels: Channels,
    /// Type of the values.
    pub kind: Kind,
    /// Subtracted from each value of 0 to 255, per channel in the order of `channels`.
    pub mean: [f32; 3],
    /// Then multiplied with it.
    pub scale: [f32; 3],
    /// Width and height in pixels: the only ones a fixed graph takes, the default of a dynamic one.
    pub size: [u32; 2],
    /// Set where the graph takes other sizes too, whose sides are then multiples of this.
    #[serde(default)]
    pub multiple_of: Option<u32>,
    /// How a picture is brought to that size. Embedders do not ask: their template says it.
    #[serde(default)]
    pub resize: Resize,
}

impl InputSpec {
    /// The tensor's dimensions for `batch` pictures of `size`.
    pub fn shape(&self, batch: usize, size: Size) -> [usize; 4] {
        let (width, height) = (size.width as usize, size.height as usize);
        match self.layout {
            Layout::Nchw => [batch, 3, height, width],
            Layout::Nhwc => [batch, height, width, 3],
        }
    }

    /// The picture size in a tensor of dimensions `shape`.
    pub fn size_of(&self, shape: [usize; 4]) -> Size {
        match self.layout {
            Layout::Nchw => Size::new(shape[3] as u32, shape[2] as u32),
            Layout::Nhwc => Size::new(shape[2] as u32, shape[1] as u32),
        }
    }
}

/// One dimension of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this many.
    Fixed(usize),
    /// `"N"`: as many as the batch. Any other name: as many as the input's size leads to.
    Named(String),
}

/// What comes out of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// Name in the graph.
    pub name: String,
    /// Its dimensions, batch first.
    pub shape: Vec<Dim>,
}

impl OutputSpec {
    /// The dimensions as a manifest writes them.
    pub(super) fn dims(&self) -> String {
        let texts: Vec<_> = self
            .shape
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(n) => n.to_string(),
                Dim::Named(name) => name.clone(),
            })
            .collect();
        format!("[{}]", texts.join(", "))
    }

    /// Whether a tensor of dimensions `shape` is this output for `batch` items; a negative dimension is one that the
    /// graph leaves open.
    pub(super) fn fits(&self, shape: &[i64], batch: Option<usize>) -> bool {
        self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(dim, &found)| match dim {
                _ if found < 0 => true,
                Dim::Fixed(n) => *n as i64 == found,
                Dim::Named(name) if name == "N" => batch.is_none_or(|batch| batch as i64 == found),
                Dim::Named(_) => true,
            })
    }
}

/// Where a family's decoder draws its lines, unless the configuration says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Least score of a face, 0 to 1.
    pub score: f32,
    /// Overlap (IoU) beyond which the weaker of two boxes is the same face.
    pub nms: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { score: 0.5, nms: 0.3 }
    }
}

/// What an embedder's numbers are worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSpec {
    /// How many numbers a face becomes.
    pub dimension: usize,
    /// Where the face lies in the input: `reid-128`, `arcface-112`, `dlib-150` or `facenet-160`.
    pub template: String,
    /// Cosine similarity from which two pictures are taken for one person.
    pub threshold: f32,
    /// How high different people score, so that a threshold can follow a gallery's size; nobody measured it where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impostors: Option<Impostors>,
}

/// The tail of the cosines of different people: a share `rate · e^(−(t − cosine) / scale)` of the pairs reaches `t`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impostors {
    /// A cosine where the tail has begun.
    pub cosine: f32,
    /// Share of all pairs of different people that reach it, 0 to 1.
    pub rate: f64,
    /// The tail falls to 1/e over this much more of cosine.
    pub scale: f32,
}

impl EmbeddingSpec {
    fn problem(&self) -> Option<&'static str> {
        let cosine = |value: f32| (-1.0..=1.0).contains(&value);
        match self.impostors {
            _ if self.dimension == 0 => Some("embedding.dimension is 0"),
            _ if !cosine(self.threshold) => Some("embedding.threshold is no cosine, -1 to 1"),
            Some(tail) if !cosine(tail.cosine) => Some("embedding.impostors.cosine is no cosine, -1 to 1"),
            Some(tail) if !(tail.rate > 0.0 && tail.rate <= 1.0) => {
                Some("embedding.impostors.rate is no share, 0 to 1")
            }
            Some(tail) if !(tail.scale > 0.0 && tail.scale <= 1.0) => {
                Some("embedding.impostors.scale is not within 0 to 1")
            }
            _ => None,
        }
    }
}

/// A model: what it is, how it is used, where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name in configurations: `yunet-n`.
    pub name: String,
    /// What it is for.
    pub task: Task,
    /// The decoder: a file in `detect/`.
    pub family: String,
    /// File name in the models folder.
    pub file: String,
    /// The file's length.
    pub bytes: u64,
    /// The file's SHA-256, as 64 hexadecimal digits.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// Set where the licence allows no commercial use: such a model runs only when `accept_licences` names it.
    #[serde(default)]
    pub non_commercial: bool,
    /// What a user should know before choosing it.
    #[serde(default)]
    pub note: String,
    /// What goes in.
    pub input: InputSpec,
    /// Lines that a detector's decoder draws.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Of an embedder: what its numbers are worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingSpec>,
    /// What comes out, in the order that the family's decoder expects.
    pub outputs: Vec<OutputSpec>,
    /// Where the file can be had, tried in this order.
    #[serde(default)]
    pub sources: Vec<Source>,
}

impl Manifest {
    /// Reads a manifest; `place` names it in an error.
    pub fn parse(text: &str, place: &str) -> Result<Self, Fault> {
        let manifest: Self =
            toml::from_str(text).map_err(|e| Fault::config(format!("{place}: {}", e.to_string().trim_end())))?;
        manifest.check(place)?;
        Ok(manifest)
    }

    fn check(&self, place: &str) -> Result<(), Fault> {
        let wrong = |what: String| Err(Fault::config(format!("{place}: {what}")));
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return wrong(format!("sha256 \"{}\" is not 64 hexadecimal digits", self.sha256));
        }
        if Path::new(&self.file).file_name().is_none_or(|name| name != self.file.as_str()) {
            return wrong(format!("file \"{}\" is not a plain file name", self.file));
        }
        if (self.task == Task::Embed) != self.embedding.is_some() {
            return wrong("[embedding] belongs to task = \"embed\", and to no other".into());
        }
        if let Some(what) = self.embedding.as_ref().and_then(EmbeddingSpec::problem) {
            return wrong(what.into());
        }
        if self.outputs.is_empty() {
            return wrong("no outputs".into());
        }
        if let Some(what) = self.sources.iter().find_map(Source::problem) {
            return wrong(what);
        }
        self.size(None).map(|_| ()).or_else(|fault| wrong(fault.what))
    }

    /// Whether the licence allows any use, or else `accepted` names the model or the licence.
    pub fn may_run(&self, accepted: &[String]) -> bool {
        !self.non_commercial || accepted.iter().any(|name| *name == self.name || *name == self.licence)
    }

    /// The input's size for what the configuration asks for (`None`: the model's own).
    pub fn size(&self, asked: Option<Size>) -> Result<Size, Fault> {
        let [width, height] = self.input.size;
        let size = asked.unwrap_or(Size::new(width, height));
        let (name, found) = (&self.name, format!("{}x{}", size.width, size.height));
        match self.input.multiple_of {
            None if size != Size::new(width, height) => {
                Err(Fault::config(format!("model {name} takes an input of {width}x{height} only, not {found}"))
                    .remedy(format!("leave out models.input, or set it to \"{width}x{height}\"")))
            }
            Some(step) if step == 0 || !size.width.is_multiple_of(step) || !size.height.is_multiple_of(step) => Err(
                Fault::config(format!("model {name} takes an input whose sides are multiples of {step}, not {found}")),
            ),
            _ if size.pixels() == 0 => Err(Fault::config(format!("model {name}: an input of {found} is empty"))),
            _ => Ok(size),
        }
    }
}

/// Every known model: the built-in manifests, and those in `folder`, which come before built-in ones of the same name.
pub fn catalogue(folder: Option<&Path>) -> Result<Vec<Manifest>, Fault> {
    let mut all =
        BUILT_IN.iter().map(|text| Manifest::parse(text, "built-in manifest")).collect::<Result<Vec<_>, _>>()?;
    for manifest in folder.map(read_folder).transpose()?.unwrap_or_default() {
        match all.iter_mut().find(|known| known.name == manifest.name) {
            Some(known) => *known = manifest,
            None => all.push(manifest),
        }
    }
    Ok(all)
}

/// The manifest of model `name`.
pub fn find(folder: Option<&Path>, name: &str) -> Result<Manifest, Fault> {
    let mut all = catalogue(folder)?;
    match all.iter().position(|manifest| manifest.name == name) {
        Some(index) => Ok(all.swap_remove(index)),
        None => {
            let names: Vec<_> = all.iter().map(|manifest| manifest.name.as_str()).collect();
            Err(Fault::config(format!("no model is named \"{name}\"")).remedy(format!("known: {}", names.join(", "))))
        }
    }
}

fn read_folder(folder: &Path) -> Result<Vec<Manifest>, Fault> {
    let Ok(entries) = folder.read_dir() else { return Ok(Vec::new()) };
    let mut paths: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Manifest::parse(&read_text(path)?, &path.display().to_string())).collect()
}

fn read_text(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|e| Fault::unavailable(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_manifests_are_sound() {
        let all = catalogue(None).unwrap();
        let mut names: Vec<_> = all.iter().map(|manifest| &manifest.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len(), "two of the same name");
        for manifest in &all {
            let text = toml::to_string(manifest).unwrap();
            assert_eq!(&Manifest::parse(&text, "again").unwrap(), manifest);
            assert!(!manifest.sources.is_empty(), "{}", manifest.name);
            assert_eq!(manifest.outputs[0].shape[0], Dim::Named("N".into()), "{}", manifest.name);
        }
        assert_eq!(
            all.len(),
            std::fs::read_dir("models").unwrap().filter(is_manifest).count(),
            "a file without a line"
        );
    }

    fn is_manifest(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "toml"))
    }

    #[test]
    fn a_manifest_in_the_folder_comes_before_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut own = find(None, "yunet-n").unwrap();
        own.thresholds.score = 0.25;
        std::fs::write(folder.path().join("own.toml"), toml::to_string(&own).unwrap()).unwrap();
        own.name = "yunet-mine".into();
        std::fs::write(folder.path().join("second.toml"), toml::to_string(&own).unwrap()).unwrap();
        assert_eq!(find(Some(folder.path()), "yunet-n").unwrap().thresholds.score, 0.25);
        assert_eq!(find(Some(folder.path()), "yunet-mine").unwrap(), own);
        assert_eq!(catalogue(Some(folder.path())).unwrap().len(), BUILT_IN.len() + 1);
    }

    #[test]
    fn a_wrong_manifest_is_named_with_what_is_wrong() {
        let good = toml::to_string(&find(None, "yunet-n").unwrap()).unwrap();
        let check = |from: &str, to: &str, expected: &str| {
            assert!(good.contains(from));
            let fault = Manifest::parse(&good.replacen(from, to, 1), "models/mine.toml").unwrap_err().to_string();
            assert!(fault.contains("models/mine.toml"), "{fault}");
            assert!(fault.contains(expected), "\"{expected}\" is not in: {fault}");
        };
        check("sha256 = \"", "sha256 = \"x", "64 hexadecimal digits");
        check("file = \"", "file = \"../", "plain file name");
        check("kind = \"f32\"", "kind = \"f16\"", "f16");
        check("licence", "license", "license");
        check("multiple_of = 32", "multiple_of = 0", "multiples of 0");
        check("task = \"detect\"", "task = \"embed\"", "[embedding] belongs to task");
    }

    #[test]
    fn what_an_embedding_says_must_be_possible() {
        let good = find(None, "face-reid-0095").unwrap();
        let check = |change: fn(&mut EmbeddingSpec), expected: &str| {
            let mut wrong = good.clone();
            let tail = Impostors { cosine: 0.4, rate: 1e-4, scale: 0.04 };
            change(wrong.embedding.insert(EmbeddingSpec { impostors: Some(tail), ..good.embedding.clone().unwrap() }));
            let text = toml::to_string(&wrong).unwrap();
            match Manifest::parse(&text, "mine.toml") {
                Ok(same) => assert!(expected.is_empty() && same == wrong, "\"{expected}\" was not found"),
                Err(fault) => assert!(!expected.is_empty() && fault.what.contains(expected), "{fault}"),
            }
        };
        check(|_| {}, "");
        check(|e| e.dimension = 0, "dimension is 0");
        check(|e| e.threshold = 40.0, "threshold is no cosine");
        check(|e| e.impostors.as_mut().unwrap().cosine = -2.0, "cosine is no cosine");
        check(|e| e.impostors.as_mut().unwrap().rate = 0.0, "rate is no share");
        check(|e| e.impostors.as_mut().unwrap().scale = 0.0, "scale is not within");
    }

    #[test]
    fn an_input_size_must_suit_the_graph() {
        let dynamic = find(None, "yunet-n").unwrap();
        assert_eq!(dynamic.size(None).unwrap(), Size::new(640, 384));
        assert_eq!(dynamic.size(Some(Size::new(1280, 736))).unwrap(), Size::new(1280, 736));
        assert!(dynamic.size(Some(Size::new(1280, 720))).unwrap_err().to_string().contains("multiples of 32"));
        assert!(dynamic.size(Some(Size::new(0, 0))).is_err());
        let fixed = find(None, "ultraface-rfb-320").unwrap();
        assert!(fixed.size(Some(Size::new(320, 240))).is_ok());
        let refused = fixed.size(Some(Size::new(640, 384))).unwrap_err().to_string();
        assert!(refused.contains("320x240 only, not 640x384"), "{refused}");
    }

    #[test]
    fn shapes_follow_the_layout() {
        let planes = find(None, "yunet-n").unwrap().input;
        assert_eq!(planes.shape(2, Size::new(640, 384)), [2, 3, 384, 640]);
        let interleaved = find(None, "ssd-mobilenetv1-tfod").unwrap().input;
        let shape = interleaved.shape(1, Size::new(512, 256));
        assert_eq!(shape, [1, 256, 512, 3]);
        assert_eq!(interleaved.size_of(shape), Size::new(512, 256));
    }
}
