//! The faces that stand for people.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::enrol::{EnrolOptions, Enrolled, PersonName as Owner};
use super::extract::Named;
use super::input::Pictures;
use super::input::schema::{FormPicture, JsonPicture, Picture};
use super::openapi::Problem;
use super::persons::Face;
use crate::clock::Laps;
use crate::http::ProblemJson;
use crate::sink::{PersonAnswer, PersonWish};

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(one))
}

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(enroll)).routes(routes!(remove))
}

type EnrolForm = FormPicture<EnrolOptions>;
type EnrolJson = JsonPicture<EnrolOptions>;

/// Makes somebody known by a picture.
#[utoipa::path(
    post, path = "/faces/enroll", tag = "people", params(EnrolOptions),
    request_body(content(
        (Picture = "image/jpeg"), (Picture = "image/png"), (Picture = "image/webp"), (Picture = "image/bmp"),
        (Picture = "image/gif"), (EnrolForm = "multipart/form-data"), (EnrolJson = "application/json"))),
    responses(
        (status = 201, body = Enrolled, description = "At least one face was added"),
        (status = 200, body = Enrolled, description = "No face was added: all were there already, or refused"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json")),
)]
async fn enroll(
    State(api): State<Api>,
    pictures: Pictures<EnrolOptions>,
) -> Result<(StatusCode, Extension<Laps>, Json<Enrolled>), ProblemJson> {
    let (picture, options, held) = pictures.one()?;
    let order = Arc::new(options.order()?);
    let (laps, enrolled) = api.enrol((picture, held), &order, &Arc::default()).await?;
    let status = if enrolled.added > 0 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, laps, Json(enrolled)))
}

/// A face that stands for somebody.
#[derive(Serialize, ToSchema)]
struct OwnedFace {
    #[serde(flatten)]
    face: Face,
    /// Whose it is.
    person: Owner,
}

/// A face that stands for a person: where it comes from and whose it is.
#[utoipa::path(
    get, path = "/faces/{id}", operation_id = "get_face", tag = "people",
    params(("id" = u64, Path, description = "The face's id")),
    responses(
        (status = 200, body = OwnedFace),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn one(State(api): State<Api>, Named(id): Named<u64>) -> Result<Json<OwnedFace>, ProblemJson> {
    let person = api.people()?.gallery.owner_of(id).ok_or_else(|| nothing(id))?;
    let face = person.references.iter().chain(&person.anchors).find(|face| face.id == id).ok_or_else(|| nothing(id))?;
    let owner = Owner { id: person.id.to_string(), name: person.name.to_string() };
    Ok(Json(OwnedFace { face: Face::new(face), person: owner }))
}

/// Takes a face away. With the last one its person goes, unless made by `POST /persons`.
#[utoipa::path(
    delete, path = "/faces/{id}", operation_id = "remove_face", tag = "people",
    params(("id" = u64, Path, description = "The face's id")),
    responses(
        (status = 204, description = "Gone"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove(State(api): State<Api>, Named(id): Named<u64>) -> Result<StatusCode, ProblemJson> {
    match api.wish("", PersonWish::RemoveReference(id)).await? {
        PersonAnswer::Forgotten(true) => Ok(StatusCode::NO_CONTENT),
        _ => Err(nothing(id)),
    }
}

fn nothing(id: u64) -> ProblemJson {
    ProblemJson::new(StatusCode::NOT_FOUND, format!("there is no face {id}"))
}
