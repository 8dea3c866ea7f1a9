//! What a camera shows, masked as its settings say: one picture, or as many as come.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::time::{timeout, timeout_at};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::Named;
use super::super::openapi::Problem;
use super::super::streams::Place;
use super::find;
use crate::event::rfc3339;
use crate::http::{Principal, ProblemJson};
use crate::sink::{self, Detail, Still, Viewer};

/// How long whoever wants one picture waits for one that shows something …
const CLEAR_WITHIN: Duration = Duration::from_secs(2);

/// … and for any at all.
const ANY_WITHIN: Duration = Duration::from_secs(5);

/// Where no picture has come for so long, a stream says so instead of showing the last one.
const STALE: Duration = Duration::from_secs(2);

/// Between two parts of a stream.
const BOUNDARY: &str = "frame";

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(snapshot)).routes(routes!(live))
}

/// What the camera shows now, masked, in full size.
///
/// A picture that cannot be shown for the moment is wholly covered, and says why.
#[utoipa::path(
    get, path = "/cameras/{id}/snapshot.jpg", tag = "cameras",
    params(("id" = String, Path, description = "The camera's id")),
    responses(
        (status = 200, body = String, content_type = "image/jpeg"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn snapshot(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
) -> Result<Response, ProblemJson> {
    let mut viewer = look(&api, &principal, &id)?;
    let _place = api.0.streams.enter()?;
    let still = next_still(&mut viewer).await.ok_or_else(|| nothing_came(&api, &id))?;
    drop(viewer);
    let captured_at = rfc3339(still.captured_at());
    let jpeg = encode(&api, still, Detail::Whole).await;
    let jpeg = jpeg.ok_or_else(|| ProblemJson::new(StatusCode::INTERNAL_SERVER_ERROR, "the picture is not encoded"))?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (TIMESTAMP, &captured_at)], jpeg).into_response())
}

/// What the camera shows, masked, as it comes: up to ten pictures a second, with up to 1280 pixels on a side.
///
/// `multipart/x-mixed-replace`, as browsers and players show it. While no picture comes, one says so.
#[utoipa::path(
    get, path = "/cameras/{id}/live.mjpeg", operation_id = "live_mjpeg", tag = "cameras",
    params(("id" = String, Path, description = "The camera's id")),
    responses(
        (status = 200, body = String, content_type = "multipart/x-mixed-replace"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn live(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
) -> Result<Response, ProblemJson> {
    let viewer = look(&api, &principal, &id)?;
    let place = api.0.streams.enter()?;
    let watcher = Watcher { api, viewer, begun: false, said_so: false, _place: place };
    let parts = unfold(watcher, |mut watcher| async {
        let part = watcher.next().await?;
        Some((Ok::<_, Infallible>(part), watcher))
    });
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(parts)).into_response())
}

/// When a picture was taken.
const TIMESTAMP: header::HeaderName = header::HeaderName::from_static("x-timestamp");

/// Looks at a camera.
fn look(api: &Api, principal: &Principal, id: &str) -> Result<Viewer, ProblemJson> {
    let conflict = |why: &str| ProblemJson::new(StatusCode::CONFLICT, why);
    find(api, principal, id)?;
    let screen = api.0.hub.previews().of(id).map_err(|why| conflict(&why))?;
    Ok(screen.watch())
}

/// The next picture, preferably one that shows something.
async fn next_still(viewer: &mut Viewer) -> Option<Arc<Still>> {
    let begun = Instant::now();
    let mut covered: Option<Arc<Still>> = None;
    loop {
        let patience = if covered.is_some() { CLEAR_WITHIN } else { ANY_WITHIN };
        let Ok(Ok(())) = timeout_at((begun + patience).into(), viewer.shown.changed()).await else { return covered };
        let shown = viewer.shown.borrow_and_update().clone();
        match shown.still {
            Some(still) if still.is_covered() && begun.elapsed() < CLEAR_WITHIN => covered = Some(still),
            Some(still) => return Some(still),
            None if shown.closed => return covered,
            None => {}
        }
    }
}

fn nothing_came(api: &Api, id: &str) -> ProblemJson {
    let cameras = api.0.hub.board().cameras();
    let why = cameras.get(id).map(|state| format!("it is {}: {}", state.status.name(), state.reason));
    let why = why.unwrap_or_else(|| "it is gone".to_owned());
    let detail = format!("no picture came from the camera within {} s; {why}", ANY_WITHIN.as_secs());
    ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5)
}

/// The picture as JPEG, made beside the threads that answer.
pub(super) async fn encode(api: &Api, still: Arc<Still>, detail: Detail) -> Option<Bytes> {
    let _turn = api.0.streams.turn_to_encode().await?;
    let jpeg = tokio::task::spawn_blocking(move || still.jpeg(detail)).await.ok()??;
    Some(Bytes::from_owner(jpeg))
}

/// Somebody who looks on.
struct Watcher {
    api: Api,
    viewer: Viewer,
    begun: bool,
    /// That there is no picture.
    said_so: bool,
    _place: Place,
}

impl Watcher {
    /// The next part; `None` once there will be none.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match timeout(STALE, self.viewer.shown.changed()).await {
                Ok(changed) => changed.ok()?,
                Err(_) if !std::mem::replace(&mut self.said_so, true) => {
                    return Some(self.part(&sink::no_picture(), None));
                }
                Err(_) => continue,
            }
            let shown = self.viewer.shown.borrow_and_update().clone();
            if shown.closed {
                return None;
            }
            let Some(still) = shown.still else { continue };
            self.said_so = false;
            let captured_at = rfc3339(still.captured_at());
            if let Some(jpeg) = encode(&self.api, still, Detail::Small).await {
                return Some(self.part(&jpeg, Some(&captured_at)));
            }
        }
    }

    /// The boundary comes right after a picture, since browsers show it only then.
    fn part(&mut self, jpeg: &[u8], captured_at: Option<&str>) -> Bytes {
        let begin = if std::mem::replace(&mut self.begun, true) { String::new() } else { format!("--{BOUNDARY}\r\n") };
        let time = captured_at.map(|time| format!("{TIMESTAMP}: {time}\r\n")).unwrap_or_default();
        let head = format!("{begin}content-type: image/jpeg\r\ncontent-length: {}\r\n{time}\r\n", jpeg.len());
        let end = format!("\r\n--{BOUNDARY}\r\n");
        [head.as_bytes(), jpeg, end.as_bytes()].concat().into()
    }
}
