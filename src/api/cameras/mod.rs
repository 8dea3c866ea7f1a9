//! The cameras as they are now, what they show, and how they change.

mod book;
mod changes;
mod health;
mod latency;
mod live;
mod pictures;
mod trial;

use std::collections::BTreeMap;
use std::ops::Bound;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use book::{CameraAnswer, CameraBook, CameraChange, CameraDone, CameraRefusal, CameraTrial, CameraWish};

use super::Api;
use super::extract::{Asked, Named};
use super::list::{List, limit};
use super::openapi::Problem;
use crate::event::rfc3339;
use crate::http::{Principal, ProblemJson};
use crate::sink::{CameraState, CameraStats};
use book::Facts;
use health::Health;

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .merge(pictures::viewer())
        .merge(live::viewer())
        .merge(latency::viewer())
}

pub(super) fn operator() -> OpenApiRouter<Api> {
    changes::operator()
}

pub(super) fn admin() -> OpenApiRouter<Api> {
    changes::admin().merge(trial::admin())
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
    /// Since when its status has been what it is; null before the first one.
    since: Option<String>,
    /// Confirmed faces in sight.
    faces: usize,
    /// Where its switches stand, by name; one that is not here it does not have.
    switches: BTreeMap<&'static str, bool>,
    /// Its counts since it was started.
    stats: CameraStats,
    /// How well it works; null while too little of it is known.
    health: Option<Health>,
    /// What its settings say; null while they are being changed.
    settings: Option<Facts>,
}

impl Camera {
    fn new(api: &Api, id: &str, state: &CameraState) -> Self {
        let CameraState { status, reason, since, faces, switches, stats, .. } = state;
        let settings = api.0.cameras.facts(id);
        let expected = settings.as_ref().and_then(|facts| facts.expected_fps);
        Self {
            id: id.to_owned(),
            status: status.name(),
            reason: reason.to_string(),
            since: since.map(rfc3339),
            faces: *faces,
            switches: switches.iter().map(|(switch, on)| (switch.name(), *on)).collect(),
            stats: *stats,
            health: health::grade(state, expected, &api.0.hub.board().vitals(id)),
            settings,
        }
    }
}

/// Which part of the list is wanted.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Cameras at most, 1 to 1000. Default 100.
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// All cameras that the caller may see, by id.
#[utoipa::path(
    get, path = "/cameras", tag = "cameras", params(Page),
    responses((status = 200, body = List<Camera>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
async fn list(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Asked(Page { limit: most, cursor }): Asked<Page>,
) -> Result<Json<List<Camera>>, ProblemJson> {
    let most = limit(most)?;
    let cameras = api.0.hub.board().cameras();
    let after = cursor.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = cameras.range::<str, _>((after, Bound::Unbounded)).filter(|(id, _)| principal.sees(id));
    let items: Vec<Camera> = rest.by_ref().take(most).map(|(id, state)| Camera::new(&api, id, state)).collect();
    let next = rest.next().and(items.last()).map(|last| last.id.clone());
    Ok(List::page(items, next))
}

/// One camera.
#[utoipa::path(
    get, path = "/cameras/{id}", operation_id = "get_camera", tag = "cameras",
    params(("id" = String, Path, description = "The camera's id")),
    responses((status = 200, body = Camera), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
async fn one(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
) -> Result<Json<Camera>, ProblemJson> {
    Ok(Json(Camera::new(&api, &id, &find(&api, &principal, &id)?)))
}

/// The state of a camera that exists for whoever asks.
fn find(api: &Api, principal: &Principal, id: &str) -> Result<CameraState, ProblemJson> {
    let camera = principal.sees(id).then(|| api.0.hub.board().camera(id)).flatten();
    camera.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ProblemJson {
    ProblemJson::new(StatusCode::NOT_FOUND, format!("there is no camera {id:?}"))
}
