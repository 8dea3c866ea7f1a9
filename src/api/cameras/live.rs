//! What several cameras show, masked, and how they are, in one answer: browsers open few connections to a server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::future::select_all;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Api;
use super::super::extract::{Asked, bad_request};
use super::super::openapi::Problem;
use super::super::streams::Place;
use super::pictures::encode;
use super::{Camera, find};
use crate::event::rfc3339;
use crate::http::{Principal, ProblemJson};
use crate::sink::{Detail, Keenness, Still, Viewer};

/// Cameras in one answer.
const MOST: usize = 64;

/// How often it says how the cameras are.
const STATES_EVERY: Duration = Duration::from_secs(1);

/// Pictures a second of each camera; more are never made, and only of few cameras at once.
const FPS: std::ops::RangeInclusive<f64> = 0.2..=10.0;
const CALM_FPS: f64 = 5.0;

/// What an answer is: lengths of head and body, four bytes each with the first the highest, the head in JSON, the body.
const KIND: &str = "application/vnd.visor.live";

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live))
}

/// What is to be seen, and how much of it.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct View {
    /// Ids of cameras, separated by commas; 64 at most. Without it: all that there are at the time.
    cameras: Option<String>,
    /// Pixels that pictures need on their longer side: as many or somewhat more are sent, 1280 at most. Default 480.
    width: Option<u32>,
    /// Pictures a second of each camera at most, 0.2 to 10. Default 5.
    fps: Option<f64>,
}

/// What cameras show, masked, and how they are, as it comes.
///
/// The answer is a sequence of parts: the length of a head and that of a body, four bytes each (big-endian), the head, which is JSON,
/// and the body. Each second a head `{"type":"state","cameras":[…]}` comes with the cameras as `GET /cameras` gives them; one
/// with a picture, `{"type":"picture","camera","captured_at","age_ms","covered"}`, has a JPEG behind it. A picture is made once
/// for all who look; whoever takes them slowly gets fewer. A camera that cannot be looked at has a head
/// `{"type":"unseen","camera","detail"}`.
#[utoipa::path(
    get, path = "/live", tag = "cameras", params(View),
    responses(
        (status = 200, body = String, content_type = "application/vnd.visor.live"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn live(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Asked(view): Asked<View>,
) -> Result<Response, ProblemJson> {
    let fps = view.fps.unwrap_or(CALM_FPS);
    if !FPS.contains(&fps) {
        return Err(bad_request(format!("fps must be {} to {}", FPS.start(), FPS.end())));
    }
    let ids = match &view.cameras {
        Some(list) => list.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect(),
        None => api.0.hub.board().cameras().keys().map(|id| id.to_string()).collect::<BTreeSet<_>>(),
    };
    let ids: BTreeSet<_> = ids.into_iter().filter(|id| principal.sees(id)).take(MOST).collect();
    let place = api.0.streams.enter()?;
    let wall = Wall {
        api,
        principal,
        ids,
        detail: Detail::for_width(view.width.unwrap_or(0)),
        keenness: if fps > CALM_FPS { Keenness::All } else { Keenness::Half },
        // frames do not come quite evenly
        every: Duration::from_secs_f64(0.9 / fps),
        seats: VecDeque::new(),
        unseen: BTreeMap::new(),
        states_at: Instant::now(),
        _place: place,
    };
    let parts = unfold(wall, |mut wall| async {
        let part = wall.next().await;
        Some((Ok::<_, Infallible>(part), wall))
    });
    Ok(([(header::CONTENT_TYPE, KIND)], Body::from_stream(parts)).into_response())
}

/// Somebody who looks at several cameras.
struct Wall {
    api: Api,
    principal: Principal,
    ids: BTreeSet<String>,
    detail: Detail,
    keenness: Keenness,
    /// Least time between two pictures of a camera.
    every: Duration,
    /// Whoever was served last is at the end.
    seats: VecDeque<Seat>,
    /// Why cameras cannot be seen, as it was said.
    unseen: BTreeMap<String, Arc<str>>,
    /// When the cameras' states are due.
    states_at: Instant,
    _place: Place,
}

/// A view of one camera.
struct Seat {
    camera: String,
    viewer: Viewer,
    /// The next picture is not wanted before.
    from: Instant,
}

impl Seat {
    /// Waits until there is a picture that is wanted; gives nothing where there will be none any more.
    async fn next(&mut self) -> Option<Arc<Still>> {
        loop {
            sleep_until(self.from).await;
            self.viewer.shown.changed().await.ok()?;
            let shown = self.viewer.shown.borrow_and_update().clone();
            match shown.still {
                _ if shown.closed => return None,
                Some(still) => return Some(still),
                None => {}
            }
        }
    }
}

impl Wall {
    /// The next part. Only what is taken is made: whoever is slow holds up nothing but this.
    async fn next(&mut self) -> Bytes {
        loop {
            if Instant::now() >= self.states_at {
                self.states_at = Instant::now() + STATES_EVERY;
                return self.states();
            }
            let Some((place, still)) = self.wait().await else { continue };
            let Some(still) = still else {
                self.seats.remove(place);
                continue;
            };
            let Some(mut seat) = self.seats.remove(place) else { continue };
            seat.from = Instant::now() + self.every;
            let head = json!({
                "type": "picture",
                "camera": seat.camera,
                "captured_at": rfc3339(still.captured_at()),
                "age_ms": u64::try_from(still.age().as_millis()).unwrap_or(u64::MAX),
                "covered": still.is_covered(),
            });
            self.seats.push_back(seat);
            if let Some(jpeg) = encode(&self.api, still, self.detail).await {
                return part(&head, &jpeg);
            }
        }
    }

    /// Which seat has a picture, or none any more; `None` when states are due.
    async fn wait(&mut self) -> Option<(usize, Option<Arc<Still>>)> {
        let due = sleep_until(self.states_at);
        if self.seats.is_empty() {
            due.await;
            return None;
        }
        let first = select_all(self.seats.iter_mut().map(|seat| Box::pin(seat.next())));
        tokio::select! {
            (still, place, _) = first => Some((place, still)),
            () = due => None,
        }
    }

    /// How the cameras are; takes a seat at those that can be seen by now.
    fn states(&mut self) -> Bytes {
        let (mut cameras, mut parts) = (Vec::new(), Vec::new());
        for id in &self.ids {
            let Ok(state) = find(&self.api, &self.principal, id) else { continue };
            cameras.push(json!(Camera::new(&self.api, id, &state)));
            if self.seats.iter().any(|seat| seat.camera == *id) {
                continue;
            }
            match self.api.0.hub.previews().of(id) {
                Ok(screen) => {
                    self.unseen.remove(id);
                    let (viewer, camera) = (screen.watch_at(self.keenness), id.clone());
                    self.seats.push_back(Seat { camera, viewer, from: Instant::now() });
                }
                Err(why) if self.unseen.get(id) != Some(&why) => {
                    parts.push(part(&json!({ "type": "unseen", "camera": id, "detail": *why }), &[]));
                    self.unseen.insert(id.clone(), why);
                }
                Err(_) => {}
            }
        }
        parts.insert(0, part(&json!({ "type": "state", "cameras": cameras }), &[]));
        parts.concat().into()
    }
}

fn part(head: &Value, body: &[u8]) -> Bytes {
    let head = head.to_string();
    let lengths = [head.len(), body.len()].map(|length| (length as u32).to_be_bytes());
    [&lengths[0][..], &lengths[1], head.as_bytes(), body].concat().into()
}
