//! Who is on a picture: the best of the people who are known, or all who come near.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Required};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::desk::{Timed, recognition_off};
use super::extract::bad_request;
use super::input::Pictures;
use super::input::schema::{FormPicture, JsonPicture, Picture};
use crate::clock::Laps;
use crate::event::{Identity, Status};
use crate::http::ProblemJson;
use crate::recognise::grading::fourth;
use crate::recognise::still::{Rigour, STRANGER};
use crate::recognise::{Gallery, GradedFace, Quality, Verdict};

pub(super) fn operator() -> OpenApiRouter<Api> {
    let mut search = OpenApiRouter::new().routes(routes!(search));
    // where a face is named by its id no picture comes, for which the attribute has no word
    for operation in search.get_openapi_mut().paths.paths.values_mut().filter_map(|path| path.post.as_mut()) {
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            body.required = Some(Required::False);
        }
    }
    OpenApiRouter::new().routes(routes!(recognize)).merge(search)
}

/// Whose faces are looked at.
#[derive(Debug, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecognizeOptions {
    /// How many of the largest faces are looked at, 1 to 64. Default: 16.
    #[schema(minimum = 1, maximum = 64)]
    #[param(minimum = 1, maximum = 64)]
    most_faces: usize,
}

impl Default for RecognizeOptions {
    fn default() -> Self {
        Self { most_faces: 16 }
    }
}

type RecognizeForm = FormPicture<RecognizeOptions>;
type RecognizeJson = JsonPicture<RecognizeOptions>;

/// Who is on a picture.
#[derive(Serialize, ToSchema)]
struct Recognized {
    /// Pixels across, EXIF orientation applied.
    width: u32,
    /// Pixels down.
    height: u32,
    /// The known person with the highest score; null where nobody is known.
    best: Option<Best>,
    /// Why nobody is: `no_face`, `stranger`, or what stands in the way at the largest face.
    reason: Option<&'static str>,
    /// The faces, largest first.
    faces: Vec<RecognizedFace>,
}

/// A person of the gallery.
#[derive(Serialize, ToSchema)]
struct Best {
    /// The place of their face in `faces`.
    face: usize,
    /// Their id.
    person: String,
    /// Their display name.
    name: String,
    /// Cosine to the nearest of their references.
    score: f64,
    /// Distance to the next person's score; null in a gallery of one.
    margin: Option<f64>,
}

/// A face and who it is.
#[derive(Serialize, ToSchema)]
struct RecognizedFace {
    #[serde(flatten)]
    face: GradedFace,
    /// Who it is, as events say it.
    identity: Identity,
}

/// The best of the people who are known, or none, and why.
#[utoipa::path(
    post, path = "/faces/recognize", tag = "pictures", params(RecognizeOptions),
    request_body(content(
        (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/webp"), (Picture = "image/bmp"),
        (Picture = "image/gif"), (RecognizeForm = "multipart/form-data"), (RecognizeJson = "application/json"))),
    responses((status = 200, body = Recognized)),
)]
async fn recognize(State(api): State<Api>, pictures: Pictures<RecognizeOptions>) -> Timed<Json<Recognized>> {
    let (encoded, RecognizeOptions { most_faces }, held) = pictures.one()?;
    between("most_faces", most_faces, 64)?;
    api.desk()
        .timed(move |looker| {
            let still = looker.decode(&encoded)?;
            drop((encoded, held));
            let (view, size) = (still.view(), still.view().size());
            let found = looker.faces(view)?;
            let verdicts = looker.verdicts(view, &found, (Rigour::Names, most_faces))?;
            let faces: Vec<_> = found.iter().zip(&verdicts).map(|(face, verdict)| named(face, verdict)).collect();
            let best = best(&faces);
            let reason = if best.is_some() { None } else { Some(why(faces.first())) };
            Ok(Json(Recognized { width: size.width, height: size.height, best, reason, faces }))
        })
        .await
}

fn named(face: &crate::detect::Detection, verdict: &Verdict) -> RecognizedFace {
    let mut identity = Identity::from(&verdict.identity);
    identity.alias = identity.alias.filter(|alias| **alias != *STRANGER);
    let quality = verdict.quality.unwrap_or(Quality { score: 0.0, reason: None });
    RecognizedFace { face: GradedFace::new(face, quality), identity }
}

fn best(faces: &[RecognizedFace]) -> Option<Best> {
    let known = faces.iter().enumerate().filter_map(|(place, face)| Some((place, face, face.identity.score?)));
    let known = known.filter(|(_, face, _)| face.identity.status == Status::Known);
    let (place, face, score) = known.max_by(|(.., a), (.., b)| a.total_cmp(b))?;
    let (person, name) = (face.identity.person.as_ref()?, face.identity.name.as_ref()?);
    let thousandths = |v: f32| (f64::from(v) * 1e3).round() / 1e3;
    Some(Best {
        face: place,
        person: person.to_string(),
        name: name.to_string(),
        score: thousandths(score),
        margin: face.identity.margin.map(thousandths),
    })
}

