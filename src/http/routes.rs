//! The paths and their answers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::guard::guard;
use super::problem::ProblemJson;
use super::{App, Settings};
use crate::metrics::HTTP_REQUESTS;

/// All paths, behind the guard.
pub(super) fn router(app: App, settings: Arc<ArcSwap<Settings>>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .with_state(app.clone())
        .merge(app.api)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(settings, guard))
        .layer(middleware::from_fn(finish))
}

/// 200 while the daemon need not be restarted.
async fn livez(State(app): State<App>) -> Response {
    match (app.health)() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

/// 200 once every part is there, until shutdown begins.
async fn readyz(State(app): State<App>) -> Response {
    if app.lifecycle.is_ready() {
        return "ok\n".into_response();
    }
    let waiting = app.lifecycle.waiting_for().join(", ");
    let detail = match waiting.as_str() {
        "" => app.lifecycle.phase().to_string(),
        waiting => format!("{}, waiting for: {waiting}", app.lifecycle.phase()),
    };
    ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.exporter.render()).into_response()
}

async fn version(State(app): State<App>) -> Response {
    Json(serde_json::json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "boot_id": app.boot_id,
        "onnxruntime": app.onnxruntime,
    }))
    .into_response()
}

async fn not_found(uri: Uri) -> ProblemJson {
    ProblemJson::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let detail = format!("{} cannot be asked with {method}", uri.path());
    let mut answer = ProblemJson::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
    answer
}

/// Counts the answer, and tells browsers neither to keep nor to guess it.
async fn finish(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    ::metrics::counter!(HTTP_REQUESTS, "status" => response.status().as_str().to_owned()).increment(1);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
