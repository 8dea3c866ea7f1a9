//! A target and the people it is compared with.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::short;
use super::form::{Part, parts};
use super::intake::refuse;
use super::{Api, Held, Kind, Received, decode_base64, object, receive};
use crate::api::extract::bad_request;
use crate::http::ProblemJson;

/// Pictures of one comparison, the target's included.
const MOST: usize = 64;

/// Characters of a name.
const MOST_NAME: usize = 200;

/// Where a picture is.
pub(in crate::api) enum Source {
    /// It came along.
    Sent(Bytes),
    /// At this address.
    At(String),
}

/// What is to be compared.
pub(in crate::api) struct Comparison {
    pub(in crate::api) target: Source,
    /// Each with at least one picture, in the order in which they came.
    pub(in crate::api) people: Vec<(String, Vec<Source>)>,
    pub(in crate::api) held: Held,
}

/// A target and people, each by pictures in base64 or by their addresses.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::api) struct ComparisonJson {
    /// The target's picture in base64.
    target: Option<String>,
    /// The address of the target's picture, where it does not come along.
    target_url: Option<String>,
    /// Whom it is compared with.
    people: Vec<ComparedPerson>,
}

/// Somebody whom the target is compared with.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct ComparedPerson {
    /// What the answer calls them. Default: `person-1` and so on.
    name: Option<String>,
    /// Their pictures in base64.
    images: Vec<String>,
    /// Addresses of their pictures.
    urls: Vec<String>,
}

/// The target's picture, and any number of others: the name of a part is the person's, its text a picture's address.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read part by part; this describes it")]
pub(in crate::api) struct ComparisonForm {
    /// The target's picture.
    #[schema(value_type = Option<String>, format = Binary)]
    target: Option<Bytes>,
    /// The address of the target's picture, where it does not come along.
    target_url: Option<String>,
}

impl FromRequest<Api> for Comparison {
    type Rejection = ProblemJson;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ProblemJson> {
        let Received { kind, fields, held, body } = receive(request, api).await?;
        fields.read::<NoOptions>().map_err(wrong)?;
        let (target, people) = match kind {
            Kind::Json => of_json(&body)?,
            Kind::Form(boundary) => of_form(parts(body, boundary).await?)?,
            Kind::Raw => {
                let detail = "a comparison has several pictures; send application/json or multipart/form-data";
                return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
            }
        };
        if people.is_empty() {
            return Err(wrong("people: is empty; name at least one to compare the target with"));
        }
        let pictures = 1 + people.iter().map(|(_, pictures)| pictures.len()).sum::<usize>();
        if pictures > MOST {
            return Err(wrong(format!("{pictures} pictures came, and {MOST} at most are compared in one call")));
        }
        Ok(Self { target, people, held })
    }
}

/// Nothing can be said in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

type Read = (Source, Vec<(String, Vec<Source>)>);

fn of_json(body: &[u8]) -> Result<Read, ProblemJson> {
    let read = serde_path_to_error::deserialize(Value::Object(object(body)?));
    let request: ComparisonJson = read.map_err(|e| match e.path().to_string().as_str() {
        "." => wrong(e.inner()),
        path => wrong(format!("{path}: {}", e.inner())),
    })?;
    let ComparisonJson { target, target_url, people } = request;
    let target = match (target, target_url) {
        (Some(text), None) => Source::Sent(decode_base64("target", &text)?),
        (None, Some(url)) => Source::At(url),
        (None, None) => return Err(no_target()),
        (Some(_), Some(_)) => return Err(wrong("target and target_url are both given; give one")),
    };
    let mut named = Vec::with_capacity(people.len());
    for (index, ComparedPerson { name, images, urls }) in people.into_iter().enumerate() {
        let name = checked(name.unwrap_or_else(|| format!("person-{}", index + 1)))?;
        let mut pictures = Vec::with_capacity(images.len() + urls.len());
        for (place, text) in images.iter().enumerate() {
            pictures.push(Source::Sent(decode_base64(&format!("people[{index}].images[{place}]"), text)?));
        }
        pictures.extend(urls.into_iter().map(Source::At));
        if pictures.is_empty() {
            return Err(wrong(format!("people[{index}]: has neither images nor urls")));
        }
        named.push((name, pictures));
    }
    Ok((target, named))
}

fn of_form(parts: Vec<Part>) -> Result<Read, ProblemJson> {
    let mut target = None;
    let mut people: Vec<(String, Vec<Source>)> = Vec::new();
    for part in parts {
        let name = part.name.clone();
        let source = if part.file { Source::Sent(part.content) } else { Source::At(part.into_text()?) };
        if matches!(name.as_str(), "target" | "target_url") {
            if target.replace(source).is_some() {
                return Err(wrong("there are two targets; send one"));
            }
            continue;
        }
        let name = checked(name)?;
        match people.iter_mut().find(|(other, _)| *other == name) {
            Some((_, pictures)) => pictures.push(source),
            None => people.push((name, vec![source])),
        }
    }
    Ok((target.ok_or_else(no_target)?, people))
}

fn checked(name: String) -> Result<String, ProblemJson> {
    match name.chars().count() {
        0 => Err(wrong("a person has an empty name")),
        n if n > MOST_NAME => Err(wrong(format!("a person's name has {n} characters, {MOST_NAME} at most are taken"))),
        _ => Ok(name),
    }
}

fn no_target() -> ProblemJson {
    wrong("there is no target; send its picture as target, or its address as target_url")
}

fn wrong(what: impl std::fmt::Display) -> ProblemJson {
    bad_request(short(what.to_string()))
}