fn why(largest: Option<&RecognizedFace>) -> &'static str {
    match largest.map(|face| &face.identity) {
        None => "no_face",
        Some(Identity { status: Status::Stranger, .. }) => "stranger",
        Some(identity) => identity.reason.unwrap_or("no_landmarks"),
    }
}

/// Who is searched for.
#[derive(Debug, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SearchOptions {
    /// How many people are wanted, 1 to 100. Default: 5.
    #[schema(minimum = 1, maximum = 100)]
    #[param(minimum = 1, maximum = 100)]
    top_k: usize,
    /// A face that is enrolled, by its id, instead of a picture.
    face_id: Option<u64>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { top_k: 5, face_id: None }
    }
}

type SearchForm = FormPicture<SearchOptions>;
type SearchJson = JsonPicture<SearchOptions>;

/// Who looks like a face.
#[derive(Serialize, ToSchema)]
struct Searched {
    /// The face that was searched for: the picture's largest. Null where it was named by its id.
    face: Option<GradedFace>,
    /// The score from which a face gets a name, in the gallery as it is now.
    threshold: f32,
    /// How far before the next person it has to be for that.
    margin: f32,
    /// The nearest people, best first.
    matches: Vec<Candidate>,
}

/// Somebody who looks like it.
#[derive(Serialize, ToSchema)]
struct Candidate {
    /// Their id.
    person: String,
    /// Their display name.
    name: String,
    /// Cosine to the nearest of their references, -1 to 1.
    score: f32,
    /// How likely both are one person, as for a pair: see `POST /compare`.
    probability: f32,
    /// That reference's id.
    face_id: u64,
}

/// The people who look most like a face.
///
/// Whatever the score: whether it is enough for a name, `threshold` and `margin` say, and `POST /faces/recognize` decides.
#[utoipa::path(
    post, path = "/faces/search", tag = "pictures", params(SearchOptions),
    request_body(content(
        (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/webp"), (Picture = "image/bmp"),
        (Picture = "image/gif"), (SearchForm = "multipart/form-data"), (SearchJson = "application/json"))),
    responses((status = 200, body = Searched)),
)]
async fn search(State(api): State<Api>, pictures: Pictures<SearchOptions>) -> Timed<Json<Searched>> {
    between("top_k", pictures.options.top_k, 100)?;
    if let Some(face) = pictures.options.face_id {
        return search_by_id(&api, face, pictures).await;
    }
    let (encoded, SearchOptions { top_k, .. }, held) = pictures.one()?;
    api.desk()
        .timed(move |looker| {
            let gallery = looker.recognition().ok_or_else(recognition_off)?.people.gallery.clone();
            let still = looker.decode(&encoded)?;
            drop((encoded, held));
            let portrait = looker.portrait(still.view())?.ok_or_else(|| {
                ProblemJson::new(StatusCode::UNPROCESSABLE_ENTITY, "no face was found; send a picture that shows one")
                    .because("no_face")
            })?;
            let face = GradedFace::new(&portrait.face, portrait.quality);
            let hits = looker.laps.time("search", || gallery.top(&portrait.embedding, top_k));
            Ok(Json(Searched::new(&gallery, Some(face), hits)))
        })
        .await
}

async fn search_by_id(api: &Api, face: u64, pictures: Pictures<SearchOptions>) -> Timed<Json<Searched>> {
    if !pictures.encoded.is_empty() {
        let detail = "face_id and a picture are both given; give one";
        return Err(bad_request(detail));
    }
    let recognition = api.0.engine.recognition().load_full().ok_or_else(recognition_off)?;
    let searched = tokio::task::spawn_blocking(move || {
        let (gallery, mut laps) = (&recognition.people.gallery, Laps::default());
        let hits = laps.time("search", || gallery.like(face, pictures.options.top_k))?;
        Some((Extension(laps), Json(Searched::new(gallery, None, hits))))
    });
    let found = searched
        .await
        .map_err(|_| ProblemJson::new(StatusCode::INTERNAL_SERVER_ERROR, "the search broke off; the log says why"))?;
    let unknown = || ProblemJson::new(StatusCode::NOT_FOUND, format!("no face is enrolled with the id {face}"));
    found.ok_or_else(unknown)
}

impl Searched {
    fn new(gallery: &Gallery, face: Option<GradedFace>, hits: Vec<crate::recognise::gallery::Hit>) -> Self {
        let calibration = gallery.settings().calibration;
        let candidate = |hit: crate::recognise::gallery::Hit| Candidate {
            person: hit.person.id.to_string(),
            name: hit.person.name.to_string(),
            score: fourth(hit.score),
            probability: fourth(calibration.probability(hit.score)),
            face_id: hit.reference,
        };
        let (threshold, margin) = (fourth(gallery.threshold()), fourth(gallery.margin()));
        Self { face, threshold, margin, matches: hits.into_iter().map(candidate).collect() }
    }
}

fn between(name: &str, value: usize, most: usize) -> Result<(), ProblemJson> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(bad_request(format!("{name}: {value} is not between 1 and {most}")))
}
