//! The paths that watch over the daemon, and what all paths have in common.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};

use super::finish::finish;
use super::guard::{Door, guard};
use super::problem::ProblemJson;
use super::status::{Health, Status, Version};
use super::{App, Principal, body, console};

/// Paths of this module that machines ask again and again.
pub(super) const UNLIMITED: [&str; 8] =
    ["/livez", "/readyz", "/health", "/health/live", "/health/ready", "/metrics", "/metrics/prometheus", "/version"];

/// All paths, behind the guard.
pub(super) fn router(app: App, door: &Arc<Door>) -> Router {
    let App { status, api, .. } = app;
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/health/live", get(health_live))
        .route("/health/ready", get(health_ready))
        .route("/metrics", get(metrics))
        .route("/metrics/prometheus", get(prometheus))
        .route("/version", get(version))
        .with_state(status.clone())
        .merge(api)
        .merge(console::router())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(door), body::limit_time))
        .layer(middleware::from_fn_with_state(Arc::clone(door), guard))
        .layer(middleware::from_fn_with_state((Arc::clone(door), status), finish))
}

async fn livez(State(status): State<Status>) -> Result<&'static str, ProblemJson> {
    status.live().map(|_| "ok\n")
}

async fn readyz(State(status): State<Status>) -> Result<&'static str, ProblemJson> {
    status.ready().map(|_| "ok\n")
}

async fn health(State(status): State<Status>) -> Result<Json<Health>, ProblemJson> {
    status.well().map(Json)
}

async fn health_live(State(status): State<Status>) -> Result<Json<Health>, ProblemJson> {
    status.live().map(Json)
}

async fn health_ready(State(status): State<Status>) -> Result<Json<Health>, ProblemJson> {
    status.ready().map(Json)
}

/// Text, as Prometheus wants it; as data for whoever says so.
async fn metrics(
    State(status): State<Status>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match accepted.contains("application/json") {
        true => Json(status.metrics(&principal)).into_response(),
        false => text(&status, &principal),
    }
}

async fn prometheus(State(status): State<Status>, Extension(principal): Extension<Principal>) -> Response {
    text(&status, &principal)
}

fn text(status: &Status, principal: &Principal) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], status.metrics_text(principal))
        .into_response()
}

async fn version(State(status): State<Status>) -> Json<Version> {
    Json(status.version())
}

async fn not_found(uri: Uri) -> ProblemJson {
    ProblemJson::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> ProblemJson {
    ProblemJson::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} cannot be asked with {method}", uri.path()))
}
