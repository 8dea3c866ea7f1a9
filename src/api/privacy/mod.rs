//! What is kept of people and where, looked at anew each time that somebody asks.

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::event::rfc3339;
use crate::http::{Principal, ProblemJson};
use crate::metrics::MASK_UNPROVEN;
use crate::sink::Audited;

mod kept;
mod machine;
mod process;

use kept::Kept;

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(privacy))
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CheckState)]
enum State {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// As it was set, but less than could be.
    Warn,
    /// Not as promised.
    Fail,
}

/// A promise, and whether it holds now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrivacyCheck)]
struct Check {
    /// Its name, for programs.
    id: &'static str,
    /// The promise.
    title: &'static str,
    /// `ok`, `unknown`, `warn` or `fail`.
    state: State,
    /// What was found, and what to do.
    detail: String,
}

impl Check {
    fn new(id: &'static str, title: &'static str, (state, detail): (State, String)) -> Self {
        Self { id, title, state, detail }
    }
}

/// How a camera's pictures are kept from showing faces.
#[derive(Serialize, ToSchema)]
#[schema(as = CameraPrivacy)]
struct Camera {
    /// The camera.
    id: String,
    /// Frames that were handed out masked, since the camera was started.
    masked: u64,
    /// Frames that were handed out wholly covered.
    covered: u64,
    /// Frames that were to be shown without a proof, and were covered instead: a bug, if there is one.
    unproven: u64,
    /// What the self-audit saw in what was handed out; null where it has not looked.
    audit: Option<Audit>,
    /// Settings by which faces may show.
    shows: Vec<String>,
}

/// What looking at masked video brought.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditResult)]
struct Audit {
    /// Frames that were looked at.
    looks: u64,
    /// Faces found there.
    faces: u64,
    /// The last look.
    #[schema(format = DateTime)]
    last: String,
    /// When a face was found last; null where none was.
    #[schema(format = DateTime)]
    last_face: Option<String>,
}

/// What is kept of people, where and for how long, and whether what is promised holds.
#[derive(Serialize, ToSchema)]
struct Privacy {
    /// When this was looked at.
    #[schema(format = DateTime)]
    checked_at: String,
    /// The worst of all checks.
    state: State,
    /// Each promise.
    checks: Vec<Check>,
    /// Each camera that the caller may see.
    cameras: Vec<Camera>,
    /// What is kept, all of it in memory.
    kept: Vec<Kept>,
}

