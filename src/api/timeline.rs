//! Where people were, and when: from what cameras saw, in memory only.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::extract::{Asked, Named, bad_request};
use super::list::{self, List};
use super::openapi::Problem;
use crate::event::rfc3339;
use crate::http::{Principal, ProblemJson};
use crate::recognise::grading::fourth;
use crate::sink::{Appearance, End, Who};

mod place;

use place::Near;

/// Spans further apart are two stays.
const USUAL_GAP: u64 = 60;

/// The longest that may be asked for: a year.
const LONGEST_GAP: u64 = 31_536_000;

/// No cursor is larger: what every JSON reader has exactly.
const MOST_CURSOR: u64 = 9_007_199_254_740_991;

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(appearances))
        .routes(routes!(timeline))
        .routes(routes!(best_shot))
        .routes(routes!(track_shot))
}

/// Which appearances are wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only what ended at this time (RFC 3339) or later.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Only what began at this time or before.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Only of these cameras: ids, separated by commas.
    camera: Option<String>,
    /// Only of cameras near this place: degrees of latitude and longitude, `59.33,18.06`. Cameras without a `location` are left
    /// out.
    near: Option<String>,
    /// How near, in metres. Default: 1000.
    #[param(minimum = 0)]
    within: Option<f64>,
    /// How many at most; 100 unless it is said, and no more than 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(maximum = 9_007_199_254_740_991_i64)]
    cursor: Option<u64>,
}

/// Somebody in sight of a camera.
#[derive(Serialize, ToSchema)]
#[schema(as = Appearance)]
struct Seen {
    /// The id.
    id: u64,
    /// The camera.
    camera: String,
    /// The track, as events name it.
    track: String,
    /// Every zone that the face was in.
    zones: Vec<String>,
    /// First seen.
    #[schema(format = DateTime)]
    from: String,
    /// Last seen.
    #[schema(format = DateTime)]
    until: String,
    /// How it ended: `left`; `revised`, where the track was said to be somebody else; `retracted`, where the name was taken
    /// back; null while it goes on.
    end: Option<&'static str>,
    /// The best similarity to the person.
    score: Option<f32>,
    /// Where the best shot is, if the camera may give one.
    best_shot: Option<String>,
}

impl From<&Appearance> for Seen {
    fn from(seen: &Appearance) -> Self {
        Self {
            id: seen.id,
            camera: seen.camera.to_string(),
            track: seen.track.to_string(),
            zones: seen.zones.iter().map(|zone| zone.to_string()).collect(),
            from: rfc3339(seen.from),
            until: rfc3339(seen.until),
            end: seen.end.map(End::name),
            score: seen.score.map(fourth),
            best_shot: seen.shot.as_ref().map(|_| best_shot_path(seen.id)),
        }
    }
}

/// Where an appearance's best shot is.
pub(super) fn best_shot_path(appearance: u64) -> String {
    format!("/api/v1/appearances/{appearance}/best_shot.jpg")
}

/// [`Wanted`], checked, for one person and one caller.
struct Filter {
    who: Who,
    from: Option<SystemTime>,
    until: Option<SystemTime>,
    cameras: Option<BTreeSet<String>>,
    near: Option<Near>,
    principal: Principal,
}

impl Filter {
    fn new(person: &str, wanted: &Wanted, api: &Api, principal: Principal) -> Result<Self, ProblemJson> {
        let time = |name: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(str::parse::<Timestamp>).transpose();
            let parsed = parsed.map_err(|_| bad_request(format!("{name}: not a time as RFC 3339 has it")))?;
            Ok::<_, ProblemJson>(parsed.map(SystemTime::from))
        };
        let words = |list: &String| list.split(',').map(|word| word.trim().to_owned()).collect();
        let near = Near::parse(wanted.near.as_deref(), wanted.within, api.0.hub.board())?;
        Ok(Self {
            who: Who::Person(person.into()),
            from: time("from", &wanted.from)?,
            until: time("until", &wanted.until)?,
            cameras: wanted.camera.as_ref().map(words),
            near,
            principal,
        })
    }

    fn passes(&self, seen: &Appearance) -> bool {
        seen.who == self.who
            && self.from.is_none_or(|from| seen.until >= from)
            && self.until.is_none_or(|until| seen.from <= until)
            && self.cameras.as_ref().is_none_or(|cameras| cameras.contains(&*seen.camera))
            && self.near.as_ref().is_none_or(|near| near.has(&seen.camera))
            && self.principal.sees(&seen.camera)
    }
}

