//! Pictures that are enrolled later: taken in at once, looked at by priority, told of by a webhook.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::enrol::{EnrolOptions, Enrolled};
use super::extract::{Named, bad_request};
use super::input::schema::{Both, FormPicture, JsonPicture, Picture};
use super::input::{Aside, Content, Parcel};
use super::openapi::Problem;
use crate::event::rfc3339;
use crate::http::ProblemJson;
use crate::outbound;

mod book;

pub use book::Jobs;
use book::{Job, Task, Webhook};

/// A shorter secret could be guessed.
const SHORTEST_SECRET: usize = 16;

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(enroll)).routes(routes!(status))
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Priority {
    /// Before all others.
    Critical,
    /// Before what is normal.
    High,
    /// As usual.
    #[default]
    Normal,
    /// After all others.
    Low,
}

/// When it is done, and who is told.
#[derive(Debug, Default, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct JobOptions {
    /// `critical`, `high`, `normal` (default) or `low`: of those that wait the first is done first.
    #[param(inline)]
    priority: Priority,
    /// An address that is told of the end by `POST`: http or https, and none of a private network unless that is allowed.
    webhook_url: Option<String>,
    /// What that is signed with, at least 16 characters: `X-Visor-Signature: t=…,v1=…`.
    webhook_secret: Option<String>,
}

impl Aside for JobOptions {
    const NAMES: &'static [&'static str] = &["priority", "webhook_url", "webhook_secret"];
}

impl JobOptions {
    fn webhook(self) -> Result<Option<Webhook>, ProblemJson> {
        let secret = self.webhook_secret;
        if secret.as_ref().is_some_and(|secret| secret.chars().count() < SHORTEST_SECRET) {
            return Err(bad_request(format!("webhook_secret: has at least {SHORTEST_SECRET} characters")));
        }
        let Some(url) = self.webhook_url else {
            let lonely = secret.is_some();
            return if lonely { Err(bad_request("webhook_secret: there is no webhook_url")) } else { Ok(None) };
        };
        outbound::parse(&url).map_err(|wrong| bad_request(format!("webhook_url: {wrong}")))?;
        Ok(Some(Webhook { url, secret: secret.map(|secret| Arc::new(SecretString::from(secret))) }))
    }
}

/// That another picture may wait, as far as can be said before it is read.
struct Room;

impl FromRequestParts<Api> for Room {
    type Rejection = ProblemJson;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, ProblemJson> {
        api.0.jobs.room(0).map(|()| Self)
    }
}

type JobForm = FormPicture<Both<EnrolOptions, JobOptions>>;
type JobJson = JsonPicture<Both<EnrolOptions, JobOptions>>;

/// A picture that is enrolled later.
#[derive(Serialize, ToSchema)]
struct EnrolmentStatus {
    /// The id.
    id: String,
    /// `queued`, `running`, `done`, `failed`, or `forgotten`: whoever it was of is to be forgotten.
    status: &'static str,
    /// What comes first.
    priority: Priority,
    /// When it came.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// What became of it; without the faces of people who were forgotten since.
    result: Option<Enrolled>,
    /// Why it failed.
    problem: Option<EnrolmentProblem>,
}

/// Why a picture was not enrolled.
#[derive(Serialize, ToSchema)]
struct EnrolmentProblem {
    /// The HTTP status that `POST /faces/enroll` would have answered with.
    status: u16,
    /// For people.
    detail: String,
    /// For programs.
    reason: Option<&'static str>,
}

impl EnrolmentStatus {
    fn new(id: Uuid, job: &Job) -> Self {
        let (result, problem) = match &job.outcome {
            None => (None, None),
            Some(Ok(enrolled)) => (Some(enrolled.clone()), None),
            Some(Err(problem)) => (None, Some(problem)),
        };
        Self {
            id: id.to_string(),
            status: job.status(),
            priority: job.priority,
            created_at: rfc3339(job.created_at),
            finished_at: job.finished_at.map(rfc3339),
            result,
            problem: problem.map(|ProblemJson { status, detail, reason, .. }| EnrolmentProblem {
                status: status.as_u16(),
                detail: detail.clone(),
                reason: *reason,
            }),
        }
    }
}

/// Takes a picture in and answers at once; it is enrolled later.
///
/// As `POST /faces/enroll`. The answer's `Location` says how far it is. The webhook gets `{"type":"enroll","id","status"}`, which
/// names nobody: the rest is to be asked for.
#[utoipa::path(
    post, path = "/faces/enroll_async", operation_id = "enroll_async", tag = "people",
    params(EnrolOptions, JobOptions),
    request_body(content(
        (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/webp"), (Picture = "image/bmp"),
        (Picture = "image/gif"), (JobForm = "multipart/form-data"), (JobJson = "application/json"))),
    responses(
        (status = 202, body = EnrolmentStatus),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")),
)]
async fn enroll(
    State(api): State<Api>,
    _: Room,
    parcel: Parcel<EnrolOptions, JobOptions>,
) -> Result<Response, ProblemJson> {
    let Parcel { content, options, aside, mut held } = parcel;
    let (order, priority) = (Arc::new(options.order()?), aside.priority);
    let webhook = aside.webhook()?;
    let of = order.person(&api.people()?.gallery);
    // it is not the engine that waits for this one
    held.leave();
    let task = Task { content, held, order, webhook };
    let (id, shown) = api.0.jobs.put(task, priority, of, EnrolmentStatus::new)?;
    tokio::spawn(next(api));
    let place = HeaderValue::try_from(format!("/api/v1/faces/enroll/status/{id}"));
    let place = place.unwrap_or(HeaderValue::from_static("/api/v1/faces/enroll/status"));
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(shown)).into_response())
}

/// How far a picture is that is enrolled later. It is told for an hour after its end.
#[utoipa::path(
    get, path = "/faces/enroll/status/{id}", tag = "people",
    params(("id" = String, Path, description = "The id that the answer gave")),
    responses(
        (status = 200, body = EnrolmentStatus),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn status(State(api): State<Api>, Named(id): Named<String>) -> Result<Json<EnrolmentStatus>, ProblemJson> {
    let status = Uuid::parse_str(&id).ok().and_then(|id| api.0.jobs.look(id, EnrolmentStatus::new));
    let nothing = || ProblemJson::new(StatusCode::NOT_FOUND, "there is no such enrolment, or it ended an hour ago");
    status.map(Json).ok_or_else(nothing)
}

/// Does what comes first of all that waits, once there is a place for it.
async fn next(api: Api) {
    let jobs = &api.0.jobs;
    let Ok(_place) = jobs.places().acquire_owned().await else { return };
    let Some((id, given_up, Task { content, mut held, order, webhook })) = jobs.take() else { return };
    let picture = match content {
        Content::Picture(picture) => Ok(picture),
        Content::Address(address) => api.0.intake.fetch(&api.0.outbound, address).await.map(|(memory, picture)| {
            held.also(memory);
            picture
        }),
    };
    let outcome = match picture {
        Ok(picture) => api.enrol((picture, held), &order, &given_up).await.map(|(_, enrolled)| enrolled),
        Err(problem) => Err(problem),
    };
    let status = jobs.end(id, outcome);
    info!(%id, status, "an enrolment ended");
    jobs.tell(id, status, webhook);
}
