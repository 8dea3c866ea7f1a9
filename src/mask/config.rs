//! What a user sets about masking, and what follows from it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::kinds::{Choice, KINDS, Kind};
use super::shape::Shape;
use super::strands::Margins;
use super::who::Who;
use crate::detect::still::{self, Unreadable};
use crate::fault::Problem;
use crate::geometry::Polygon;
use crate::units::Period;

/// The longest look-ahead, in milliseconds: frames are held in memory for that long.
const MOST_LOOKAHEAD_MS: u64 = 2000;

/// Most pixels of the picture for the kind `image`.
const MOST_PICTURE: u64 = 100_000_000;

/// Times between two looks at what goes out.
const AUDIT_INTERVALS: RangeInclusive<Period> = Period::millis(200)..=Period::secs(3600);

/// `[cameras.ID.mask]`: whose faces are hidden, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who is masked: `everyone` (default), `strangers` (all but people of the gallery), `known` (people of the gallery, and
    /// whoever is undecided) or `nobody`. Who is not decided yet counts as masked.
    pub who: Who,
    /// What takes a face's place: `solid` (default), `pixelate`, `blur` (can be undone in part) or `image`.
    pub kind: String,
    /// The form of a mask: `box` (default) or `ellipse`.
    pub shape: Shape,
    /// Colour of `solid`, as `"#rrggbb"`. Default: `"#000000"`.
    pub colour: String,
    /// Picture file of `image`. Default: none.
    pub image: Option<PathBuf>,
    /// Hide the whole head (default `true`) or the face alone, from forehead to chin.
    pub whole_head: bool,
    /// How long a frame is held at least, in milliseconds, so that a face found later is masked in it already; 0 to 2000.
    /// With 0 a frame is shown after its own analysis, and covered where it was not analysed. Default: 200.
    #[schemars(range(min = 0, max = 2000))]
    pub lookahead_ms: u64,
    /// People with one of these tags are never masked. Default: none.
    pub exempt: Vec<String>,
    /// Whether the camera's switch `mask` may be put to OFF, so that faces are shown. Default: `false`.
    pub switchable: bool,
    /// What follows when a detector finds a face in the masked video: `report` (default: an event and a metric), `cover`
    /// (the camera is covered too) or `off` (nobody looks).
    pub audit: Audit,
    /// Time between two such looks, `200ms` to `1h`. Default: `5s`.
    pub audit_interval: Period,
}

/// What follows when a face is found in masked video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Audit {
    /// A metric counts it and an event tells it.
    #[default]
    Report,
    /// That, and the camera is covered.
    Cover,
    /// Nobody looks.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            who: Who::default(),
            kind: KINDS[0].name.into(),
            shape: Shape::default(),
            colour: "#000000".into(),
            image: None,
            whole_head: true,
            lookahead_ms: 200,
            exempt: Vec::new(),
            switchable: false,
            audit: Audit::default(),
            audit_interval: Period::secs(5),
        }
    }
}

/// What masking works with; everything resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who is masked.
    pub who: Who,
    /// Tags of people who never are.
    pub exempt: Vec<String>,
    /// What takes a face's place.
    pub kind: &'static Kind,
    /// The form of a mask.
    pub shape: Shape,
    /// Red, green and blue of the kind `solid`.
    pub colour: [u8; 3],
    /// The picture of the kind `image`.
    pub image: Option<PathBuf>,
    /// Digest of that picture's file: another picture is another setting.
    image_digest: Option<[u8; 32]>,
    /// How much a mask is larger than the face's box.
    pub margins: Margins,
    /// How long a frame is held at least; zero shows it after its own analysis.
    pub lookahead: Duration,
    /// Parts of the picture that are always covered.
    pub zones: Vec<Polygon>,
    /// Whether a user may have faces shown by the camera's switch.
    pub switchable: bool,
    /// What follows when a face is found in masked video.
    pub audit: Audit,
    /// Time between two looks for such a face.
    pub audit_interval: Duration,
}

