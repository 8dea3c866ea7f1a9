//! Answers that go on for as long as whoever asked has the rights that they asked with, and no longer.
//!
//! A stream of pictures or events is let in once and may go on for days. Meanwhile a token can be taken away, a login can
//! expire, a camera can be taken from somebody: then the answer ends, and whoever comes back is judged anew.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use jiff::Timestamp;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Principal;
use super::config::Settings;
use super::guard::Door;

/// How often rights are looked at again while settings stay as they are: logins expire.
const EVERY: Duration = Duration::from_secs(1);

/// What somebody was let in with.
pub(super) struct Pass {
    pub(super) door: Arc<Door>,
    /// The header `Authorization`.
    pub(super) shown: Option<HeaderValue>,
    pub(super) principal: Principal,
}

impl Pass {
    /// Lets an answer of unknown length go on only while this holds; another one is there already.
    pub(super) fn hold(self, answer: Response) -> Response {
        if answer.body().size_hint().exact().is_some() {
            return answer;
        }
        answer.map(|body| Body::new(Leash::new(body, self)))
    }

    fn holds(&self, settings: &Settings) -> bool {
        let caller = self.door.caller(settings, self.shown.as_ref(), Timestamp::now());
        caller.is_ok_and(|caller| caller.principal == self.principal)
    }
}

/// A body that ends with its pass, and with the address that it was asked at.
struct Leash {
    body: Body,
    pass: Pass,
    /// What the pass was good for the last time.
    settings: Arc<Settings>,
    looks: Interval,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Leash {
    fn new(body: Body, pass: Pass) -> Self {
        let mut looks = interval_at(Instant::now() + EVERY, EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = Box::pin(pass.door.closed.clone().cancelled_owned());
        Self { body, settings: pass.door.settings.load_full(), pass, looks, closed }
    }

    /// Whether rights have changed since the last look.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let settings = self.pass.door.settings.load_full();
        let mut is_time = !Arc::ptr_eq(&settings, &self.settings);
        while self.looks.poll_tick(context).is_ready() {
            is_time = true;
        }
        self.settings = settings;
        is_time && !self.pass.holds(&self.settings)
    }
}

impl HttpBody for Leash {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over(context) {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            // what is there already is still sent
            Poll::Pending if self.closed.as_mut().poll(context).is_ready() => Poll::Ready(None),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