/// Whether privacy is as promised, checked at the moment of asking: in Visor's processes, on this machine, and in what cameras
/// show.
#[utoipa::path(get, path = "/privacy", tag = "health", responses((status = 200, body = Privacy)))]
async fn privacy(
    Shared(api): Shared<Api>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Privacy>, ProblemJson> {
    let looked = tokio::task::spawn_blocking(move || Privacy::look(&api, &principal)).await;
    looked
        .map(Json)
        .map_err(|_| ProblemJson::new(StatusCode::INTERNAL_SERVER_ERROR, "the checks broke off; the log says why"))
}

impl Privacy {
    fn look(api: &Api, principal: &Principal) -> Self {
        let (processes, confined) = (process::look(), machine::confines());
        let cameras = cameras(api, principal);
        let checks = vec![
            machine::open_files(&processes, confined),
            machine::confinement(confined),
            machine::places(),
            machine::core_dumps(&processes),
            machine::swap(),
            machine::telemetry(),
            Check::new("mask_proofs", "Every frame shown has its proof", proofs(&cameras)),
            Check::new("self_audit", "No face in masked video", audit(&cameras)),
            Check::new("policies", "No setting shows faces", policies(&cameras)),
        ];
        let state = checks.iter().map(|check| check.state).max().unwrap_or(State::Unknown);
        Self { checked_at: rfc3339(SystemTime::now()), state, checks, cameras, kept: kept::kept(api, principal) }
    }
}

fn cameras(api: &Api, principal: &Principal) -> Vec<Camera> {
    let unproven = unproven(api, principal);
    let mut audits = api.0.hub.board().audits();
    let known = api.0.hub.board().cameras().into_iter().filter(|(id, _)| principal.sees(id));
    let camera = |(id, state): (std::sync::Arc<str>, crate::sink::CameraState)| Camera {
        masked: state.stats.frames_masked_total,
        covered: state.stats.frames_covered_total,
        unproven: unproven.get(&*id).copied().unwrap_or(0),
        audit: audits.remove(&id).as_ref().map(Audit::new),
        shows: api.0.cameras.shows(&id),
        id: id.to_string(),
    };
    known.map(camera).collect()
}

/// The metric that must stay 0, by camera.
fn unproven(api: &Api, principal: &Principal) -> BTreeMap<String, u64> {
    let metrics = api.0.status.metrics(principal).metrics;
    let samples = metrics.into_iter().filter(|metric| metric.name == MASK_UNPROVEN).flat_map(|metric| metric.samples);
    samples.filter_map(|mut sample| Some((sample.labels.remove("camera")?, sample.value? as u64))).collect()
}

impl Audit {
    fn new(audited: &Audited) -> Self {
        let Audited { looks, faces, last, last_face } = *audited;
        Self { looks, faces, last: rfc3339(last), last_face: last_face.map(rfc3339) }
    }
}

fn proofs(cameras: &[Camera]) -> (State, String) {
    let sum = |of: fn(&Camera) -> u64| cameras.iter().map(of).sum::<u64>();
    let (shown, unproven) = (sum(|camera| camera.masked), sum(|camera| camera.unproven));
    match (shown, unproven) {
        (_, 1..) => {
            (State::Fail, format!("{unproven} frames had no proof and were covered instead: a bug. Please report it."))
        }
        (0, 0) => (State::Ok, "No frame of a masked camera was shown yet.".to_owned()),
        (shown, 0) => (State::Ok, format!("{shown} frames were shown masked, and not one without its proof.")),
    }
}

fn audit(cameras: &[Camera]) -> (State, String) {
    let audits = || cameras.iter().filter_map(|camera| camera.audit.as_ref());
    let (looks, faces) = audits().fold((0, 0), |(looks, faces), audit| (looks + audit.looks, faces + audit.faces));
    match (looks, faces) {
        (0, _) => {
            let what =
                "Nothing was looked at yet: a detector looks at masked video every two seconds while somebody gets it.";
            (State::Unknown, what.to_owned())
        }
        (_, 0) => (State::Ok, format!("{looks} masked frames were looked at, and no face was found.")),
        (_, faces) => {
            let of = cameras.iter().filter(|camera| camera.audit.as_ref().is_some_and(|audit| audit.faces > 0));
            let of: Vec<_> = of.map(|camera| camera.id.as_str()).collect();
            let what =
                format!("{faces} faces were found in masked video of {}: look at it, and at its mask.", of.join(", "));
            (State::Fail, what)
        }
    }
}

fn policies(cameras: &[Camera]) -> (State, String) {
    let shows: Vec<_> =
        cameras.iter().filter(|camera| !camera.shows.is_empty()).map(|camera| camera.id.as_str()).collect();
    if shows.is_empty() {
        return (State::Ok, "No camera's settings let a face be shown.".to_owned());
    }
    (State::Warn, format!("By its settings faces may show of {}; which these are is below.", shows.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(masked: u64, unproven: u64, audit: Option<(u64, u64)>) -> Camera {
        let audit = audit.map(|(looks, faces)| Audit { looks, faces, last: String::new(), last_face: None });
        Camera { id: "front".to_owned(), masked, covered: 0, unproven, audit, shows: Vec::new() }
    }

    #[test]
    fn a_frame_without_proof_or_a_face_that_was_found_fails() {
        let states = |camera: Camera| {
            let cameras = [camera];
            [proofs(&cameras), audit(&cameras), policies(&cameras)].map(|(state, _)| state)
        };
        assert_eq!(states(camera(0, 0, None)), [State::Ok, State::Unknown, State::Ok]);
        assert_eq!(states(camera(9, 0, Some((4, 0)))), [State::Ok; 3]);
        assert_eq!(states(camera(9, 1, Some((4, 2)))), [State::Fail, State::Fail, State::Ok]);
        let shown = Camera { shows: vec!["mask.who = \"nobody\"".to_owned()], ..camera(0, 0, None) };
        assert_eq!(states(shown)[2], State::Warn);
        assert!(State::Ok < State::Unknown && State::Warn < State::Fail);
    }
}
