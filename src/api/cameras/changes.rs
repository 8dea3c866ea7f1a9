//! Cameras that are added, changed, removed and switched while the daemon runs.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{Body, Named};
use super::super::openapi::Problem;
use super::book::{Area, CameraChange, CameraDone, CameraRefusal, CameraWish};
use super::{Camera, find, unknown};
use crate::fault;
use crate::http::{Principal, ProblemJson};
use crate::sink::{SWITCHES, Switch, SwitchCommand};

/// How long a change may take: settings are checked, and a detector tells what fits it.
const CHANGED_WITHIN: Duration = Duration::from_secs(20);

/// How long a switch may take, and how often it is looked at.
const SWITCHED_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Keys that name files of this machine: whoever asks over HTTP could have them read to somebody else.
const FILES: [&str; 4] = ["/password_file", "/ca_file", "/pipelines", "/mask/image"];

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(switch))
}

pub(super) fn admin() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(put)).routes(routes!(remove)).routes(routes!(zones))
}

/// A camera's table of the configuration, as JSON: `uri` is needed, all other keys are those of `[cameras.<id>]` in the file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the configuration's own code reads")]
pub(super) struct CameraTable {
    /// `rtsp://`, `rtsps://`, `http://`, `https://` (MJPEG), `v4l2:///dev/video0`, `file:///clip.mp4` or `test:`.
    uri: String,
}

