//! How much of the engine's work may wait at once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ProblemJson;

/// Seconds after which a client that found no place may try again.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The places of requests that ask the engine for work. Whoever finds none is sent away before their body is read, so that
/// what is in memory is bounded, and the wait of those who have one. Clones share the places.
#[derive(Clone, Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
}

impl Admission {
    /// So many requests at once, being worked at or waiting.
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)) }
    }

    /// A place until the permit is dropped.
    ///
    /// # Errors
    /// `503` with `Retry-After`: all are taken.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, ProblemJson> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = "as many pictures as may wait are waiting already; try again in a second";
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER_SECONDS)
        })
    }
}

/// A layer for routes that ask the engine for work: `middleware::from_fn_with_state(admission, admit)`. The place is held
/// until the answer's head is made.
pub async fn admit(State(admission): State<Admission>, request: Request, next: Next) -> Response {
    match admission.enter() {
        Ok(_place) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
