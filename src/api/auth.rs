//! Logging in, and who one is then.

use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::openapi::Problem;
use crate::http::{Logins, Peer, Principal, ProblemJson};

/// Where one says who one is.
pub(super) const OPEN: &[&str] = &["/api/v1/auth/login"];

/// Bytes of a name and a password.
const MOST_BYTES: usize = 16 << 10;

pub(super) fn open() -> OpenApiRouter<Api> {
    // whoever sends it may be nobody, and has little to say
    OpenApiRouter::new().routes(routes!(login)).layer(DefaultBodyLimit::max(MOST_BYTES))
}

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(session))
}

/// Who one is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The user's name.
    name: String,
    /// The password.
    #[schema(value_type = String)]
    password: SecretString,
}

/// A login.
#[derive(Serialize, ToSchema)]
struct LoggedIn {
    /// To be sent as `Authorization: Bearer …`.
    token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds for which it holds.
    expires_in: u64,
    /// `viewer`, `operator` or `admin`.
    role: &'static str,
    /// The cameras that exist for the user; `null`: all.
    cameras: Option<Vec<String>>,
}

/// A token for a name and its password.
#[utoipa::path(
    post, path = "/auth/login", tag = "auth", request_body = Credentials,
    responses(
        (status = 200, body = LoggedIn),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn login(
    Extension(logins): Extension<Logins>,
    Extension(Peer(peer)): Extension<Peer>,
    credentials: Result<Json<Credentials>, JsonRejection>,
) -> Result<Json<LoggedIn>, ProblemJson> {
    // serde's words quote what is wrong, which might be a password in the wrong place.
    let malformed = |e: JsonRejection| {
        let detail = "the body must be JSON with name and password: {\"name\":\"ann\",\"password\":\"…\"}";
        ProblemJson::new(e.status(), detail)
    };
    let Json(Credentials { name, password }) = credentials.map_err(malformed)?;
    let login = logins.log_in(name, password, peer.ip()).await?;
    let cameras = login.principal.cameras.map(|cameras| cameras.iter().cloned().collect());
    let (expires_in, role) = (login.length.as_secs(), login.principal.role.name());
    Ok(Json(LoggedIn { token: login.token, token_type: "Bearer", expires_in, role, cameras }))
}

/// Who asks, and whom.
#[derive(Serialize, ToSchema)]
struct Session {
    /// `viewer`, `operator` or `admin`.
    role: &'static str,
    /// The cameras that exist for whoever asks; `null`: all.
    cameras: Option<Vec<String>>,
    /// This program's version.
    version: &'static str,
    /// Unique to this run of the daemon.
    boot_id: String,
    /// `boot_seq` of the newest event; 0 before the first one.
    newest_event: u64,
}

/// What whoever asks may do, and which events there are to be asked for.
#[utoipa::path(get, path = "/session", tag = "auth", responses((status = 200, body = Session)))]
async fn session(State(api): State<Api>, Extension(principal): Extension<Principal>) -> Json<Session> {
    Json(Session {
        role: principal.role.name(),
        cameras: principal.cameras.map(|cameras| cameras.iter().cloned().collect()),
        version: env!("CARGO_PKG_VERSION"),
        boot_id: api.0.hub.board().boot_id().to_string(),
        newest_event: api.0.history.reached().borrow().newest,
    })
}