/// Adds a camera, or changes one that was added in this way.
///
/// It survives a reload of the configuration and lives until a restart. A camera that the configuration's file names is
/// changed there. Keys that name files of this machine are not taken.
#[utoipa::path(
    put, path = "/cameras/{id}", tag = "cameras", request_body = CameraTable,
    params(("id" = String, Path, description = "The camera's id: a-z, 0-9, _ and -")),
    responses(
        (status = 200, body = Camera, description = "Changed"),
        (status = 201, body = Camera, description = "Added"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
    table: Result<Body<Value>, ProblemJson>,
) -> Result<Response, ProblemJson> {
    let table = checked(&principal, &id, table)?;
    let status = match change(&api, &id, CameraChange::Put(table)).await? {
        CameraDone::Added => StatusCode::CREATED,
        CameraDone::Changed | CameraDone::Removed => StatusCode::OK,
    };
    Ok((status, Json(find(&api, &principal, &id).map(|state| Camera::new(&api, &id, &state))?)).into_response())
}

/// The table, as far as it may be taken from whoever asks.
pub(super) fn checked(
    principal: &Principal,
    id: &str,
    table: Result<Body<Value>, ProblemJson>,
) -> Result<Value, ProblemJson> {
    if !principal.sees(id) {
        return Err(unknown(id));
    }
    let Body(table) = table?;
    let problems = named_files(&table);
    if problems.is_empty() { Ok(table) } else { Err(wrong(id, &problems)) }
}

/// Removes a camera that was added over HTTP.
#[utoipa::path(
    delete, path = "/cameras/{id}", operation_id = "remove_camera", tag = "cameras",
    params(("id" = String, Path, description = "The camera's id")),
    responses(
        (status = 204, description = "Removed"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
) -> Result<StatusCode, ProblemJson> {
    find(&api, &principal, &id)?;
    change(&api, &id, CameraChange::Remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A camera's areas.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Areas {
    /// Named areas: an event says in which of them a face is.
    zones: Vec<Area>,
    /// What is always covered.
    privacy_zones: Vec<Area>,
}

/// Draws a camera's zones and privacy zones anew.
///
/// For a camera that the configuration's file names they hold until the file says something else of that camera; for one that
/// was added over HTTP as long as that is there; in any case until a restart.
#[utoipa::path(
    put, path = "/cameras/{id}/zones", tag = "cameras", request_body = Areas,
    params(("id" = String, Path, description = "The camera's id")),
    responses(
        (status = 200, body = Camera),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn zones(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
    areas: Result<Body<Areas>, ProblemJson>,
) -> Result<Json<Camera>, ProblemJson> {
    find(&api, &principal, &id)?;
    let Body(Areas { zones, privacy_zones }) = areas?;
    let list = |areas: &[Area]| Value::Array(areas.iter().map(Area::table).collect());
    let tables = [("zones", list(&zones)), ("privacy_zones", list(&privacy_zones))];
    let tables: Map<_, _> = tables.into_iter().map(|(name, list)| (name.to_owned(), list)).collect();
    change(&api, &id, CameraChange::Zones(tables)).await?;
    Ok(Json(find(&api, &principal, &id).map(|state| Camera::new(&api, &id, &state))?))
}

async fn change(api: &Api, id: &str, change: CameraChange) -> Result<CameraDone, ProblemJson> {
    let (answer, answered) = oneshot::channel();
    let wish = CameraWish { id: id.to_owned(), change, answer };
    let asked = api.0.cameras.ask(wish);
    let late = "the change was not made in time; see GET /cameras for what is";
    answer_within(CHANGED_WITHIN, asked.map(|()| answered), late).await.map_err(|refusal| refused(id, refusal))
}

/// What comes of something that was asked of the supervisor; `late` is said where that takes longer than `time`.
pub(super) async fn answer_within<T>(
    time: Duration,
    asked: Result<oneshot::Receiver<Result<T, CameraRefusal>>, CameraRefusal>,
    late: &str,
) -> Result<T, CameraRefusal> {
    let answer = timeout(time, asked?).await.ok().and_then(Result::ok);
    answer.unwrap_or_else(|| Err(CameraRefusal::Failed(late.to_owned())))
}

pub(super) fn refused(id: &str, refusal: CameraRefusal) -> ProblemJson {
    match refusal {
        CameraRefusal::Named => {
            let detail = format!("camera {id} is in the configuration's file, which wins; change it there, and reload");
            ProblemJson::new(StatusCode::CONFLICT, detail)
        }
        CameraRefusal::Unknown => unknown(id),
        CameraRefusal::Problems(problems) => wrong(id, &problems),
        CameraRefusal::Failed(what) => ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, what).retry_after(1),
    }
}

/// Says every problem with the body, by the keys that it has.
fn wrong(id: &str, problems: &[fault::Problem]) -> ProblemJson {
    let table = format!("cameras.{id}.");
    let lines = problems.iter().map(|problem| {
        let key = problem.key.strip_prefix(&table).unwrap_or(&problem.key).to_owned();
        fault::Problem { key, origin: String::new(), ..problem.clone() }.to_string()
    });
    ProblemJson::new(StatusCode::UNPROCESSABLE_ENTITY, lines.collect::<Vec<_>>().join("\n"))
}

fn named_files(table: &Value) -> Vec<fault::Problem> {
    let named = FILES.iter().filter(|key| table.pointer(key).is_some());
    let problem = |key: &&str| {
        let what = "names a file of this machine, which is not taken over HTTP";
        fault::Problem::new(key[1..].replace('/', "."), what).remedy("put the camera into the configuration's file")
    };
    let mut problems: Vec<_> = named.map(problem).collect();
    if !table.is_object() {
        problems.push(fault::Problem::new("", "the body must be a camera's table, such as {\"uri\": \"rtsp://…\"}"));
    }
    problems
}

/// Where a switch is to stand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Position {
    /// On or off.
    on: bool,
}

/// Where a switch stands.
#[derive(Serialize, ToSchema)]
struct Standing {
    /// Its name.
    switch: &'static str,
    /// On or off.
    on: bool,
}

/// Puts one of a camera's switches: `detect`, `recognise`, `mask`, `restream` or `snapshots`, as far as it has that.
///
/// Switches survive a reload of the configuration, not a restart.
#[utoipa::path(
    post, path = "/cameras/{id}/switches/{switch}", tag = "cameras", request_body = Position,
    params(
        ("id" = String, Path, description = "The camera's id"),
        ("switch" = String, Path, description = "The switch's name"),
    ),
    responses(
        (status = 200, body = Standing),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn switch(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named((id, name)): Named<(String, String)>,
    position: Result<Body<Position>, ProblemJson>,
) -> Result<Json<Standing>, ProblemJson> {
    let before = find(&api, &principal, &id)?;
    let Body(Position { on }) = position?;
    let switch = Switch::named(&name).filter(|switch| before.switches.contains_key(switch));
    let switch = switch.ok_or_else(|| {
        let has = SWITCHES.iter().filter(|line| before.switches.contains_key(&line.switch)).map(|line| line.name);
        let has = has.collect::<Vec<_>>().join(", ");
        ProblemJson::new(StatusCode::NOT_FOUND, format!("camera {id} has no switch {name:?}; it has {has}"))
    })?;
    api.0.hub.switches().ask(SwitchCommand { camera: id.as_str().into(), switch, on });
    let until = Instant::now() + SWITCHED_WITHIN;
    while Instant::now() < until {
        let now = find(&api, &principal, &id)?;
        if now.switches.get(&switch) == Some(&on) {
            return Ok(Json(Standing { switch: switch.name(), on }));
        }
        if now.refusals != before.refusals {
            let detail = "masks stay on; set switchable = true in the camera's table mask";
            return Err(ProblemJson::new(StatusCode::CONFLICT, detail));
        }
        sleep(LOOK_EVERY).await;
    }
    let detail = "the switch was not put in time; see GET /cameras for where it stands";
    Err(ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1))
}
