//! How the daemon is, and how much it is asked.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::openapi::Problem;
use crate::http::{Health, Metrics, Principal, ProblemJson, Requests};

/// Asked again and again by machines, and free of limits.
pub(super) const UNLIMITED: &[&str] =
    &["/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready", "/api/v1/metrics", "/api/v1/metrics/prometheus"];

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(prometheus))
        .routes(routes!(stats))
        .routes(routes!(images))
}

/// Whether the daemon works and is ready.
#[utoipa::path(
    get, path = "/health", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Problem, content_type = "application/problem+json"))
)]
async fn health(State(api): State<Api>) -> Result<Json<Health>, ProblemJson> {
    api.0.status.well().map(Json)
}

/// Whether the daemon works; if not, only a new start helps.
#[utoipa::path(
    get, path = "/health/live", operation_id = "health_live", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Problem, content_type = "application/problem+json"))
)]
async fn live(State(api): State<Api>) -> Result<Json<Health>, ProblemJson> {
    api.0.status.live().map(Json)
}

/// Whether every part has started, and none has begun to stop.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "health_ready", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Problem, content_type = "application/problem+json"))
)]
async fn ready(State(api): State<Api>) -> Result<Json<Health>, ProblemJson> {
    api.0.status.ready().map(Json)
}

/// All metrics as JSON.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = Metrics)))]
async fn metrics(State(api): State<Api>, Extension(principal): Extension<Principal>) -> Json<Metrics> {
    Json(api.0.status.metrics(&principal))
}

/// All metrics in Prometheus' text form, as at `/metrics`.
#[utoipa::path(
    get, path = "/metrics/prometheus", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
async fn prometheus(State(api): State<Api>, Extension(principal): Extension<Principal>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.0.status.metrics_text(&principal))
}

/// How much is asked.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// Requests over HTTP.
    requests: Requests,
}

/// How many requests there were: since the start, and of late. Kept in memory only.
#[utoipa::path(get, path = "/stats", tag = "health", responses((status = 200, body = Stats)))]
async fn stats(State(api): State<Api>) -> Json<Stats> {
    Json(Stats { requests: api.0.status.requests() })
}

/// Pictures are not kept, so that none can be had later.
#[utoipa::path(
    get, path = "/images/{*path}", tag = "health",
    params(("path" = String, Path, description = "Whatever")),
    responses((status = 410, body = Problem, content_type = "application/problem+json"))
)]
async fn images() -> ProblemJson {
    let detail = "pictures that are sent here are looked at and forgotten: none is kept, on disk or elsewhere; a camera's \
                  picture is at /api/v1/cameras/ID/snapshot.jpg";
    ProblemJson::new(StatusCode::GONE, detail)
}
