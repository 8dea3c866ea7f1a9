//! A picture with its faces masked.

use std::io::Cursor;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::desk::{Looker, Timed};
use super::extract::bad_request;
use super::input::Pictures;
use super::input::schema::{FormPicture, JsonPicture, Picture};
use crate::detect::{Detection, View};
use crate::http::ProblemJson;
use crate::mask::{Config, Exemptions, JPEG_QUALITY, Settings, Shape, StillMask, Who};
use crate::recognise::still::Rigour;
use crate::recognise::{GradedFace, Identity, Verdict, quality};

mod accept;

use accept::Wanted;

/// How many faces are masked, in answers that are pictures.
const FACES: HeaderName = HeaderName::from_static("x-visor-faces");

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(mask))
}

/// Whose faces are masked, and how.
#[derive(Debug, Default, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MaskOptions {
    /// Who is masked. Default: `everyone`.
    who: Who,
    /// People, by id, or tags whose people are not masked.
    exempt: Vec<String>,
    /// Only these faces: their places among those of `POST /detect`. Not together with `who` and `exempt`.
    faces: Option<Vec<usize>>,
    /// What takes a face's place; `blur` can be undone in part. Default: `solid`.
    kind: MaskKind,
    /// The form of a mask. Default: `box`.
    shape: Shape,
    /// Colour of `solid`. Default: `#000000`.
    #[schema(pattern = "^#[0-9a-fA-F]{6}$")]
    #[param(pattern = "^#[0-9a-fA-F]{6}$")]
    colour: Option<String>,
    /// Hide the face alone, from forehead to chin, and not the whole head.
    face_only: bool,
    /// What the picture is written as. Default: what `Accept` asks for, or else JPEG.
    format: Option<Format>,
    /// Quality of a JPEG, 1 to 100. Default: 92.
    #[schema(minimum = 1, maximum = 100, value_type = Option<u8>)]
    #[param(minimum = 1, maximum = 100, value_type = Option<u8>)]
    quality: Option<i64>,
}

/// What takes a face's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum MaskKind {
    /// One flat colour.
    #[default]
    Solid,
    /// Coarse noisy blocks.
    Pixelate,
    /// A blur, which can be undone in part.
    Blur,
}

impl MaskKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Pixelate => "pixelate",
            Self::Blur => "blur",
        }
    }
}

/// What a picture is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// With losses, in `quality`.
    Jpeg,
    /// Without losses.
    Png,
    /// Without losses.
    Webp,
}

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    const fn image(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::Webp => ImageFormat::WebP,
        }
    }
}

type MaskForm = FormPicture<MaskOptions>;
type MaskJson = JsonPicture<MaskOptions>;

/// A masked picture and its faces.
#[derive(Serialize, ToSchema)]
struct Masked {
    /// Pixels across, EXIF orientation applied.
    width: u32,
    /// Pixels down.
    height: u32,
    /// What the picture is written as.
    format: Format,
    /// The picture in base64.
    image: String,
    /// The faces, in the order of `POST /detect`. What may be a face is masked, too, and not among them.
    faces: Vec<MaskedFace>,
}

/// A face of a masked picture.
#[derive(Serialize, ToSchema)]
struct MaskedFace {
    #[serde(flatten)]
    face: GradedFace,
    /// Whether it is masked.
    masked: bool,
}

