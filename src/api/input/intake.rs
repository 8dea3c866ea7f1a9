//! Memory for what comes in, and the reading of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::ProblemJson;
use crate::outbound::{Client, Limits};

/// Bytes of one body, and of one picture.
pub(in crate::api) const MOST_BYTES: usize = 32 << 20;

/// Bytes of all bodies together that are in memory at one time.
const ALL_BYTES: usize = 512 << 20;

/// What memory is counted in.
const PAGE: usize = 4 << 10;

/// How much a picture's address may cost.
const LIMITS: Limits = Limits { bytes: MOST_FETCHED as u64, time: Duration::from_secs(10), redirects: 3 };

/// Bytes of a picture that is fetched: how many there will be is not known before.
const MOST_FETCHED: usize = 16 << 20;

/// What a request has of what there is: a place among those that are served, and memory.
pub(in crate::api) struct Held {
    place: Option<OwnedSemaphorePermit>,
    memory: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn new(place: OwnedSemaphorePermit, memory: OwnedSemaphorePermit) -> Self {
        Self { place: Some(place), memory }
    }

    /// Of nothing that there is.
    #[cfg(test)]
    pub(in crate::api) fn nothing() -> Self {
        let free = Arc::new(Semaphore::new(1));
        Self { place: None, memory: free.try_acquire_owned().unwrap() }
    }

    /// Gives up the place; the memory is needed for longer.
    pub(in crate::api) fn leave(&mut self) {
        self.place = None;
    }

    /// Memory for something that came later.
    pub(in crate::api) fn also(&mut self, memory: OwnedSemaphorePermit) {
        self.memory.merge(memory);
    }
}

/// Reads bodies and fetches pictures, within what memory there is for both.
pub struct Intake {
    pages: Arc<Semaphore>,
}

impl Default for Intake {
    fn default() -> Self {
        Self { pages: Arc::new(Semaphore::new(ALL_BYTES / PAGE)) }
    }
}

impl Intake {
    /// A request's body. What it may take of the memory is decided before anything is read.
    ///
    /// # Errors
    /// It is too large (`413`), there is no memory for it now (`503`), or it breaks off (`400`).
    pub(in crate::api) async fn receive(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(OwnedSemaphorePermit, Bytes), ProblemJson> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        let bytes = announced.unwrap_or(MOST_BYTES);
        if bytes > MOST_BYTES {
            return Err(too_large());
        }
        let held =
            Arc::clone(&self.pages).try_acquire_many_owned(bytes.div_ceil(PAGE) as u32).map_err(|_| no_memory())?;
        let body = to_bytes(body, bytes).await.map_err(|e| {
            let inner = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            if inner.contains("length limit") {
                too_large()
            } else {
                refuse(StatusCode::BAD_REQUEST, "the body broke off before its end")
            }
        })?;
        Ok((held, body))
    }

    /// The pictures at these addresses, in their order; all are asked at once.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub(in crate::api) async fn fetch_all(
        &self,
        client: &Client,
        addresses: Vec<String>,
        held: &mut Held,
    ) -> Result<Vec<Bytes>, ProblemJson> {
        let fetched = try_join_all(addresses.into_iter().map(|address| self.fetch(client, address))).await?;
        let mut pictures = Vec::with_capacity(fetched.len());
        for (memory, picture) in fetched {
            held.also(memory);
            pictures.push(picture);
        }
        Ok(pictures)
    }

    /// The picture at an address, and the memory that it takes; waits for that no longer than for the picture.
    pub(in crate::api) async fn fetch(
        &self,
        client: &Client,
        address: String,
    ) -> Result<(OwnedSemaphorePermit, Bytes), ProblemJson> {
        let pages = Arc::clone(&self.pages).acquire_many_owned((MOST_FETCHED / PAGE) as u32);
        let Ok(Ok(mut memory)) = tokio::time::timeout(LIMITS.time, pages).await else { return Err(no_memory()) };
        let picture = client.fetch(address, LIMITS).await?;
        // what was not needed others may have
        let rest = memory.num_permits().saturating_sub(picture.len().div_ceil(PAGE));
        drop(memory.split(rest));
        Ok((memory, picture.into()))
    }
}

fn no_memory() -> ProblemJson {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "too many pictures are in memory already; try again")
        .because("busy")
        .retry_after(1)
}

fn too_large() -> ProblemJson {
    refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("more than {} MiB are too many; send less", MOST_BYTES >> 20))
}

/// An error answer.
pub(in crate::api) fn refuse(status: StatusCode, detail: impl Into<String>) -> ProblemJson {
    ProblemJson::new(status, detail)
}
