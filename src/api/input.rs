//! How pictures come in: as the body itself, in a form, as base64 in JSON, or by an address. One extractor for all
//! routes that take them.
//!
//! | `Content-Type` | pictures | options |
//! |---|---|---|
//! | `image/*`, `application/octet-stream`, or none that says more | the body | the query |
//! | `multipart/form-data` | parts with a file name, or named `image` or `images`; `url`, `urls` | other parts, the query |
//! | `application/json` | `image` or `images` in base64; `url`, `urls` | other fields, the query |
//!
//! Nothing is decoded here: that is the desk's work. Memory for what comes in is asked for before it is read.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Api;
use super::extract::bad_request;
use crate::http::ProblemJson;

mod comparison;
mod fields;
mod form;
mod intake;
mod parcel;
pub(super) mod schema;

pub(super) use comparison::{Comparison, ComparisonForm, ComparisonJson, Source};
use fields::{Field, Fields};
pub(super) use intake::Held;
pub use intake::Intake;
use intake::refuse;
pub(super) use parcel::{Aside, Content, Parcel};

/// What a request brings: up to `MOST` pictures as they were encoded, and what is said beside them.
pub(super) struct Pictures<O, const MOST: usize = 1> {
    /// The files' contents.
    pub(super) encoded: Vec<Bytes>,
    /// What was said beside them.
    pub(super) options: O,
    /// The request's place and its memory; to be kept for as long as these are needed.
    pub(super) held: Held,
}

impl<O, const MOST: usize> Pictures<O, MOST> {
    /// The one picture that has to be there, with what is to be kept while it is in memory.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn one(mut self) -> Result<(Bytes, O, Held), ProblemJson> {
        let picture = self.encoded.pop().ok_or_else(no_picture)?;
        Ok((picture, self.options, self.held))
    }
}

impl<O: DeserializeOwned + Send, const MOST: usize> FromRequest<Api> for Pictures<O, MOST> {
    type Rejection = ProblemJson;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ProblemJson> {
        let (mut found, mut held) = find(request, api).await?;
        let addresses = found.addresses()?;
        match found.pictures.len() + addresses.len() {
            n if n > MOST => {
                let most = if MOST == 1 { "one picture".to_owned() } else { format!("at most {MOST} pictures") };
                return Err(bad_request(format!("{n} pictures came; send {most}")));
            }
            _ => {}
        }
        let options = found.fields.read().map_err(bad_request)?;
        let mut encoded = found.pictures;
        encoded.extend(api.0.intake.fetch_all(&api.0.outbound, addresses, &mut held).await?);
        Ok(Self { encoded, options, held })
    }
}

/// What is found in a request.
async fn find(request: Request, api: &Api) -> Result<(Found, Held), ProblemJson> {
    let Received { kind, fields, held, body } = receive(request, api).await?;
    let mut found = Found { pictures: Vec::new(), fields };
    match kind {
        Kind::Raw if body.is_empty() => {}
        Kind::Raw => found.pictures.push(body),
        Kind::Json => found.take_json(&body)?,
        Kind::Form(boundary) => found.take_form(body, boundary).await?,
    }
    Ok((found, held))
}

/// A request whose body is in memory.
struct Received {
    kind: Kind,
    /// Of the query.
    fields: Fields,
    held: Held,
    body: Bytes,
}

/// Takes a request in; a place and memory for it are had before its body is read.
async fn receive(request: Request, api: &Api) -> Result<Received, ProblemJson> {
    let (head, body) = request.into_parts();
    let fields = Fields::of_query(head.uri.query());
    let kind = Kind::of(head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?")))?;
    let place = api.0.admission.enter()?;
    let (memory, body) = api.0.intake.receive(&head.headers, body).await?;
    Ok(Received { kind, fields, held: Held::new(place, memory), body })
}

/// How a body is to be read.
enum Kind {
    /// It is a picture.
    Raw,
    /// An object with pictures in base64.
    Json,
    /// A form, with the text between its parts.
    Form(String),
}

impl Kind {
    fn of(content_type: Option<&str>) -> Result<Self, ProblemJson> {
        let text = content_type.unwrap_or("application/octet-stream");
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            "multipart/form-data" => multer::parse_boundary(text)
                .map(Self::Form)
                .map_err(|_| bad_request("the form has no boundary; let the client write the Content-Type")),
            // what curl says of --data-binary unless told otherwise
            "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Self::Raw),
            other if other.starts_with("image/") => Ok(Self::Raw),
            _ => Err(refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send a picture (image/*), multipart/form-data or application/json",
            )),
        }
    }
}

/// What was found in a body so far.
struct Found {
    pictures: Vec<Bytes>,
    fields: Fields,
}

impl Found {
    fn take_json(&mut self, body: &[u8]) -> Result<(), ProblemJson> {
        self.fields.put_all(object(body)?);
        for (name, text) in self.texts("image", "images")? {
            self.pictures.push(decode_base64(&name, &text)?);
        }
        Ok(())
    }

    /// The addresses of pictures to be fetched.
    fn addresses(&mut self) -> Result<Vec<String>, ProblemJson> {
        Ok(self.texts("url", "urls")?.into_iter().map(|(_, text)| text).collect())
    }

    /// The texts in a field for one and a field for several, each with what it is called.
    fn texts(&mut self, one: &str, several: &str) -> Result<Vec<(String, String)>, ProblemJson> {
        let wrong = |name: &str, what: &str| bad_request(format!("{name}: {what}"));
        let mut texts = Vec::new();
        match self.fields.take(one) {
            None | Some(Field::Json(Value::Null)) => {}
            Some(Field::Again(all)) => texts.extend(all.into_iter().map(|text| (one.to_owned(), text))),
            Some(field) => {
                let text = field.into_text().ok_or_else(|| wrong(one, "is not a text"))?;
                texts.push((one.to_owned(), text));
            }
        }
        match self.fields.take(several) {
            None | Some(Field::Json(Value::Null)) => {}
            Some(Field::Text(text)) => texts.push((several.to_owned(), text)),
            Some(Field::Again(all)) => texts.extend(all.into_iter().map(|text| (several.to_owned(), text))),
            Some(Field::Json(Value::Array(list))) => {
                for (index, value) in list.into_iter().enumerate() {
                    let name = format!("{several}[{index}]");
                    let Value::String(text) = value else { return Err(wrong(&name, "is not a text")) };
                    texts.push((name, text));
                }
            }
            Some(Field::Json(_)) => return Err(wrong(several, "is not a list of texts")),
        }
        Ok(texts)
    }
}

/// The object that a body is in JSON.
fn object(body: &[u8]) -> Result<Map<String, Value>, ProblemJson> {
    let value = serde_json::from_slice(body).map_err(|e| {
        // its words tell the place, and of the text at most a character
        bad_request(format!("the body is no JSON: {e}"))
    })?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(bad_request("the body is JSON, but no object")),
    }
}

/// A picture in base64, with or without a `data:` prefix.
pub(super) fn decode_base64(name: &str, text: &str) -> Result<Bytes, ProblemJson> {
    let plain = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(',').map_or(rest, |(_, data)| data),
        None => text,
    };
    let decoded = STANDARD
        .decode(plain.trim())
        .map_err(|e| bad_request(format!("{name}: is not base64 ({e}); send a picture's bytes in base64")))?;
    Ok(decoded.into())
}

/// Nothing came to look at.
pub(super) fn no_picture() -> ProblemJson {
    let detail = "no picture came; send one as the body, as image in a form or in JSON (base64), or name its url";
    bad_request(detail).because("no_picture")
}
