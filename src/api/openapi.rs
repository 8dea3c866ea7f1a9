//! The description of all routes, made from them, and the page that shows it.

use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Description, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::Api;
use super::rights::{Routes, SCHEME, operations_of};

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
        (name = "auth", description = "Who asks"),
        (name = "health", description = "How the daemon is"),
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
    let routes = OpenApiRouter::with_openapi(Head::openapi()).nest(PREFIX, routes.into_inner());
    let (router, mut description) = routes.split_for_parts();
    complete(&mut description);
    (router, description)
}

/// What all routes have in common: how one says who one is, and that errors are problems.
fn complete(description: &mut Description) {
    let scheme = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of http.tokens_file, or a login's. The scope is the role that the route asks for. On loopback \
                 none is needed where none is configured.",
            ))
            .build(),
    );
    description.components.get_or_insert_default().add_security_scheme(SCHEME, scheme);
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let problem = ResponseBuilder::new()
        .description("An error: not let in (401, 403), too many requests (429), too much to do (503), …")
        .content("application/problem+json", problem);
    let problem = RefOr::T(problem.build());
    // The server's way to write the rest of a path is not the description's.
    let paths = std::mem::take(&mut description.paths.paths);
    description.paths.paths.extend(paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)));
    for operation in description.paths.paths.values_mut().flat_map(operations_of) {
        operation.responses.responses.entry("default".to_owned()).or_insert_with(|| problem.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients that are made from the description have a function of that name for each.
    #[test]
    fn each_operation_has_a_name_of_its_own() {
        let (_, mut description) = describe(super::super::routes());
        let mut names = std::collections::BTreeSet::new();
        for operation in description.paths.paths.values_mut().flat_map(operations_of) {
            let name = operation.operation_id.clone().unwrap();
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
        assert!(names.len() > 40, "{names:?}");
    }

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
