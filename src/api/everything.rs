//! All that is known of anybody, gone at once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use std::time::SystemTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::gallery::unexpected;
use super::jobs::Jobs;
use super::openapi::Problem;
use crate::event::rfc3339;
use crate::http::{Principal, ProblemJson};
use crate::sink::{Erased, History, PersonAnswer, PersonWish};

pub(super) fn admin() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(erase))
}

/// What was erased.
#[derive(Serialize, ToSchema)]
#[schema(as = ErasureReceipt)]
struct Receipt {
    /// When.
    #[schema(format = DateTime)]
    erased_at: String,
    /// People who were known.
    people: usize,
    /// Faces that they were known by.
    faces: usize,
    /// Strangers and their faces.
    strangers: usize,
    /// Spans in which anybody was seen, with their best shots.
    appearances: usize,
    /// Pictures that waited to be enrolled, and what became of earlier ones.
    enrolments: usize,
    /// Events that were remembered.
    events: usize,
    /// What is not here to be erased.
    left: &'static str,
}

/// What the receipt cannot promise.
const LEFT: &str = "the pictures in gallery.folder, which are read again at the next start or where they change; and what was \
                    sent to others before";

/// Forgets everybody, known or not, and all that was seen of them; answers with a receipt.
#[utoipa::path(
    delete, path = "/everything", tag = "people",
    responses(
        (status = 200, body = Receipt),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn erase(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Receipt>, ProblemJson> {
    if principal.cameras.is_some() {
        let detail = "this asks for the rights to all cameras: what was seen on any of them goes";
        return Err(ProblemJson::new(StatusCode::FORBIDDEN, detail));
    }
    // the gallery's thread does all of it or nothing, so that none of those who are on their way comes back
    let Erased { people, faces, strangers, appearances, kept } = match api.wish("", PersonWish::ForgetAll).await? {
        PersonAnswer::Erased(erased) => erased,
        other => return Err(unexpected(&other)),
    };
    let of = |sink| kept.get(sink).copied().unwrap_or_default();
    let (enrolments, events) = (of(Jobs::NAME), of(History::NAME));
    let erased_at = rfc3339(SystemTime::now());
    Ok(Json(Receipt { erased_at, people, faces, strangers, appearances, enrolments, events, left: LEFT }))
}
