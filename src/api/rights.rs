//! Which role a route asks for.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use crate::http::{Principal, ProblemJson, Role};

/// Routes with their description, each behind its role.
pub(super) struct Routes(OpenApiRouter<Api>);

impl Routes {
    pub(super) fn new() -> Self {
        Self(OpenApiRouter::new())
    }

    /// Adds `routes`, which only `least` and those above may ask.
    pub(super) fn with(self, least: Role, routes: OpenApiRouter<Api>) -> Self {
        let check = move |request: Request, next: Next| check(least, request, next);
        Self(self.0.merge(routes.route_layer(middleware::from_fn(check))))
    }

    pub(super) fn into_inner(self) -> OpenApiRouter<Api> {
        self.0
    }
}

async fn check(least: Role, request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>() {
        Some(principal) if principal.role >= least => next.run(request).await,
        _ => {
            let word = serde_json::to_value(least).ok().and_then(|word| word.as_str().map(str::to_owned));
            let detail = format!("this asks for the role {}", word.unwrap_or_default());
            ProblemJson::new(StatusCode::FORBIDDEN, detail).into_response()
        }
    }
}
