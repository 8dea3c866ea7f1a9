//! The description of all routes, made from them, and the page that shows it.

use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::openapi::OpenApi as Description;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::Api;
use super::rights::Routes;

/// Where all routes are.
const PREFIX: &str = "/api/v1";

/// What the description begins with.
#[derive(OpenApi)]
#[openapi(
    info(title = "Visor", description = "Faces in pictures and on cameras: detect, mask, compare, enrol, search."),
    tags(
        (name = "cameras", description = "What is watched"),
        (name = "events", description = "What happens"),
        (name = "pictures", description = "Faces in pictures"),
        (name = "people", description = "Who is known, and who was seen"),
    )
)]
struct Head;

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says of what kind it is.
    r#type: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do, for people.
    detail: String,
    /// The same as a word for programs, where there is one.
    reason: Option<String>,
}

/// The routes with `/openapi.json` and `/docs`.
pub(super) fn with_description(routes: Routes, api: Api) -> Router {
    let (router, description) = describe(routes);
    let json = description.clone();
    let page = SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json"));
    Router::new()
        .merge(router.with_state(api))
        .route("/openapi.json", get(move || std::future::ready(Json(json))))
        .merge(page)
}

fn describe(routes: Routes) -> (Router<Api>, Description) {
    OpenApiRouter::with_openapi(Head::openapi()).nest(PREFIX, routes.into_inner()).split_for_parts()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The description as it is published; `UPDATE_EXPECT=1` writes it anew.
    #[test]
    fn the_published_description_is_the_one_of_the_routes() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/openapi.json");
        let (_, description) = describe(super::super::routes());
        let made = format!("{}\n", serde_json::to_string_pretty(&description).unwrap());
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(file, &made).unwrap();
        }
        let published = std::fs::read_to_string(file).unwrap_or_default();
        assert!(published == made, "config/openapi.json is not that of the routes; UPDATE_EXPECT=1 writes it anew");
    }
}
