//! What a user sets about masking, and what follows from it.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kinds::{Choice, KINDS, Kind};
use super::shape::Shape;
use super::strands::Margins;
use super::who::Who;
use crate::fault::Problem;
use crate::geometry::Polygon;

/// The longest look-ahead, in milliseconds: frames are held in memory for that long.
const MOST_LOOKAHEAD_MS: u64 = 2000;

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
        }
    }
}

/// What masking works with; everything resolved.
#[derive(Clone, Debug)]
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
    /// How much a mask is larger than the face's box.
    pub margins: Margins,
    /// How long a frame is held at least; zero shows it after its own analysis.
    pub lookahead: Duration,
    /// Parts of the picture that are always covered.
    pub zones: Vec<Polygon>,
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
        match &self.image {
            None if kind.name == "image" => {
                problems
                    .push(Problem::new("image", "no picture is named").remedy("name a file, or choose another kind"));
            }
            Some(path) if !path.is_file() => {
                let what = format!("{} is no file", path.display());
                problems.push(Problem::new("image", what).remedy("name a JPEG or PNG file"));
            }
            _ => {}
        }
        if self.lookahead_ms > MOST_LOOKAHEAD_MS {
            let what = format!("{} is more than {MOST_LOOKAHEAD_MS}", self.lookahead_ms);
            problems.push(Problem::new("lookahead_ms", what).remedy("frames are held in memory for that long"));
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
            margins: if self.whole_head { Margins::HEAD } else { Margins::FACE },
            lookahead: Duration::from_millis(self.lookahead_ms),
            zones,
        })
    }
}

impl Settings {
    pub(super) fn choice(&self) -> Choice<'_> {
        Choice { colour: self.colour, picture: self.image.as_deref() }
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
