//! The groups of faces that form by themselves: people whom nobody enrolled.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::enrol::PersonName as Owner;
use super::extract::{Asked, Body, Named, bad_request};
use super::gallery::{refused, unexpected};
use super::list::{self, List};
use super::openapi::Problem;
use super::timeline::best_shot_path;
use crate::clock::Monotonic;
use crate::event::rfc3339;
use crate::http::{Principal, ProblemJson};
use crate::recognise::gallery::{PersonId, Profile};
use crate::recognise::strangers::Acquaintance;
use crate::sink::{PersonAnswer, PersonWish, Summary, Who};

pub(super) fn viewer() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(strangers))
}

pub(super) fn operator() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(name)).routes(routes!(merge)).routes(routes!(ignore))
}

/// Somebody whom nobody enrolled.
#[derive(Serialize, ToSchema)]
struct Stranger {
    /// What events call them.
    alias: String,
    /// How often they were seen, on the cameras that the caller may see.
    appearances: usize,
    /// Those cameras.
    cameras: Vec<String>,
    /// Where the newest best shot is, if a camera may give one.
    best_shot: Option<String>,
    /// How many of their faces are kept: they become a person's when the stranger is named.
    face_count: usize,
    /// First seen.
    #[schema(format = DateTime)]
    first_seen: String,
    /// Last seen.
    #[schema(format = DateTime)]
    last_seen: String,
    /// Whether nobody wants to hear of them.
    ignored: bool,
}

impl Stranger {
    fn new(stranger: &Acquaintance, summary: Summary, now: SystemTime) -> Self {
        let ago = |age: Duration| now.checked_sub(age).map(rfc3339).unwrap_or_default();
        Self {
            alias: stranger.alias.to_string(),
            appearances: summary.count,
            cameras: summary.cameras.iter().map(|camera| camera.to_string()).collect(),
            best_shot: summary.shot.map(best_shot_path),
            face_count: stranger.faces,
            first_seen: ago(stranger.first_seen),
            last_seen: ago(stranger.last_seen),
            ignored: stranger.ignored,
        }
    }
}

/// Which strangers are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Also those of whom nobody wants to hear.
    #[serde(default)]
    ignored: bool,
    /// How many at most; 100 unless it is said, and no more than 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Strangers, in the order in which they came. Whoever may see only some cameras gets those who were seen there.