/// The picture with its faces masked, as `visor mask` does it.
///
/// Answers with the picture, or, where `Accept` asks for `application/json`, with the picture and its faces in JSON. The
/// picture is written anew: no metadata of the old one goes along.
#[utoipa::path(
    post, path = "/mask", tag = "pictures", params(MaskOptions),
    request_body(content(
        (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/webp"), (Picture = "image/bmp"),
        (Picture = "image/gif"), (MaskForm = "multipart/form-data"), (MaskJson = "application/json"))),
    responses(
        (status = 200, content(
            (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/webp"), (Masked = "application/json")))),
)]
async fn mask(State(api): State<Api>, headers: HeaderMap, pictures: Pictures<MaskOptions>) -> Timed<Response> {
    let (encoded, options, held) = pictures.one()?;
    let wanted = Wanted::of(&headers, options.format)?;
    let job = Job::new(options)?;
    api.desk()
        .timed(move |looker| {
            let still = looker.decode(&encoded)?;
            drop((encoded, held));
            job.work(looker, still.view(), wanted)
        })
        .await
}

fn jpeg_quality(asked: Option<i64>) -> Result<u8, ProblemJson> {
    let Some(asked) = asked else { return Ok(JPEG_QUALITY) };
    let quality = u8::try_from(asked).ok().filter(|quality| (1..=100).contains(quality));
    quality.ok_or_else(|| bad_request(format!("quality: {asked} is not between 1 and 100")))
}

/// What is to be done, checked.
struct Job {
    settings: Settings,
    faces: Option<Vec<usize>>,
    quality: u8,
}

impl Job {
    fn new(options: MaskOptions) -> Result<Self, ProblemJson> {
        let quality = jpeg_quality(options.quality)?;
        if options.faces.is_some() && (options.who != Who::Everyone || !options.exempt.is_empty()) {
            return Err(bad_request("faces names those who are masked; leave out who and exempt"));
        }
        let defaults = Config::default();
        let config = Config {
            who: options.who,
            exempt: options.exempt,
            kind: options.kind.name().to_owned(),
            shape: options.shape,
            colour: options.colour.unwrap_or_else(|| defaults.colour.clone()),
            whole_head: !options.face_only,
            ..defaults
        };
        let settings = config.resolve(Vec::new()).map_err(|problems| {
            let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
            bad_request(texts.join("; "))
        })?;
        Ok(Self { settings, faces: options.faces, quality })
    }

    fn work(&self, looker: &mut Looker, view: View<'_>, wanted: Wanted) -> Result<Response, ProblemJson> {
        let (found, score) = looker.suspects(view)?;
        let exempt = self.exempt(looker, view, (&found, score))?;
        let mask = StillMask { counted_as: "http", settings: &self.settings, score };
        let masked = looker.laps.time("mask", || mask.apply(view, &found, &exempt));
        let (masked, count) = masked.map_err(|fault| internal(&fault))?;
        let mut file = Cursor::new(Vec::new());
        let (format, quality) = (wanted.format.image(), self.quality);
        let written = looker.laps.time("encode", || masked.encode(format, quality, &mut file));
        written.map_err(|e| internal(&e))?;
        if !wanted.json {
            let hidden = (0..count).filter(|face| self.hides(&exempt, *face)).count();
            let kind = HeaderValue::from_static(wanted.format.media_type());
            let headers = [(header::CONTENT_TYPE, kind), (FACES, HeaderValue::from(hidden))];
            return Ok((headers, file.into_inner()).into_response());
        }
        let faces = &found[..count];
        let demands = quality::Config::default();
        let described = faces.iter().enumerate().map(|(place, face)| MaskedFace {
            face: GradedFace::new(face, quality::assess(view, face, faces, &demands)),
            masked: self.hides(&exempt, place),
        });
        let size = view.size();
        let answer = Masked {
            width: size.width,
            height: size.height,
            format: wanted.format,
            image: STANDARD.encode(file.get_ref()),
            faces: described.collect(),
        };
        Ok(Json(answer).into_response())
    }

    fn hides(&self, exempt: &[usize], face: usize) -> bool {
        self.settings.who != Who::Nobody && !exempt.contains(&face)
    }

    /// The places of those that go unmasked, among all that was found.
    fn exempt(
        &self,
        looker: &mut Looker,
        view: View<'_>,
        (found, score): (&[Detection], f32),
    ) -> Result<Vec<usize>, ProblemJson> {
        if let Some(named) = &self.faces {
            let faces = found.iter().filter(|face| face.score >= score).count();
            if let Some(place) = named.iter().find(|place| **place >= faces) {
                return Err(bad_request(format!(
                    "faces: there is no face {place}; the picture shows {faces}, counted from 0"
                )));
            }
            return Ok((0..found.len()).filter(|place| !named.contains(place)).collect());
        }
        let rule = Exemptions::new(self.settings.who, &self.settings.exempt);
        if !rule.are_possible() {
            return Ok(Vec::new());
        }
        self.everybody_exists(looker)?;
        let mut verdicts = looker.verdicts(view, found, (Rigour::Unmasks, usize::MAX))?;
        verdicts.iter_mut().for_each(tag_by_id);
        Ok(rule.judge_still(found, &verdicts))
    }

    /// A name that is nobody's is a mistake: whoever was meant would be masked.
    fn everybody_exists(&self, looker: &Looker) -> Result<(), ProblemJson> {
        let Some(recognition) = looker.recognition() else { return Ok(()) };
        let gallery = &recognition.people.gallery;
        let people = gallery.people();
        let is_known = |name: &str| gallery.holds(name) || people.iter().any(|p| gallery.tags_of(p).contains(name));
        match self.settings.exempt.iter().find(|name| !is_known(name)) {
            Some(name) => Err(bad_request(format!("exempt: {name:?} is neither a person's id nor a tag"))),
            None => Ok(()),
        }
    }
}

/// People can be named by their ids as well as by a tag.
fn tag_by_id(verdict: &mut Verdict) {
    if let Identity::Known { person, .. } = &verdict.identity {
        let id = std::iter::once(person.to_string());
        verdict.tags = verdict.tags.iter().cloned().chain(id).collect();
    }
}

fn internal(error: &dyn std::fmt::Display) -> ProblemJson {
    tracing::error!(%error, "a picture could not be masked");
    ProblemJson::new(StatusCode::INTERNAL_SERVER_ERROR, "the picture could not be masked; the log says why")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::KINDS;

    #[test]
    fn every_kind_but_that_of_a_file_can_be_asked_for() {
        let kinds = [MaskKind::Solid, MaskKind::Pixelate, MaskKind::Blur];
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let offered: Vec<_> = KINDS.iter().map(|kind| kind.name).filter(|name| *name != "image").collect();
        assert_eq!(names, offered);
        for kind in kinds {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
