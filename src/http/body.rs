//! How long a request's body may take: a client that sends a byte now and then holds a place that others wait for.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::ProblemJson;
use super::guard::Door;
use crate::metrics::HTTP_REFUSED;

/// How long nothing at all may come.
const SILENCE: Duration = Duration::from_secs(10);

/// Ends the body of a request that takes too long, and answers 408 in the place of whoever wanted to read it.
pub(super) async fn limit_time(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let time = door.settings.load().body_timeout;
    let late = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&late);
    let request = request.map(|body| Body::new(Timed { body, time, late: flag, deadline: None, begun: None }));
    let response = next.run(request).await;
    if !late.load(Ordering::Relaxed) {
        return response;
    }
    ::metrics::counter!(HTTP_REFUSED, "reason" => "slow_body").increment(1);
    let detail = format!("the body did not arrive within {time:?}, or nothing of it for {SILENCE:?}");
    let mut answer = ProblemJson::new(StatusCode::REQUEST_TIMEOUT, detail).into_response();
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// A body that fails when it takes too long. Time runs while somebody wants to read it.
struct Timed {
    body: Body,
    time: Duration,
    late: Arc<AtomicBool>,
    begun: Option<Instant>,
    deadline: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body takes too long")
    }
}

impl std::error::Error for TooSlow {}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let now = Instant::now();
        let begun = *this.begun.get_or_insert(now);
        if now < begun + this.time
            && let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context)
        {
            this.deadline = None;
            return Poll::Ready(frame);
        }
        let until = (begun + this.time).min(now + SILENCE);
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(deadline.as_mut().poll(context));
        this.late.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
