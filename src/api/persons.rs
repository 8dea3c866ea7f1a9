//! The people who are known.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::extract::{Asked, Body, Named, bad_request, or_null};
use super::list::{self, List};
use super::openapi::Problem;
use crate::http::{Principal, ProblemJson};
use crate::recognise::Gallery;
use crate::recognise::gallery::{self, Amendment, Filter, PersonId, Profile};
use crate::sink::{PersonAnswer, PersonWish};

mod view;

pub(super) use view::Face;
use view::Person;

/// External ids asked at once.
const MOST_EXTERNAL_IDS: usize = 100;

pub(super) fn viewer() -> OpenApiRouter<Api> {
    let by_external_id = OpenApiRouter::new().routes(routes!(of_external_id)).routes(routes!(of_external_ids));
    OpenApiRouter::new().routes(routes!(everybody)).routes(routes!(one)).merge(by_external_id)
}

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(make)).routes(routes!(change, forget))
}

/// Who is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only people with this tag, from the configuration or their own.
    tag: Option<String>,
    /// Only people whose name or id holds this.
    name: Option<String>,
    /// How many at most; 100 unless it is said, and no more than 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Everybody who is known, by id.
#[utoipa::path(
    get, path = "/persons", tag = "people", params(Wanted),
    responses(
        (status = 200, body = List<Person>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn everybody(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<List<Person>>, ProblemJson> {
    let limit = list::limit(wanted.limit)?;
    let gallery = api.people()?.gallery;
    let filter = Filter { tag: wanted.tag, text: wanted.name };
    let page = gallery.page(&filter, wanted.cursor.as_deref(), limit);
    let next = page.people.last().filter(|_| page.more).map(|last| last.id.to_string());
    let shown = api.0.hub.board().people();
    let people = page.people.iter().map(|person| Person::new(person, &gallery, shown.get(&*person.id), &principal));
    Ok(List::page(people.collect(), next))
}

/// One person, with each face that stands for them.
#[utoipa::path(
    get, path = "/persons/{id}", operation_id = "get_person", tag = "people",
    params(("id" = String, Path, description = "The person's id")),
    responses(
        (status = 200, body = Person),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn one(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
) -> Result<Json<Person>, ProblemJson> {
    shown(&api, &principal, |gallery| gallery.person(&id))?.ok_or_else(|| nobody(&id))
}

/// The person whom another system calls so.
#[utoipa::path(
    get, path = "/persons/by_external_id/{external_id}", tag = "people",
    params(("external_id" = String, Path, description = "What the other system calls the person")),
    responses(
        (status = 200, body = Person),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn of_external_id(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(external): Named<String>,
) -> Result<Json<Person>, ProblemJson> {
    let nobody = || ProblemJson::new(StatusCode::NOT_FOUND, "nobody has this external id");
    shown(&api, &principal, |gallery| gallery.of_external(&external))?.ok_or_else(nobody)
}

/// Whose external ids are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Externals {
    /// Up to 100 of them, separated by commas.
    external_ids: String,
}

/// The people whom another system calls so; whoever is not there is left out.
#[utoipa::path(
    get, path = "/persons/by_external_ids", tag = "people", params(Externals),
    responses(
        (status = 200, body = List<Person>),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn of_external_ids(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Asked(wanted): Asked<Externals>,
) -> Result<Json<List<Person>>, ProblemJson> {
    let mut ids: Vec<&str> = wanted.external_ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MOST_EXTERNAL_IDS {
        return Err(bad_request(format!("external_ids: {MOST_EXTERNAL_IDS} can be asked at once")));
    }
    let gallery = api.people()?.gallery;
    let now = SystemTime::now();
    let found = ids.into_iter().filter_map(|id| gallery.of_external(id)).filter(|person| !person.has_expired(now));
    Ok(List::page(found.map(|person| Person::whole(&person, &gallery, &api, &principal)).collect(), None))
}

/// Somebody who is to be known.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    /// The name to show, 1 to 200 bytes.
    name: String,
    /// The id: `[a-z0-9][a-z0-9_-]{0,62}` without `__`. Made of the name where it is not said: `Zoë Müller` is `zoe-muller`.
    id: Option<String>,
    /// What another system calls the person; unique.
    external_id: Option<String>,
    /// Words that policies refer to.
    #[serde(default)]
    tags: Vec<String>,
    /// Anything else to keep with the person, up to 4 KiB.
    metadata: Option<Map<String, Value>>,
    /// When the person is forgotten by itself (RFC 3339).
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Makes a person known by name; faces follow with `POST /faces/enroll`.
#[utoipa::path(
    post, path = "/persons", tag = "people", request_body = NewPerson,
    responses(
        (status = 201, body = Person),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn make(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Body(new): Body<NewPerson>,
) -> Result<Response, ProblemJson> {
    let id = new.id.as_deref().map(PersonId::new).transpose().map_err(|wrong| super::gallery::refused(&wrong))?;
    let profile = Profile {
        name: new.name,
        external_id: new.external_id,
        tags: new.tags,
        metadata: new.metadata,
        expires: new.expires_at.as_deref().map(expiry).transpose()?,
    };
    let answer = api.wish("", PersonWish::Declare(id, profile)).await?;
    let PersonAnswer::Stands(person) = answer else { return Err(nobody("")) };
    let place = HeaderValue::try_from(format!("/api/v1/persons/{}", person.id)).map_err(|_| nobody(&person.id))?;
    let view = Person::whole(&person, &api.people()?.gallery, &api, &principal);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(view)).into_response())
}

/// What is to be said of somebody; a field that is not there leaves what was said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PersonChanges {
    /// The name to show.
    name: Option<String>,
    /// What another system calls the person; null: nothing any more.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<String>)]
    external_id: Option<Option<String>>,
    /// All tags.
    tags: Option<Vec<String>>,
    /// All metadata; null: none.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Map<String, Value>>)]
    metadata: Option<Option<Map<String, Value>>>,
    /// When the person is forgotten by itself; null: not any more.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
}

/// PersonChanges what is said of a person.
#[utoipa::path(
    put, path = "/persons/{id}", tag = "people", request_body = PersonChanges,
    params(("id" = String, Path, description = "The person's id")),
    responses(
        (status = 200, body = Person),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn change(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(id): Named<String>,
    Body(changes): Body<PersonChanges>,
) -> Result<Json<Person>, ProblemJson> {
    let expires = changes.expires_at.map(|at| at.as_deref().map(expiry).transpose()).transpose()?;
    let amendment = Amendment {
        name: changes.name,
        external_id: changes.external_id,
        tags: changes.tags,
        metadata: changes.metadata.map(Option::unwrap_or_default),
        expires,
    };
    let answer = api.wish(&id, PersonWish::Amend(amendment)).await?;
    let PersonAnswer::Stands(person) = answer else { return Err(nobody(&id)) };
    Ok(Json(Person::whole(&person, &api.people()?.gallery, &api, &principal)))
}

/// Forgets a person: the faces, the name, and what was told of them.
#[utoipa::path(
    delete, path = "/persons/{id}", tag = "people", params(("id" = String, Path, description = "The person's id")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn forget(State(api): State<Api>, Named(id): Named<String>) -> Result<StatusCode, ProblemJson> {
    match api.wish(&id, PersonWish::Forget).await? {
        PersonAnswer::Forgotten(true) => Ok(StatusCode::NO_CONTENT),
        _ => Err(nobody(&id)),
    }
}

/// The person whom `find` finds, with faces; `None` also where their time is over.
fn shown(
    api: &Api,
    principal: &Principal,
    find: impl FnOnce(&Gallery) -> Option<Arc<gallery::Person>>,
) -> Result<Option<Json<Person>>, ProblemJson> {
    let gallery = api.people()?.gallery;
    let person = find(&gallery).filter(|person| !person.has_expired(SystemTime::now()));
    Ok(person.map(|person| Json(Person::whole(&person, &gallery, api, principal))))
}

/// When somebody is to be forgotten by itself.
pub(super) fn expiry(text: &str) -> Result<SystemTime, ProblemJson> {
    let at: Timestamp = text.parse().map_err(|_| {
        bad_request("expires_at: not a time as RFC 3339 has it, such as 2030-01-31T12:00:00Z".to_owned())
    })?;
    let at = SystemTime::from(at);
    if at <= SystemTime::now() { Err(bad_request("expires_at: is over already")) } else { Ok(at) }
}

fn nobody(id: &str) -> ProblemJson {
    ProblemJson::new(StatusCode::NOT_FOUND, format!("there is no person {id:?}")).because("unknown_person")
}
