//! How much of the engine's work may wait at once.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ProblemJson;
use crate::metrics::HTTP_REFUSED;

/// Seconds after which a client that found no place may try again.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The places of requests that ask the engine for work. Whoever finds none is sent away before their body is read, so that
/// what is in memory is bounded, and the wait of those who have one. Clones share the places.
#[derive(Clone, Debug)]
pub struct Admission {
    places: Arc<ArcSwap<Semaphore>>,
}

impl Admission {
    /// So many requests at once, being worked at or waiting.
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(ArcSwap::from_pointee(Semaphore::new(places))) }
    }

    /// So many from now on; those inside are not counted among them any more.
    pub fn set_places(&self, places: usize) {
        self.places.store(Arc::new(Semaphore::new(places)));
    }

    /// A place until the permit is dropped.
    ///
    /// # Errors
    /// `503` with `Retry-After`: all are taken.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, ProblemJson> {
        self.places.load_full().try_acquire_owned().map_err(|_| {
            ::metrics::counter!(HTTP_REFUSED, "reason" => "busy").increment(1);
            let detail = "as many pictures as may wait are waiting already; try again in a second";
            ProblemJson::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER_SECONDS)
        })
    }
}
