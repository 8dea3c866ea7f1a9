//! Answers that go on until somebody ends them: a bounded number at once, so that they leave connections to the others.

use std::sync::Arc;

use axum::http::StatusCode;
use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::http::ProblemJson;
use crate::metrics::HTTP_STREAMS;

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

/// One of them, taken until this is dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!(HTTP_STREAMS).decrement(1.0);
    }
}

impl Streams {
    /// A place, for as long as the answer goes on.
    pub(super) fn enter(&self) -> Result<Place, ProblemJson> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let detail = format!("{MOST} streams are open already; close one, or try again later");
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(5)
        })?;
        gauge!(HTTP_STREAMS).increment(1.0);
        Ok(Place { _permit: permit })
    }

    /// Waits for a turn to make a JPEG.
    pub(super) async fn turn_to_encode(&self) -> Option<SemaphorePermit<'_>> {
        self.encoders.acquire().await.ok()
    }
}
