//! What every answer has: it is counted and timed, its errors are problems, and browsers are told what not to do with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::console::{self, Asset};
use super::guard::Door;
use super::problem::ProblemJson;
use super::status::Status;
use crate::clock::Laps;
use crate::metrics::{HTTP_REQUEST_SECONDS, HTTP_REQUESTS};

/// A picture or data shows nothing and runs nothing, whatever is in it.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox";
/// A page of ours uses what comes from here.
const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// No error needs more words.
const MOST_ERROR_BYTES: usize = 16 << 10;

/// Counts the answer and completes it.
pub(super) async fn finish(
    State((door, status)): State<(Arc<Door>, Status)>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    status.tally.count(begun);
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = known_method(request.method());
    let response = next.run(request).await;
    let mut response = as_problem(response).await;
    let took = begun.elapsed();
    ::metrics::counter!(HTTP_REQUESTS, "status" => response.status().as_str().to_owned()).increment(1);
    let route = route.unwrap_or_else(|| "none".to_owned());
    ::metrics::histogram!(HTTP_REQUEST_SECONDS, "route" => route, "method" => method).record(took);
    let laps = response.extensions_mut().remove::<Laps>().unwrap_or_default();
    let asset = response.extensions_mut().remove::<Asset>();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&server_timing(&laps, took)) {
        headers.insert("server-timing", value);
    }
    secure(headers, door.settings.load().tls.is_some(), asset);
    response
}

/// A client may make methods up; a metric's labels are not made up by clients.
fn known_method(method: &Method) -> &'static str {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.iter().position(|one| one == method).map_or("other", |index| names[index])
}

/// The parts of the work, where a handler has put them into its answer as an extension, and the whole.
fn server_timing(laps: &Laps, took: Duration) -> String {
    let all = laps.iter().chain([("total", took)]);
    let all = all.map(|(name, took)| format!("{name};dur={:.2}", took.as_secs_f64() * 1e3));
    all.collect::<Vec<_>>().join(", ")
}

/// An error that a library has put into plain words becomes a problem like the others.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let plain = kind.is_empty() || kind.starts_with("text/plain");
    if !(status.is_client_error() || status.is_server_error()) || !plain {
        return response;
    }
    let (parts, body) = response.into_parts();
    let words = to_bytes(body, MOST_ERROR_BYTES).await.unwrap_or_default();
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    let detail = if words.is_empty() { status.canonical_reason().unwrap_or("error").to_lowercase() } else { words };
    let mut answer = ProblemJson::new(status, detail).into_response();
    for name in [header::ALLOW, header::RETRY_AFTER, header::CONNECTION] {
        if let Some(value) = parts.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// Tells browsers neither to keep an answer (unless the console is made of it), nor to guess what it is, nor to show it inside another page.
fn secure(headers: &mut HeaderMap, tls: bool, asset: Option<Asset>) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let policy = match asset {
        Some(Asset) => console::POLICY,
        None if kind.starts_with("text/html") => PAGE,
        None => NO_PAGE,
    };
    let always = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if asset.is_none() {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}