fn known(api: &Api, person: &str) -> Result<(), ProblemJson> {
    let nobody = || ProblemJson::new(StatusCode::NOT_FOUND, format!("there is no person {person:?}"));
    if api.people()?.gallery.holds(person) { Ok(()) } else { Err(nobody()) }
}

/// Where a person was seen, the newest first.
#[utoipa::path(
    get, path = "/persons/{id}/appearances", tag = "people",
    params(("id" = String, Path, description = "The person's id"), Wanted),
    responses(
        (status = 200, body = List<Seen>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn appearances(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<List<Seen>>, ProblemJson> {
    known(&api, &id)?;
    let limit = list::limit(wanted.limit)?;
    let filter = Filter::new(&id, &wanted, &api, principal)?;
    at_most("cursor", wanted.cursor, MOST_CURSOR)?;
    let (seen, more) = api.0.hub.appearances().list(|seen| filter.passes(seen), wanted.cursor, limit);
    let next = seen.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(List::page(seen.iter().map(Seen::from).collect(), next))
}

/// How appearances become stays.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asking {
    /// Only what ended at this time (RFC 3339) or later.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Only what began at this time or before.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Only of these cameras: ids, separated by commas.
    camera: Option<String>,
    /// Only of cameras near this place: `59.33,18.06`.
    near: Option<String>,
    /// How near, in metres. Default: 1000.
    #[param(minimum = 0)]
    within: Option<f64>,
    /// Seconds out of sight after which it is another stay. Default: 60.
    #[param(maximum = 31_536_000)]
    gap: Option<u64>,
}

/// A person being here, over all cameras.
#[derive(Serialize, ToSchema)]
struct Stay {
    /// First seen.
    #[schema(format = DateTime)]
    from: String,
    /// Last seen.
    #[schema(format = DateTime)]
    until: String,
    /// Whether it goes on.
    present: bool,
    /// The cameras, in the order in which they saw the person first.
    cameras: Vec<String>,
    /// Every zone.
    zones: BTreeSet<String>,
    /// How many appearances make it up.
    appearances: usize,
}

/// When a person was here: appearances that follow each other closely are one stay, whichever camera saw them. The oldest
/// first.
#[utoipa::path(
    get, path = "/persons/{id}/timeline", tag = "people",
    params(("id" = String, Path, description = "The person's id"), Asking),
    responses(
        (status = 200, body = List<Stay>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn timeline(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
    Asked(asking): Asked<Asking>,
) -> Result<Json<List<Stay>>, ProblemJson> {
    known(&api, &id)?;
    at_most("gap", asking.gap, LONGEST_GAP)?;
    let gap = Duration::from_secs(asking.gap.unwrap_or(USUAL_GAP));
    let Asking { from, until, camera, near, within, .. } = asking;
    let wanted = Wanted { from, until, camera, near, within, limit: None, cursor: None };
    let filter = Filter::new(&id, &wanted, &api, principal)?;
    let (mut seen, _) = api.0.hub.appearances().list(|seen| filter.passes(seen), None, usize::MAX);
    seen.sort_by_key(|seen| seen.from);
    Ok(List::page(stays(&seen, gap), None))
}

fn at_most(name: &str, value: Option<u64>, most: u64) -> Result<(), ProblemJson> {
    match value.filter(|value| *value > most) {
        Some(value) => Err(bad_request(format!("{name}: {value} is more than {most}"))),
        None => Ok(()),
    }
}

/// `seen` is in the order in which it began.
fn stays(seen: &[Appearance], gap: Duration) -> Vec<Stay> {
    let mut stays = Vec::new();
    let (mut first, mut until) = (0, None);
    for (index, next) in seen.iter().enumerate() {
        let away = until.and_then(|until| next.from.duration_since(until).ok());
        if away.is_some_and(|away| away > gap) {
            stays.push(Stay::of(&seen[first..index]));
            (first, until) = (index, None);
        }
        until = until.max(Some(next.until));
    }
    stays.extend((first < seen.len()).then(|| Stay::of(&seen[first..])));
    stays
}

impl Stay {
    fn of(seen: &[Appearance]) -> Self {
        let mut cameras: Vec<String> = Vec::new();
        for seen in seen {
            if !cameras.iter().any(|camera| **camera == *seen.camera) {
                cameras.push(seen.camera.to_string());
            }
        }
        Self {
            from: seen.first().map(|first| rfc3339(first.from)).unwrap_or_default(),
            until: seen.iter().map(|seen| seen.until).max().map(rfc3339).unwrap_or_default(),
            present: seen.iter().any(|seen| seen.end.is_none()),
            cameras,
            zones: seen.iter().flat_map(|seen| &seen.zones).map(|zone| zone.to_string()).collect(),
            appearances: seen.len(),
        }
    }
}

/// The best shot of an appearance, where the camera's `snapshots` allow it: masked, unless they say otherwise.
#[utoipa::path(
    get, path = "/appearances/{id}/best_shot.jpg", tag = "people",
    params(("id" = u64, Path, description = "The appearance's id")),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn best_shot(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<u64>,
) -> Result<Response, ProblemJson> {
    let seen = api.0.hub.appearances().get(id).filter(|seen| principal.sees(&seen.camera));
    shot_of(seen)
}

/// The best shot of a track, for which somebody was named: as that of the appearance. Nothing (204) where there is none, or
/// none yet.
#[utoipa::path(
    get, path = "/cameras/{id}/tracks/{track}/best_shot.jpg", tag = "cameras",
    params(
        ("id" = String, Path, description = "The camera's id"),
        ("track" = String, Path, description = "The track, as events name it"),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/jpeg"),
        (status = 204, description = "There is none"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn track_shot(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named((id, track)): Named<(String, String)>,
) -> Result<Response, ProblemJson> {
    if !principal.sees(&id) || !api.0.hub.board().knows(&id) {
        return Err(ProblemJson::new(StatusCode::NOT_FOUND, format!("there is no camera {id:?}")));
    }
    let wanted = |seen: &Appearance| *seen.camera == *id && *seen.track == *track && seen.shot.is_some();
    let found = api.0.hub.appearances().list(wanted, None, 1).0.pop();
    Ok(shot_of(found).unwrap_or_else(|_| StatusCode::NO_CONTENT.into_response()))
}

fn shot_of(seen: Option<Appearance>) -> Result<Response, ProblemJson> {
    let shot = seen.and_then(|seen| seen.shot);
    let shot = shot.ok_or_else(|| ProblemJson::new(StatusCode::NOT_FOUND, "there is no such best shot"))?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], shot.jpeg.clone()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: u64, camera: &str, from: u64, until: u64) -> Appearance {
        let at = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        Appearance {
            id,
            who: Who::Person("alice".into()),
            camera: camera.into(),
            track: "t".into(),
            zones: [camera.into()].into(),
            from: at(from),
            until: at(until),
            score: None,
            end: Some(End::Left),
            shot: None,
            heard: std::time::Instant::now(),
        }
    }

    #[test]
    fn what_follows_closely_is_one_stay_whichever_camera_saw_it() {
        let all =
            [seen(1, "front", 0, 100), seen(2, "back", 50, 60), seen(3, "front", 155, 160), seen(4, "back", 300, 301)];
        let stays = stays(&all, Duration::from_secs(60));
        assert_eq!(stays.iter().map(|stay| stay.appearances).collect::<Vec<_>>(), [3, 1]);
        assert_eq!((&*stays[0].from, &*stays[0].until), ("1970-01-01T00:00:00.000Z", "1970-01-01T00:02:40.000Z"));
        assert_eq!(stays[0].cameras, ["front", "back"]);
        assert!(super::stays(&[], Duration::MAX).is_empty());
        assert_eq!(super::stays(&all, Duration::MAX).len(), 1);
    }
}