impl Config {
    /// Checks everything. `zones` are the camera's privacy zones.
    ///
    /// # Errors
    /// Every problem there is, each with its key.
    pub fn resolve(&self, zones: Vec<Polygon>) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let kind = Kind::by_name(&self.kind).unwrap_or_else(|| {
            let known: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
            problems.push(
                Problem::new("kind", format!("there is no kind of mask \"{}\"", self.kind))
                    .remedy(format!("choose one of {}", known.join(", "))),
            );
            &KINDS[0]
        });
        let colour = parse_colour(&self.colour).unwrap_or_else(|| {
            let what = format!("\"{}\" is not a colour", self.colour);
            problems.push(Problem::new("colour", what).remedy("write it as \"#rrggbb\""));
            [0; 3]
        });
        let image_digest = match &self.image {
            None if kind.name == "image" => {
                problems
                    .push(Problem::new("image", "no picture is named").remedy("name a file, or choose another kind"));
                None
            }
            image => image.as_deref().and_then(|path| digest_of_picture(path).map_err(|p| problems.push(p)).ok()),
        };
        if self.lookahead_ms > MOST_LOOKAHEAD_MS {
            let what = format!("{} is more than {MOST_LOOKAHEAD_MS}", self.lookahead_ms);
            problems.push(Problem::new("lookahead_ms", what).remedy("frames are held in memory for that long"));
        }
        if !AUDIT_INTERVALS.contains(&self.audit_interval) {
            let (least, most) = AUDIT_INTERVALS.into_inner();
            let what = format!("{} is not between {least} and {most}", self.audit_interval);
            problems.push(Problem::new("audit_interval", what).remedy("choose a time between them"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Settings {
            who: self.who,
            exempt: self.exempt.clone(),
            kind,
            shape: self.shape,
            colour,
            image: self.image.clone(),
            image_digest,
            margins: if self.whole_head { Margins::HEAD } else { Margins::FACE },
            lookahead: Duration::from_millis(self.lookahead_ms),
            zones,
            switchable: self.switchable,
            audit: self.audit,
            audit_interval: self.audit_interval.0,
        })
    }
}

impl Settings {
    pub(super) fn choice(&self) -> Choice<'_> {
        Choice { colour: self.colour, picture: self.image.as_deref() }
    }
}

/// Digest of a file that holds a picture.
fn digest_of_picture(path: &Path) -> Result<[u8; 32], Problem> {
    let wrong = |what: &dyn Display| {
        Problem::new("image", format!("{}: {what}", path.display())).remedy("name a JPEG or PNG file")
    };
    let bytes = std::fs::read(path).map_err(|e| wrong(&e))?;
    match still::read(&bytes, MOST_PICTURE) {
        Ok(_) => Ok(Sha256::digest(&bytes).into()),
        Err(Unreadable::NoPicture) => Err(wrong(&"is no picture")),
        Err(Unreadable::TooLarge(what) | Unreadable::Broken(what)) => Err(wrong(&what.trim_end())),
    }
}

fn parse_colour(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let value = u32::from_str_radix(digits, 16).ok()?;
    let [_, r, g, b] = value.to_be_bytes();
    Some([r, g, b])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(toml: &str) -> Vec<String> {
        let config: Config = toml::from_str(toml).unwrap();
        config.resolve(Vec::new()).err().unwrap_or_default().into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn nothing_written_masks_everyone_for_good() {
        let settings = Config::default().resolve(Vec::new()).unwrap();
        assert_eq!((settings.who, settings.kind.name), (Who::Everyone, "solid"));
        assert_eq!(settings.lookahead, Duration::from_millis(200));
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let wrong = "kind = \"glitter\"\ncolour = \"red\"\nimage = \"/nonexistent.png\"\nlookahead_ms = 2001";
        assert_eq!(keys(wrong), ["kind", "colour", "image", "lookahead_ms"]);
        assert_eq!(keys("kind = \"image\""), ["image"]);
        assert_eq!(
            keys("who = \"strangers\"\nkind = \"pixelate\"\ncolour = \"#12abEF\"\nexempt = [\"staff\"]"),
            [""; 0]
        );
        assert_eq!(parse_colour("#12abEF"), Some([0x12, 0xab, 0xef]));
    }
}
