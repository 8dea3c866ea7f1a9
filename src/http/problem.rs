//! Errors as problem+json (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::outbound::Failure;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemJson {
    /// HTTP's word for it.
    pub status: StatusCode,
    /// What is wrong and what to do, for people.
    pub detail: String,
    /// Seconds after which it is worth another try, where that is known.
    pub retry_after: Option<u64>,
    /// The same as a word for programs, where there is one.
    pub reason: Option<&'static str>,
}

impl ProblemJson {
    /// An answer of this status; `detail` is for people.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, reason: None }
    }

    /// The same with `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same with a word for programs.
    #[must_use]
    pub fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// What somebody else's address did wrong is the fault of who named it; that it is down is nobody's here.
impl From<Failure> for ProblemJson {
    fn from(failure: Failure) -> Self {
        let status = match failure {
            Failure::Address(_) | Failure::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Failure::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::TooSlow(_) => StatusCode::GATEWAY_TIMEOUT,
            Failure::Unreachable(_) | Failure::Status(..) | Failure::Redirects(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, failure.to_string())
    }
}

impl IntoResponse for ProblemJson {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(reason) = self.reason {
            body["reason"] = reason.into();
        }
        let mut response = (self.status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"visor\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
