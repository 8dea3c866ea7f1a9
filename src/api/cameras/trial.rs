//! Whether a camera would work, before there is one.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{Body, Named};
use super::super::openapi::Problem;
use super::book::CameraTrial;
use super::changes::{CameraTable, answer_within, checked, refused};
use crate::http::{Principal, ProblemJson};
use crate::source::Trial;

/// How long a trial may take; the source itself has less.
const TRIED_WITHIN: Duration = Duration::from_secs(25);

pub(super) fn admin() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(try_out))
}

/// What a source gave.
#[derive(Serialize, ToSchema)]
struct Tried {
    /// Whether frames came.
    works: bool,
    /// Why not; null where they did.
    reason: Option<String>,
    /// The pictures' width, upright.
    width: Option<u32>,
    /// Their height.
    height: Option<u32>,
    /// Their coding, such as `h264`.
    codec: Option<String>,
    /// What decodes them.
    decoder: Option<String>,
    /// How they travel, such as `tcp`; null where that does not apply.
    transport: Option<String>,
    /// Frames a second.
    fps: Option<f64>,
    /// How long the first one took.
    first_frame_ms: Option<u64>,
}

impl From<Result<Trial, String>> for Tried {
    fn from(outcome: Result<Trial, String>) -> Self {
        let (trial, reason) = match outcome {
            Ok(trial) => (Some(trial), None),
            Err(reason) => (None, Some(reason)),
        };
        let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
        let trial = trial.as_ref();
        Self {
            works: trial.is_some(),
            reason,
            width: trial.map(|trial| trial.size.width),
            height: trial.map(|trial| trial.size.height),
            codec: trial.and_then(|trial| filled(&trial.codec)),
            decoder: trial.and_then(|trial| filled(&trial.decoder)),
            transport: trial.and_then(|trial| trial.transport.clone()),
            fps: trial.and_then(|trial| trial.fps).map(|fps| (fps * 100.0).round() / 100.0),
            first_frame_ms: trial.and_then(|trial| u64::try_from(trial.first_frame.as_millis()).ok()),
        }
    }
}

/// Looks whether a camera would work, as one that `PUT` adds: its source is opened for a second or two, and closed again.
///
/// Nothing is added, nobody else hears of it, and no picture comes out of it. A camera that the configuration's file names is
/// tried there.
#[utoipa::path(
    post, path = "/cameras/{id}/try", tag = "cameras", request_body = CameraTable,
    params(("id" = String, Path, description = "What the camera would be called")),
    responses(
        (status = 200, body = Tried),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn try_out(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
    table: Result<Body<Value>, ProblemJson>,
) -> Result<Json<Tried>, ProblemJson> {
    let table = checked(&principal, &id, table)?;
    let (answer, answered) = oneshot::channel();
    let asked = api.0.cameras.ask_for_trial(CameraTrial { id: id.clone(), table, answer });
    let late = "the camera could not be tried in time; try again";
    let tried = answer_within(TRIED_WITHIN, asked.map(|()| answered), late).await;
    tried.map(|tried| Json(Tried::from(tried))).map_err(|refusal| refused(&id, refusal))
}
