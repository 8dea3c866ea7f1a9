//! Which role a route asks for.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::SecurityRequirement;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use crate::http::{Principal, ProblemJson, Role};

/// What the description calls the token that one shows.
pub(super) const SCHEME: &str = "token";

/// Routes with their description, each behind its role.
pub(super) struct Routes(OpenApiRouter<Api>);

impl Routes {
    pub(super) fn new() -> Self {
        Self(OpenApiRouter::new())
    }

    /// Adds `routes`, which only `least` and those above may ask. The description says so, too.
    pub(super) fn with(self, least: Role, mut routes: OpenApiRouter<Api>) -> Self {
        for operation in operations(&mut routes) {
            operation.security = Some(vec![SecurityRequirement::new(SCHEME, [least.name()])]);
        }
        let check = move |request: Request, next: Next| check(least, request, next);
        Self(self.0.merge(routes.route_layer(middleware::from_fn(check))))
    }

    /// Adds `routes`, which whoever reaches the address may ask.
    pub(super) fn open(self, mut routes: OpenApiRouter<Api>) -> Self {
        for operation in operations(&mut routes) {
            operation.security = Some(Vec::new());
        }
        Self(self.0.merge(routes))
    }

    pub(super) fn into_inner(self) -> OpenApiRouter<Api> {
        self.0
    }
}

fn operations(routes: &mut OpenApiRouter<Api>) -> impl Iterator<Item = &mut Operation> {
    routes.get_openapi_mut().paths.paths.values_mut().flat_map(operations_of)
}

/// Each of a path's methods.
pub(super) fn operations_of(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = path;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

async fn check(least: Role, request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>() {
        Some(principal) if principal.role >= least => next.run(request).await,
        _ => {
            let detail = format!("this asks for the role {least}");
            ProblemJson::new(StatusCode::FORBIDDEN, detail).into_response()
        }
    }
}
