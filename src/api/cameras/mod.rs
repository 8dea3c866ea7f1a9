//! The cameras as they are now, and what they show.

mod pictures;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::openapi::Problem;
use crate::http::{Principal, ProblemJson};
use crate::sink::CameraState;

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).merge(pictures::viewer())
}

/// A camera.
#[derive(Serialize, ToSchema)]
struct Camera {
    /// Its id.
    id: String,
    /// `online`, `stalled`, `offline` or `disabled`.
    status: &'static str,
    /// Why it is not online; empty while it is.
    reason: String,
    /// Confirmed faces in sight.
    faces: usize,
}

impl Camera {
    fn new(id: &str, state: &CameraState) -> Self {
        let CameraState { status, reason, faces, .. } = state;
        Self { id: id.to_owned(), status: status.name(), reason: reason.to_string(), faces: *faces }
    }
}

/// All cameras that the caller may see.
#[utoipa::path(get, path = "/cameras", tag = "cameras", responses((status = 200, body = Vec<Camera>)))]
async fn list(State(api): State<Api>, Extension(principal): Extension<Principal>) -> Json<Vec<Camera>> {
    let cameras = api.0.hub.board().cameras();
    let seen = cameras.iter().filter(|(id, _)| principal.sees(id));
    Json(seen.map(|(id, state)| Camera::new(id, state)).collect())
}

/// One camera.
#[utoipa::path(
    get, path = "/cameras/{id}", tag = "cameras", params(("id" = String, Path, description = "The camera's id")),
    responses((status = 200, body = Camera), (status = 404, body = Problem, content_type = "application/problem+json"))
)]
async fn one(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Camera>, ProblemJson> {
    Ok(Json(Camera::new(&id, &find(&api, &principal, &id)?)))
}

/// The state of a camera that exists for whoever asks.
fn find(api: &Api, principal: &Principal, id: &str) -> Result<CameraState, ProblemJson> {
    let camera = principal.sees(id).then(|| api.0.hub.board().cameras().remove(id)).flatten();
    camera.ok_or_else(|| ProblemJson::new(StatusCode::NOT_FOUND, format!("there is no camera {id:?}")))
}
