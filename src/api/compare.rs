//! One face against many people's, of which nothing is kept.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use futures_util::future::{join_all, try_join};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::desk::{Timed, recognition_off};
use super::input::{Comparison, ComparisonForm, ComparisonJson, Source};
use crate::clock::Laps;
use crate::http::ProblemJson;
use crate::recognise::gallery::Calibration;
use crate::recognise::grading::fourth;
use crate::recognise::{GradedFace, Portrait, Reason};

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(compare))
}

/// How much the target looks like each of the people.
#[derive(Serialize, ToSchema)]
struct Compared {
    /// The target's largest face.
    target: GradedFace,
    /// How many faces the target's picture shows.
    faces: usize,
    /// The people, the likeliest first.
    matches: Vec<Match>,
}

/// How much the target looks like somebody.
#[derive(Serialize, ToSchema)]
struct Match {
    /// As in the request.
    name: String,
    /// How likely both are one person, 0 to 1, where half of all pairs that are compared are: one half at the threshold, and
    /// odds that grow by e with each `scale` of the model above it.
    probability: f32,
    /// Cosine of the target to the most similar of the person's pictures, -1 to 1; null where none could be used.
    similarity: Option<f32>,
    /// The similarity from which two pictures count as one person's: the model's own for a pair.
    threshold: f32,
    /// The verdict.
    same: bool,
    /// Each picture, as in the request: images first, then addresses.
    pictures: Vec<Pictured>,
}

/// One picture of a person.
#[derive(Serialize, ToSchema)]
struct Pictured {
    /// Cosine to the target; null where there is no face.
    similarity: Option<f32>,
    /// How fit its largest face is for recognition, 0 to 1.
    quality: Option<f32>,
    /// Why it is hardly fit; null where it is.
    reason: Option<Reason>,
    /// Why it could not be used; null where it could.
    problem: Option<String>,
}

/// One target against many people.
///
/// The largest face of each picture counts. A person's picture that cannot be used does not fail the call: it says why.
/// Nothing is remembered.
#[utoipa::path(
    post, path = "/compare", tag = "pictures",
    request_body(content((ComparisonJson = "application/json"), (ComparisonForm = "multipart/form-data"))),
    responses((status = 200, body = Compared)),
)]
async fn compare(State(api): State<Api>, comparison: Comparison) -> Timed<Json<Compared>> {
    let Comparison { target, people, held: _held } = comparison;
    let recognition = api.0.engine.recognition().load_full().ok_or_else(recognition_off)?;
    let calibration = recognition.people.gallery.settings().calibration;
    let (names, pictures): (Vec<_>, Vec<_>) = people.into_iter().unzip();
    let laps = Mutex::<Laps>::default();
    let portrait = |source| portrait(&api, source, &laps);
    let target = async { portrait(target).await?.map_err(|what| no_use("target", &what)) };
    let people = async {
        let looked = pictures.into_iter().map(|pictures| join_all(pictures.into_iter().map(portrait)));
        join_all(looked).await.into_iter().map(|person| person.into_iter().collect()).collect()
    };
    let (target, people): (_, Vec<Vec<Result<Portrait, String>>>) = try_join(target, people).await?;
    let mut matches: Vec<_> = names
        .into_iter()
        .zip(&people)
        .map(|(name, pictures)| Match::new(name, &target, pictures, calibration))
        .collect();
    matches.sort_by(|a, b| b.certainty().partial_cmp(&a.certainty()).unwrap_or(Ordering::Equal));
    let compared = Compared { faces: target.of, target: GradedFace::new(&target.face, target.quality), matches };
    Ok((Extension(laps.into_inner().unwrap_or_else(PoisonError::into_inner)), Json(compared)))
}

impl Match {
    fn new(name: String, target: &Portrait, pictures: &[Result<Portrait, String>], calibration: Calibration) -> Self {
        let similarities = pictures.iter().flatten().map(|picture| target.embedding.cosine(&picture.embedding));
        let similarity = similarities.max_by(f32::total_cmp);
        Self {
            name,
            probability: similarity.map_or(0.0, |similarity| fourth(calibration.probability(similarity))),
            similarity: similarity.map(fourth),
            threshold: calibration.pair,
            same: similarity.is_some_and(|similarity| similarity >= calibration.pair),
            pictures: pictures.iter().map(|picture| Pictured::new(target, picture)).collect(),
        }
    }

    /// What they are sorted by: probabilities near 0 and 1 are the same once they are rounded.
    fn certainty(&self) -> (f32, f32) {
        (self.probability, self.similarity.unwrap_or(-2.0))
    }
}

impl Pictured {
    fn new(target: &Portrait, picture: &Result<Portrait, String>) -> Self {
        match picture {
            Ok(portrait) => Self {
                similarity: Some(fourth(target.embedding.cosine(&portrait.embedding))),
                quality: Some(fourth(portrait.quality.score)),
                reason: portrait.quality.reason,
                problem: None,
            },
            Err(problem) => Self { similarity: None, quality: None, reason: None, problem: Some(problem.clone()) },
        }
    }
}

/// The largest face of a picture, or what is wrong with that; the error is one of the whole call. How long it took is
/// added to that of the other pictures.
async fn portrait(api: &Api, source: Source, laps: &Mutex<Laps>) -> Result<Result<Portrait, String>, ProblemJson> {
    let all = || laps.lock().unwrap_or_else(PoisonError::into_inner);
    let found = match source {
        Source::Sent(encoded) => look(api, encoded, ()).await,
        Source::At(address) => {
            let begun = Instant::now();
            let fetched = api.0.intake.fetch(&api.0.outbound, address).await;
            all().add("fetch", begun.elapsed());
            match fetched {
                Ok((memory, encoded)) => look(api, encoded, memory).await,
                Err(problem) => Err(problem),
            }
        }
    };
    match found {
        Ok((Extension(took), portrait)) => {
            all().join(&took);
            Ok(Ok(portrait))
        }
        // that somebody else's server is down is no failure of this one
        Err(problem) if ours(problem.status) => Err(problem),
        Err(problem) => Ok(Err(problem.detail)),
    }
}

fn ours(status: StatusCode) -> bool {
    matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE)
}

/// `memory` goes once the picture is decoded.
async fn look(api: &Api, encoded: Bytes, memory: impl Send + 'static) -> Timed<Portrait> {
    api.desk()
        .timed(move |looker| {
            let still = looker.decode(&encoded)?;
            drop((encoded, memory));
            let portrait = looker.portrait(still.view())?;
            portrait.ok_or_else(|| {
                ProblemJson::new(StatusCode::UNPROCESSABLE_ENTITY, "no face was found").because("no_face")
            })
        })
        .await
}

fn no_use(which: &str, what: &str) -> ProblemJson {
    ProblemJson::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{which}: {what}"))
}
