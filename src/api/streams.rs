//! Answers that go on until somebody ends them: a bounded number at once, so that they leave connections to the others.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::http::ProblemJson;

/// Streams of events and of pictures at once.
const MOST: usize = 64;

/// Pictures that are made into JPEGs at once: cameras come first.
const ENCODERS: usize = 2;

/// Places for answers without an end.
pub struct Streams {
    places: Arc<Semaphore>,
    encoders: Semaphore,
}

impl Default for Streams {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), encoders: Semaphore::new(ENCODERS) }
    }
}

impl Streams {
    /// A place, for as long as the answer goes on.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, ProblemJson> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{MOST} streams are open already; close one, or try again later");
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5)
        })
    }

    /// Waits for a turn to make a JPEG.
    pub(super) async fn turn_to_encode(&self) -> Option<SemaphorePermit<'_>> {
        self.encoders.acquire().await.ok()
    }
}