#[utoipa::path(
    get, path = "/strangers", tag = "people", params(Wanted),
    responses(
        (status = 200, body = List<Stranger>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn strangers(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<List<Stranger>>, ProblemJson> {
    let limit = list::limit(wanted.limit)?;
    let after = wanted.cursor.as_deref().map(number).transpose()?.unwrap_or(0);
    let known = api.people()?.strangers.list(Monotonic::now());
    let (mut seen, now) = (api.0.hub.appearances().strangers(|camera| principal.sees(camera)), SystemTime::now());
    let all = known.iter().filter(|stranger| number(&stranger.alias).is_ok_and(|number| number > after));
    let all = all.filter(|stranger| wanted.ignored || !stranger.ignored);
    let all = all.filter(|stranger| principal.cameras.is_none() || seen.contains_key(&stranger.alias));
    let mut page: Vec<_> = all.collect();
    page.sort_by_key(|stranger| number(&stranger.alias).unwrap_or(u64::MAX));
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|last| last.alias.to_string());
    let shown = page.iter().map(|stranger| {
        let summary = seen.remove(&stranger.alias).unwrap_or_default();
        Stranger::new(stranger, summary, now)
    });
    Ok(List::page(shown.collect(), next))
}

/// A stranger whom no camera of the caller has met does not exist for them.
fn exists(api: &Api, principal: &Principal, alias: &str) -> Result<(), ProblemJson> {
    let met = || api.0.hub.appearances().strangers(|camera| principal.sees(camera)).contains_key(alias);
    if principal.cameras.is_none() || met() { Ok(()) } else { Err(nobody(alias)) }
}

fn nobody(alias: &str) -> ProblemJson {
    ProblemJson::new(StatusCode::NOT_FOUND, format!("there is no stranger {alias:?}"))
}

/// Strangers are numbered as they come: `visitor-7`.
fn number(alias: &str) -> Result<u64, ProblemJson> {
    let number = alias.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    number.ok_or_else(|| bad_request("cursor: none that a list gave"))
}

/// Who a stranger is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StrangerName {
    /// The name to show.
    name: String,
    /// The id; made of the name where it is not said. Somebody who is there already gets further faces.
    person_id: Option<String>,
    /// What another system calls the person.
    external_id: Option<String>,
    /// Words that policies refer to.
    #[serde(default)]
    tags: Vec<String>,
    /// Anything else to keep with the person, up to 4 KiB.
    metadata: Option<Map<String, Value>>,
}

impl StrangerName {
    /// The id that was asked for, and what is said of the person.
    pub(super) fn person(self) -> Result<(Option<PersonId>, Profile), ProblemJson> {
        let id = self.person_id.as_deref().map(PersonId::new).transpose().map_err(|wrong| refused(&wrong))?;
        let Self { name, external_id, tags, metadata, .. } = self;
        Ok((id, Profile { name, external_id, tags, metadata, expires: None }))
    }
}

/// What became of a stranger.
#[derive(Serialize, ToSchema)]
pub(super) struct NamedStranger {
    /// The person they are now.
    person: Owner,
    /// How many faces were added.
    added: usize,
    /// Other people who look much alike.
    look_alikes: Vec<Owner>,
}

/// Gives a stranger a name: a person from then on, known by the faces that cameras saw, and with what was seen of them.
#[utoipa::path(
    post, path = "/strangers/{alias}/name", operation_id = "name_stranger", tag = "people", request_body = StrangerName,
    params(("alias" = String, Path, description = "What events call the stranger")),
    responses(
        (status = 201, body = NamedStranger),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn name(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(alias): Named<String>,
    Body(named): Body<StrangerName>,
) -> Result<(StatusCode, Json<NamedStranger>), ProblemJson> {
    exists(&api, &principal, &alias)?;
    let (id, profile) = named.person()?;
    became(&api, &alias, profile.name.clone(), PersonWish::NameStranger(id, profile)).await
}

/// Has somebody be a person of this name, and says what came of it.
pub(super) async fn became(
    api: &Api,
    who: &str,
    name: String,
    wish: PersonWish,
) -> Result<(StatusCode, Json<NamedStranger>), ProblemJson> {
    match api.wish(who, wish).await? {
        PersonAnswer::Enrolled(receipt) => {
            let alike = receipt.look_alikes.iter();
            let alike = alike.map(|other| Owner { id: other.person.to_string(), name: other.name.to_string() });
            let person = Owner { id: receipt.person.to_string(), name };
            let became = NamedStranger { person, added: receipt.added.len(), look_alikes: alike.collect() };
            Ok((StatusCode::CREATED, Json(became)))
        }
        other => Err(unexpected(&other)),
    }
}

/// Who else a stranger is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MergeInto {
    /// The alias of another stranger, which stays.
    into: Option<String>,
    /// The id of somebody who is known, who gets the stranger's faces.
    person_id: Option<String>,
}

impl MergeInto {
    fn who(self, alias: &str) -> Result<Who, ProblemJson> {
        match (self.into, self.person_id) {
            (Some(into), None) if into == alias => Err(bad_request("into: is the same stranger")),
            (Some(into), None) => Ok(Who::Stranger(into.into())),
            (None, Some(person)) => Ok(Who::Person(person.into())),
            _ => Err(bad_request("say who the stranger is by into (an alias) or by person_id, and not by both")),
        }
    }
}

/// Makes one stranger of two, where `alias` becomes a part of `into`; or a part of somebody who is known, by `person_id`.
#[utoipa::path(
    post, path = "/strangers/{alias}/merge", tag = "people", request_body = MergeInto,
    params(("alias" = String, Path, description = "What events call the stranger")),
    responses(
        (status = 204, description = "Both are one"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn merge(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(alias): Named<String>,
    Body(other): Body<MergeInto>,
) -> Result<StatusCode, ProblemJson> {
    let into = other.who(&alias)?;
    exists(&api, &principal, &alias)?;
    if let Who::Stranger(into) = &into {
        exists(&api, &principal, into)?;
    }
    match api.wish(&alias, PersonWish::MergeStranger(into)).await? {
        PersonAnswer::Done(false) => {
            Err(ProblemJson::new(StatusCode::NOT_FOUND, "one of these strangers is not there"))
        }
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Whether anybody wants to hear of a stranger.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Ignored {
    /// False: somebody does again.
    ignored: bool,
}

impl Default for Ignored {
    fn default() -> Self {
        Self { ignored: true }
    }
}

/// Leaves a stranger out of lists, and forgets what was seen of them so far. `{"ignored": false}` takes it back.
#[utoipa::path(
    post, path = "/strangers/{alias}/ignore", tag = "people", request_body = Ignored,
    params(("alias" = String, Path, description = "What events call the stranger")),
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn ignore(
    State(api): State<Api>,
    Extension(principal): Extension<Principal>,
    Named(alias): Named<String>,
    Body(wanted): Body<Ignored>,
) -> Result<StatusCode, ProblemJson> {
    exists(&api, &principal, &alias)?;
    match api.wish(&alias, PersonWish::IgnoreStranger(wanted.ignored)).await? {
        PersonAnswer::Done(true) => Ok(StatusCode::NO_CONTENT),
        _ => Err(nobody(&alias)),
    }
}
